//! The report for people.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::fmt::Write as _;

use super::Report;
use super::measured::{Idle, Limit, Rooms, Stickiness, Watch};
use super::observations::{Observations, Trace};
use super::product::Product;
use super::verdict::{Finding, Level, Party, State, Symptom};

/// Whether the report has colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Colours {
    /// For a terminal.
    On,
    /// For a file or a pipe.
    Off,
}

/// The whole report.
pub(crate) fn text(report: &Report, colours: Colours) -> String {
    let (seen, paint) = (&report.observations, Paint(colours));
    let mut text = String::new();
    if let Some(url) = &seen.url {
        let _ = writeln!(text, "{}\n", paint.bold(url));
        steps(&mut text, &seen.trace, paint);
        facts(&mut text, seen);
    }
    for node in &seen.nodes {
        let _ = writeln!(text, "\n{} past the proxy\n", paint.bold(&clean(&node.name)));
        steps(&mut text, &node.trace, paint);
        watched(&mut text, node.idle.as_ref());
        sticky(&mut text, node.stickiness.as_ref());
    }
    rooms(&mut text, seen.rooms.as_ref());
    let _ = writeln!(text, "\n{}\n", paint.bold("Verdicts"));
    for verdict in &report.diagnosis.verdicts {
        let (word, colour) = state(verdict.state);
        let name = symptom(verdict.symptom);
        let word = paint.colour(&format!("{word:<11}"), colour);
        let _ = writeln!(text, "  {word} {name}: {}", clean(&verdict.reason));
    }
    for (index, finding) in report.diagnosis.findings.iter().enumerate() {
        if index == 0 {
            let _ = writeln!(text, "\n{}", paint.bold("Findings"));
        }
        self::finding(&mut text, index + 1, finding, (seen.product, paint));
    }
    if report.diagnosis.findings.is_empty() {
        text += "\nNothing is wrong as far as it was looked at.\n";
    }
    if seen.cut_short {
        text += "\nThe run took too long and was cut short.\n";
    }
    text
}

fn steps(text: &mut String, trace: &Trace, paint: Paint) {
    for step in &trace.steps {
        let took = step.took_ms.map_or_else(|| "-".to_owned(), |took| format!("{took} ms"));
        let mark = if step.ok { paint.colour("ok", GREEN) } else { paint.colour("!!", RED) };
        let _ = writeln!(text, "  {mark} {:<18} {took:>9}  {}", step.name, clean(&step.detail));
    }
}

fn facts(text: &mut String, seen: &Observations) {
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "     {name:<18} {}", clean(&value));
    };
    let announced = seen.announced.iter().map(|(name, value)| format!("{name}: {value}"));
    let announced = announced.collect::<Vec<_>>().join(", ");
    let product = match (seen.product, seen.product_named) {
        (Some(product), true) => format!("{}, as you say", product.name()),
        (Some(product), false) => product.name().to_owned(),
        (None, _) => "unknown".to_owned(),
    };
    line(
        "answered by",
        if announced.is_empty() { product } else { format!("{product} ({announced})") },
    );
    for tried in seen.paths.iter().filter(|tried| tried.opens) {
        line("another path", format!("a session opens at {}", tried.path));
    }
    if let Some(cors) = &seen.cors {
        let allowed = cors.allow_origin.join(", ");
        let allowed = if allowed.is_empty() { "none".to_owned() } else { allowed };
        line("CORS", format!("Access-Control-Allow-Origin for {}: {allowed}", cors.asked));
    }
    if let Some(other) = &seen.other_version {
        let opens = if other.opens { "opens a session" } else { "is refused" };
        line("other version", format!("EIO={} {opens}", other.eio));
    }
    if let Some(compression) = &seen.compression {
        let encoding = compression.long_response.as_deref().unwrap_or("none");
        let deflate = if compression.permessage_deflate { "on" } else { "off" };
        line("compression", format!("long polls: {encoding}; WebSocket: {deflate}"));
    }
    if let Some(http2) = &seen.http2 {
        let connect =
            if http2.extended_connect { "with WebSockets (RFC 8441)" } else { "for requests" };
        line("HTTP/2", if http2.chosen { connect.to_owned() } else { "no".to_owned() });
    }
    if let Some(payload) = &seen.payload {
        let up = [("polling", &payload.up_polling), ("WebSocket", &payload.up_websocket)];
        let down = [("polling", &payload.down_polling), ("WebSocket", &payload.down_websocket)];
        line("messages up", up.map(|(name, limit)| limits(name, limit.as_ref())).join(", "));
        line("messages down", down.map(|(name, limit)| limits(name, limit.as_ref())).join(", "));
    }
    if let Some(delays) = &seen.delays {
        let (median, longest, samples) = (delays.median_ms, delays.longest_ms, delays.samples);
        line("answers", format!("median {median} ms, longest {longest} ms of {samples}"));
    }
    if let Some(arrival) = &seen.arrival {
        let names = arrival.polling.iter().flat_map(|arrived| &arrived.fields);
        let names = names.map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
        line(
            "fields at a node",
            if names.is_empty() { "nothing arrived".to_owned() } else { names },
        );
    }
    watched(text, seen.idle.as_ref());
    sticky(text, seen.stickiness.as_ref());
}

