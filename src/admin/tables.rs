//! Answers of the admin listener as people read them.
//!
//! Pure. Runs at start, at reload, or on a timer.

use serde_json::Value;

use crate::upstream::DrainCause;

/// `/nodes`: one line for each node.
pub fn nodes(answer: &Value) -> String {
    let mut rows = vec![TITLES.map(str::to_owned)];
    for upstream in items(&answer["upstreams"]) {
        let mut all = items(&upstream["nodes"]).chain(items(&upstream["retired"])).peekable();
        if all.peek().is_none() {
            let mut row = TITLES.map(|_| "-".to_owned());
            row[0] = text(&upstream["name"]);
            rows.push(row);
        }
        for node in all {
            rows.push([
                text(&upstream["name"]),
                text(&node["name"]),
                text(&node["address"]),
                text(&node["state"]),
                text(&node["tunnels"]),
                text(&node["exchanges"]),
                text(&node["handshakes"]),
                format!("{:.1}", node["load"].as_f64().unwrap_or_default()),
                text(&node["weight"]),
                node["reason"].as_str().map(|_| text(&node["reason"])).unwrap_or_default(),
            ]);
        }
    }
    table(&rows)
}

fn causes(draining: &Value) -> String {
    items(&draining["causes"]).map(text).collect::<Vec<_>>().join(", ")
}

/// The nodes of that upstream and name in `/nodes`, those behind that have left.
pub fn find_nodes<'a>(answer: &'a Value, upstream: &Value, name: &Value) -> Vec<&'a Value> {
    let found = items(&answer["upstreams"]).filter(|found| found["name"] == *upstream);
    let nodes = found.flat_map(|found| items(&found["nodes"]).chain(items(&found["retired"])));
    nodes.filter(|node| node["name"] == *name).collect()
}

/// Whether a node is not in the configuration any more, or no longer found.
pub fn has_left(node: &Value) -> bool {
    items(&node["draining"]["causes"]).any(|cause| cause == DrainCause::Left.label())
}

/// How far a node is that was ordered to drain, in one sentence.
pub fn draining(upstream: &Value, node: &Value) -> String {
    let (name, draining) =
        (format!("{}/{}", text(upstream), text(&node["name"])), &node["draining"]);
    if draining.is_null() {
        return format!("{name} takes new sessions");
    }
    if draining["empty"] == true {
        return format!("{name} is empty");
    }
    let seconds = |key: &str| draining[key].as_f64().unwrap_or_default().ceil() as u64;
    let next = match (seconds("closing_in_seconds"), seconds("given_up_in_seconds")) {
        (0, 0) => "its time is over".to_owned(),
        (0, left) => {
            format!("its tunnels are being closed, its time is over in {}", duration(left))
        }
        (closing, _) => format!("its tunnels are closed in {}", duration(closing)),
    };
    format!(
        "{name} drains ({}): tunnels {}, requests {}, {next}",
        causes(draining),
        text(&node["tunnels"]),
        text(&node["exchanges"]),
    )
}

const TITLES: [&str; 10] = [
    "UPSTREAM",
    "NODE",
    "ADDRESS",
    "STATE",
    "TUNNELS",
    "REQUESTS",
    "HANDSHAKES",
    "LOAD",
    "WEIGHT",
    "REASON",
];