fn limits(name: &str, limit: Option<&Limit>) -> String {
    match limit {
        None => format!("{name}: not tried"),
        Some(Limit { passed, refused: None, .. }) => format!("{name}: {passed} bytes pass"),
        Some(Limit { passed, refused: Some(refused), .. }) => {
            format!("{name}: {passed} bytes pass, {refused} do not")
        }
    }
}

fn watched(text: &mut String, idle: Option<&Idle>) {
    let Some(idle) = idle else { return };
    let shown = |watch: Option<&Watch>| match watch {
        None => "no session".to_owned(),
        Some(Watch { cut: None, lived_ms, .. }) => format!("lived {lived_ms} ms"),
        Some(Watch { cut: Some(cut), lived_ms, .. }) => {
            format!("ended after {lived_ms} ms: {}", cut.detail)
        }
    };
    let (polling, websocket) = (shown(idle.polling.as_ref()), shown(idle.websocket.as_ref()));
    let shown = clean(&format!("polling {polling}; WebSocket {websocket}"));
    let _ = writeln!(text, "     {:<18} {shown}", "left alone");
}

fn sticky(text: &mut String, sticky: Option<&Stickiness>) {
    let Some(sticky) = sticky else { return };
    let (with, without) = (sticky.with_cookies, sticky.without_cookies);
    let (own, other) = (with.own + without.own, with.other + without.other);
    let processes = sticky.processes_min.map_or_else(String::new, |processes| match processes {
        1 => "; one process answers".to_owned(),
        several => format!("; at least {several} processes answer"),
    });
    let sessions = sticky.sessions;
    let shown = format!(
        "of {sessions} sessions, {own} requests reach their node, {other} another one{processes}"
    );
    let _ = writeln!(text, "     {:<18} {shown}", "stickiness");
}

fn rooms(text: &mut String, rooms: Option<&Rooms>) {
    let Some(rooms) = rooms.filter(|rooms| !rooms.pairs.is_empty()) else { return };
    text.push_str("\nMessages to a room\n\n");
    let name = |index: usize| rooms.nodes.get(index).map_or_else(String::new, |name| clean(name));
    for pair in &rooms.pairs {
        let (from, to) = (name(pair.from), name(pair.to));
        let median =
            pair.median_ms.map_or_else(String::new, |median| format!(", median {median} ms"));
        let _ = writeln!(text, "  {from} to {to}: {} of {}{median}", pair.arrived, pair.sent);
    }
}

fn finding(
    text: &mut String,
    number: usize,
    finding: &Finding,
    (product, paint): (Option<Product>, Paint),
) {
    let (level, colour) = match finding.level {
        Level::Breaks => ("breaks", RED),
        Level::BreaksWhen => ("may break", YELLOW),
        Level::Hint => ("hint", BLUE),
    };
    let whose = match (finding.whose, product) {
        (Party::Proxy, Some(product)) => format!("the proxy ({})", product.name()),
        (Party::Proxy, None) => "the proxy".to_owned(),
        (Party::Node, _) => "the node".to_owned(),
        (Party::ProxyOrNode, _) => {
            "the proxy or the node: name nodes with --node to tell them apart".to_owned()
        }
        (Party::Network, _) => "the network".to_owned(),
        (Party::Client, _) => "the client, or how the doctor was called".to_owned(),
    };
    let level = paint.colour(level, colour);
    let _ = writeln!(text, "\n  {number}. {level}: {}", clean(&finding.what));
    let _ = writeln!(text, "     whose:  {whose}");
    if !finding.change.is_empty() {
        let _ = writeln!(text, "     change: {}", finding.change);
    }
}

fn symptom(symptom: Symptom) -> &'static str {
    match symptom {
        Symptom::NoSession => "clients do not connect",
        Symptom::StuckInPolling => "stuck in polling",
        Symptom::Drops => "drops after some time",
        Symptom::RoomMessagesLost => "room messages do not arrive",
        Symptom::MemoryGrows => "memory grows",
    }
}

fn state(state: State) -> (&'static str, u8) {
    match state {
        State::Sound => ("no", GREEN),
        State::Broken => ("yes", RED),
        State::AtRisk => ("may be", YELLOW),
        State::Undecided => ("undecided", YELLOW),
        State::NotLooked => ("not looked", BLUE),
    }
}

/// What a server has sent must not steer the terminal, nor change the direction of the text.
pub(super) fn clean(text: &str) -> String {
    text.chars().map(|c| if steers(c) { ' ' } else { c }).collect()
}

/// JSON without characters that would steer a terminal: they are escaped, which only strings need.
pub(crate) fn escaped(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            '\n' => text.push('\n'),
            // All of them are below U+10000.
            steering if steers(steering) => {
                let _ = write!(text, "\\u{:04x}", u32::from(steering));
            }
            plain => text.push(plain),
        }
    }
    text
}

/// Control characters, separators of lines, and marks of direction (Unicode, annex 9).
fn steers(character: char) -> bool {
    let is_mark = matches!(character, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}');
    character.is_control() || is_mark
}

#[derive(Clone, Copy)]
struct Paint(Colours);

impl Paint {
    fn colour(self, text: &str, colour: u8) -> String {
        match self.0 {
            Colours::On => format!("\u{1b}[{colour}m{text}\u{1b}[0m"),
            Colours::Off => text.to_owned(),
        }
    }

    fn bold(self, text: &str) -> String {
        self.colour(text, 1)
    }
}

const RED: u8 = 31;
const GREEN: u8 = 32;
const YELLOW: u8 = 33;
const BLUE: u8 = 34;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::observations::Step;

    fn report() -> Report {
        let detail = "\u{1b}[31mred\u{7}\u{9b}2J\u{202e}".to_owned();
        let step = Step { name: "DNS", took_ms: Some(1), ok: true, detail };
        let trace = Trace { steps: vec![step], ..Trace::default() };
        let url = Some("http://a/socket.io/".to_owned());
        Report::new(Observations { url, trace, ..Observations::default() })
    }

    #[test]
    fn what_a_server_sent_does_not_steer_the_terminal() {
        let plain = text(&report(), Colours::Off);
        assert!(plain.chars().all(|c| c == '\n' || !steers(c)), "{plain:?}");
        let coloured = text(&report(), Colours::On);
        assert!(coloured.contains("\u{1b}[32mok\u{1b}[0m") && !coloured.contains('\u{7}'));
        let value = serde_json::to_value(report()).unwrap();
        let json = escaped(&format!("{value:#}"));
        assert!(json.chars().all(|c| c == '\n' || !steers(c)), "{json:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap(), value);
    }
}