/// `/status`: one line for each thing that there is to tell.
pub fn status(answer: &Value) -> String {
    let ready = &answer["readiness"];
    let descriptors = &answer["descriptors"];
    let mut rows = vec![
        ["version".to_owned(), text(&answer["version"])],
        ["pid".to_owned(), text(&answer["pid"])],
        ["up".to_owned(), duration(answer["uptime_seconds"].as_u64().unwrap_or_default())],
        ["ready".to_owned(), if ready["ready"] == true { "yes" } else { "no" }.to_owned()],
    ];
    let told =
        items(&ready["reasons"]).chain(items(&ready["warnings"])).chain(items(&answer["notes"]));
    rows.extend(told.map(|sentence| ["!".to_owned(), text(sentence)]));
    let open = format!(
        "{} of {} take new sessions",
        text(&answer["nodes"]["open"]),
        text(&answer["nodes"]["all"])
    );
    rows.extend([
        ["nodes".to_owned(), open],
        ["tunnels".to_owned(), text(&answer["tunnels"])],
        ["requests".to_owned(), text(&answer["exchanges"])],
        ["connections".to_owned(), text(&answer["connections"]["open"])],
        ["stuck".to_owned(), stuck(&answer["upgrades"])],
        ["memory".to_owned(), mebibytes(&answer["memory_bytes"])],
        [
            "descriptors".to_owned(),
            format!("{} of {}", text(&descriptors["open"]), text(&descriptors["max"])),
        ],
    ]);
    table(&rows)
}

/// How many of the sessions that could upgrade did not, and why most of them did not.
fn stuck(upgrades: &Value) -> String {
    let count = |name: &str| upgrades[name].as_u64().unwrap_or_default();
    let (stuck, all) = (count("stuck"), count("stuck").saturating_add(count("upgraded")));
    if stuck == 0 {
        return format!("none of {all} sessions polls on");
    }
    let leading = &upgrades["leading"];
    let percent = stuck as f64 * 100.0 / all as f64;
    let cause = match leading["cause"].as_str() {
        None | Some("none") => text(&leading["outcome"]),
        Some(cause) => text(&format!("{} {cause}", text(&leading["outcome"])).into()),
    };
    let hint = text(&leading["hint"]);
    format!("{percent:.0} % of {all} sessions poll on, mostly {cause}: {hint}")
}

/// `/reload`: what changed, or what is wrong.
pub fn reload(answer: &Value) -> String {
    if answer["reloaded"] != true {
        return format!("{}\n", text(&answer["error"]));
    }
    let changes: Vec<String> = items(&answer["changes"]).map(text).collect();
    match changes.as_slice() {
        [] => "reloaded: nothing has changed\n".to_owned(),
        changes => format!("reloaded:\n  {}\n", changes.join("\n  ")),
    }
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// On one line and without what a terminal would obey.
fn text(value: &Value) -> String {
    let shown = match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        value @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            value.to_string()
        }
    };
    shown.chars().filter(|c| *c == '\n' || !c.is_control()).collect()
}

fn mebibytes(bytes: &Value) -> String {
    match bytes.as_u64() {
        Some(bytes) => format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20)),
        None => "-".to_owned(),
    }
}

fn duration(seconds: u64) -> String {
    let (days, hours) = (seconds / 86400, seconds / 3600 % 24);
    let (minutes, seconds) = (seconds / 60 % 60, seconds % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{seconds}s"),
        (0, ..) => format!("{hours}h{minutes}m"),
        (..) => format!("{days}d{hours}h"),
    }
}

/// Columns two spaces apart, as wide as their widest cell.
fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        format!("{}\n", line.trim_end())
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nodes_stand_in_columns() {
        let node = json!({
            "name": "n1", "address": "10.0.0.1:3000", "state": "unhealthy", "tunnels": 12,
            "exchanges": 3, "handshakes": 40, "load": 15.25, "weight": 1,
            "reason": "it answered 503",
        });
        let up = json!({
            "name": "n2", "address": "10.0.0.2:3000", "state": "up", "tunnels": 1, "exchanges": 0,
            "handshakes": 9, "load": 1.0, "weight": 1, "reason": null,
        });
        let answer = json!({ "upstreams": [{ "name": "chat", "nodes": [node, up] }] });
        let expected = "\
UPSTREAM  NODE  ADDRESS        STATE      TUNNELS  REQUESTS  HANDSHAKES  LOAD  WEIGHT  REASON
chat      n1    10.0.0.1:3000  unhealthy  12       3         40          15.2  1       it answered 503
chat      n2    10.0.0.2:3000  up         1        0         9           1.0   1
";
        assert_eq!(nodes(&answer), expected);
        let none = nodes(&json!({ "upstreams": [{ "name": "chat", "nodes": [] }] }));
        let mut cells = none.lines().nth(1).unwrap().split_whitespace();
        assert!(cells.next() == Some("chat") && cells.all(|cell| cell == "-"), "{none}");
        assert_eq!(nodes(&json!({})).lines().count(), 1, "what is no answer of ours does no harm");
    }

    #[test]
    fn a_node_that_drains_tells_why_and_how_far_it_is() {
        let check = |draining: Value, sentence: &str| {
            let node = json!({
                "name": "n1", "state": "drained", "tunnels": 12, "exchanges": 3,
                "draining": draining, "reason": "left, ordered",
            });
            assert_eq!(super::draining(&json!("chat"), &node), sentence);
            let answer = json!({ "upstreams": [{ "name": "chat", "retired": [node] }] });
            let row = nodes(&answer);
            assert!(row.contains(" drained ") && row.contains(" left, ordered"), "{row}");
            assert_eq!(find_nodes(&answer, &json!("chat"), &json!("n1")).len(), 1);
            assert!(find_nodes(&answer, &json!("chat"), &json!("n2")).is_empty());
        };
        let drain = |closing: f64, given_up: f64, is_empty: bool| {
            json!({
                "causes": ["left", "ordered"], "closing_in_seconds": closing,
                "given_up_in_seconds": given_up, "empty": is_empty,
            })
        };
        check(json!(null), "chat/n1 takes new sessions");
        check(drain(0.0, 0.0, true), "chat/n1 is empty");
        let begins = "chat/n1 drains (left, ordered): tunnels 12, requests 3, ";
        let sentence = |next: &str| format!("{begins}{next}");
        check(drain(60.2, 99.0, false), &sentence("its tunnels are closed in 1m1s"));
        let closing = sentence("its tunnels are being closed, its time is over in 9s");
        check(drain(0.0, 9.0, false), &closing);
        check(drain(0.0, 0.0, false), &sentence("its time is over"));
    }

    #[test]
    fn status_tells_what_is_amiss() {
        let readiness = json!({ "ready": false, "reasons": ["the process\u{1b} is stopping"] });
        let shown = status(&json!({ "readiness": readiness, "uptime_seconds": 93784 }));
        assert!(
            shown.contains("ready        no\n!            the process is stopping\n"),
            "{shown}"
        );
        assert!(shown.contains("up           1d2h\n"), "{shown}");
    }

    #[test]
    fn status_tells_who_is_stuck_in_polling() {
        let check = |upgrades: Value, line: &str| {
            let shown = status(&json!({ "upgrades": upgrades }));
            assert!(shown.contains(&format!("stuck        {line}\n")), "{shown}");
        };
        let leading =
            |cause| json!({ "outcome": "refused", "cause": cause, "sessions": 2, "hint": "mend" });
        check(json!({ "stuck": 0, "upgraded": 9 }), "none of 9 sessions polls on");
        check(json!(null), "none of 0 sessions polls on");
        let some = |cause| json!({ "stuck": 3, "upgraded": 9, "leading": leading(cause) });
        check(some("400"), "25 % of 12 sessions poll on, mostly refused 400: mend");
        check(some("none"), "25 % of 12 sessions poll on, mostly refused: mend");
    }

    #[test]
    fn a_duration_has_its_two_largest_units() {
        let check = |seconds, shown: &str| assert_eq!(duration(seconds), shown);
        check(0, "0s");
        check(61, "1m1s");
        check(3600, "1h0m");
        check(200_000, "2d7h");
    }

    #[test]
    fn a_reload_tells_its_changes_or_its_problems() {
        let check = |answer: Value, shown: &str| assert_eq!(reload(&answer), shown);
        check(json!({ "reloaded": true, "changes": [] }), "reloaded: nothing has changed\n");
        check(json!({ "reloaded": true, "changes": ["a", "b"] }), "reloaded:\n  a\n  b\n");
        check(json!({ "reloaded": false, "error": "a.yaml: is\nwrong" }), "a.yaml: is\nwrong\n");
    }
}
