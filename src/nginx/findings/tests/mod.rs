//! Each mistake is found where it is, and not where it is not.

mod corpus;
mod refused;

use super::*;
use crate::nginx::reader::parse;

/// The ids of what is found in `text`, each once.
fn ids(text: &str) -> Vec<&'static str> {
    let directives = parse("a.conf", text).directives;
    let mut ids: Vec<_> =
        findings(&directives, &Model::new(&directives)).iter().map(|it| it.id).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// The level of the finding `id` in `text`.
fn level(id: &str, text: &str) -> Option<Level> {
    let directives = parse("a.conf", text).directives;
    findings(&directives, &Model::new(&directives)).iter().find(|it| it.id == id).map(|it| it.level)
}

/// A location of Socket.IO in which nothing is wrong, with `more` in it.
fn sound(more: &str) -> String {
    within("/socket.io/", &format!("{FIELDS} {more}"))
}

fn within(location: &str, content: &str) -> String {
    format!("server {{ listen 80; location {location} {{ {content} }} }}")
}

const MAP: &str = "map $http_upgrade $connection_upgrade { default upgrade; '' close; }";
const UPGRADE: &str = "proxy_pass http://app:3000; proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection $upgrades; proxy_read_timeout 1h; proxy_buffering off; set $upgrades $http_connection;";
const FIELDS: &str = "proxy_pass http://app:3000; proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection $upgrades; proxy_read_timeout 1h; proxy_buffering off; set $upgrades $http_connection;
    proxy_set_header Host $host; proxy_set_header X-Forwarded-For $remote_addr;
    proxy_set_header X-Forwarded-Proto $scheme;";

/// A mistake, a text that has it, and one that does not although it is near.
type Example = (&'static str, String, String);

/// What is sound with an upstream that has this content.
fn upstream(content: &str) -> String {
    format!("upstream app {{ {content} }} {}", sound("").replace("app:3000", "app"))
}

/// What is sound without this part.
fn without(part: &str) -> String {
    sound("").replace(part, "")
}

fn examples() -> Vec<Example> {
    [
        upgrades(),
        paths(),
        nodes(),
        limits(),
        request_fields(),
        other_fields(),
        refused::in_parts(),
        refused::as_a_whole(),
    ]
    .concat()
}

fn upgrades() -> Vec<Example> {
    vec![
        ("upgrade-missing", without("proxy_set_header Upgrade $http_upgrade;"), sound("")),
        (
            "upgrade-fixed",
            sound("").replace("$http_upgrade", "websocket").replace("$upgrades", "upgrade"),
            sound(""),
        ),
        (
            "upgrade-swapped",
            format!(
                "{MAP} {}",
                sound("").replace("Upgrade $http_upgrade", "Upgrade $connection_upgrade")
            ),
            sound(""),
        ),
        (
            "connection-not-upgrade",
            sound("").replace("Connection $upgrades", "Connection keep-alive"),
            sound(""),
        ),
        (
            "connection-always-upgrade",
            sound("").replace("Connection $upgrades", "Connection 'Upgrade'"),
            format!("{MAP} {}", sound("").replace("$upgrades", "$connection_upgrade")),
        ),
        ("http-1.0", without("proxy_http_version 1.1;"), sound("")),
        (
            "map-unused",
            format!("{MAP} {}", sound("")),
            format!("{MAP} {}", sound("").replace("$upgrades", "${connection_upgrade}")),
        ),
        ("no-target", without("proxy_pass http://app:3000;"), sound("")),
        ("http2-only", "server { listen 80 http2; }".into(), "server { listen 80; }".into()),
        (
            "http2-without-websockets",
            "server { listen 443 ssl http2; ssl_certificate a; }".into(),
            "server { listen 443 ssl; ssl_certificate a; }".into(),
        ),
    ]
}

fn paths() -> Vec<Example> {
    vec![
        ("path-removed", sound("").replace(":3000;", ":3000/;"), sound("").replace(":3000;", ":3000/socket.io/;")),
        ("slash-doubled", within("/ws", &UPGRADE.replace(":3000;", ":3000/;")), within("/ws", &UPGRADE.replace(":3000;", ":3000/ws;"))),
        ("slash-lost", within("/ws/", &UPGRADE.replace(":3000;", ":3000/b;")), within("/ws/", &UPGRADE.replace(":3000;", ":3000/b/;"))),
        ("slash-missing", within("= /socket.io", FIELDS), within("= /socket.io/", FIELDS)),
        ("slash-redirect", within("/ws/", UPGRADE), within("/ws", UPGRADE)),
        ("static-steals", sound("} location ~* \\.(js|css)$ { expires 1d;"), sound("} location ~* \\.css$ { expires 1d;")),
        ("prefix-within-word", within("/ws", UPGRADE), within("/ws/", UPGRADE)),
        ("expression-loose", within("~* \\.io", FIELDS), within("~ ^/socket\\.io/", FIELDS)),
        ("expression-shadowed", "server { location ~ ^/a { } location ~ ^/a/b { } }".into(),
            "server { location ~ ^/a/b { } location ~ ^/a { } location ~ ^/c$ { } location ~ ^/c$|^/d { } }".into()),
        ("named-location-settings", within("/a", "proxy_read_timeout 9s; try_files /x @n;"), within("/a", "root /x; try_files /x @n;")),
        ("query-filter", sound("if ($query_string ~ 'set|drop') { return 403; }"), sound("if ($query_string ~ 'x') { set $y 1; }")),
    ]
}

fn nodes() -> Vec<Example> {
    vec![
        ("not-sticky", upstream("server a; server b;"), upstream("ip_hash; server a; server b;")),
        (
            "address-affinity",
            upstream("ip_hash; server a; server b;"),
            upstream("ip_hash; server a; server b down;"),
        ),
        ("one-name", sound("").replace("app:3000", "app.default.svc:3000"), sound("")),
        (
            "localhost",
            sound("").replace("app:3000", "localhost:3000"),
            sound("").replace("app:3000", "localhost.example:3000"),
        ),
        (
            "keepalive-unused",
            format!(
                "upstream app {{ server a; keepalive 9; }} {}",
                within("/", "proxy_pass http://app;")
            ),
            upstream("server a; keepalive 9;"),
        ),
    ]
}

fn limits() -> Vec<Example> {
    vec![
        ("idle-60s", within("/ws", &UPGRADE.replace("1h", "60s")), within("/ws", UPGRADE)),
        ("timeout-under-ping", sound("").replace("1h", "20s"), sound("").replace("1h", "30s")),
        ("poll-buffering", without("proxy_buffering off;"), sound("")),
        ("polls-cached", sound("proxy_cache zone;"), sound("proxy_cache off;")),
        (
            "polls-limited",
            sound("limit_req zone=a;"),
            within("/", "limit_req zone=a; proxy_pass http://a;"),
        ),
        (
            "connections-limited",
            sound("limit_conn a 5;"),
            within("/", "limit_conn a 5; proxy_pass http://a;"),
        ),
        ("body-limit", sound("client_max_body_size 16k;"), sound("client_max_body_size 0;")),
    ]
}

fn request_fields() -> Vec<Example> {
    vec![
        ("host-missing", without("proxy_set_header Host $host;"), sound("")),
        (
            "forwarded-for-missing",
            without("proxy_set_header X-Forwarded-For $remote_addr;"),
            sound(""),
        ),
        (
            "client-address-forged",
            sound("").replace(
                "X-Forwarded-For $remote_addr",
                "X-Forwarded-For $proxy_add_x_forwarded_for",
            ),
            sound(""),
        ),
        (
            "forwarded-proto-missing",
            without("proxy_set_header X-Forwarded-Proto $scheme;")
                .replace("listen 80;", "listen 443 ssl; ssl_certificate a;"),
            without("proxy_set_header X-Forwarded-Proto $scheme;"),
        ),
        (
            "fields-lost",
            format!("proxy_set_header Host $host; {}", within("/ws", UPGRADE)),
            format!("proxy_set_header X-A $host; {}", within("/ws", UPGRADE)),
        ),
        (
            "field-twice",
            sound("proxy_set_header host $http_host;"),
            sound("proxy_set_header X-Host $http_host;"),
        ),
    ]
}

fn other_fields() -> Vec<Example> {
    vec![
        (
            "cors-twice",
            sound("add_header Access-Control-Allow-Origin $http_origin;"),
            sound(
                "add_header Access-Control-Allow-Origin x; proxy_hide_header Access-Control-Allow-Origin;",
            ),
        ),
        (
            "cors-any-with-credentials",
            sound(
                "add_header Access-Control-Allow-Origin *; add_header Access-Control-Allow-Credentials true;",
            ),
            sound("add_header Access-Control-Allow-Origin *;"),
        ),
        (
            "response-fields-lost",
            format!("add_header A 1; {}", sound("add_header B 2;")),
            format!("add_header A 1; {}", sound("")),
        ),
        (
            "real-ip-untrusted",
            format!("real_ip_header X-Forwarded-For; {}", sound("")),
            format!("real_ip_header X-Forwarded-For; set_real_ip_from 10.0.0.0/8; {}", sound("")),
        ),
        (
            "no-sni",
            sound("").replace("http://app", "https://app"),
            sound("proxy_ssl_server_name on;").replace("http://app", "https://app"),
        ),
        (
            "name-twice",
            "server { server_name a; } server { server_name a; }".into(),
            "server { server_name a; } server { listen 81; server_name a; }".into(),
        ),
    ]
}

#[test]
fn each_mistake_is_found_and_nothing_near_it() {
    let examples = examples();
    for (id, wrong, right) in &examples {
        assert!(ids(wrong).contains(id), "{id} is not found in {wrong}: {:?}", ids(wrong));
        assert!(!ids(right).contains(id), "{id} is found in {right}");
    }
    let tried: Vec<&str> = examples.iter().map(|(id, ..)| *id).collect();
    let all: Vec<&str> = RULES.iter().map(|rule| rule.id).collect();
    assert_eq!(tried, all, "each rule has its example, in the order of the table");
}

#[test]
fn a_sound_location_has_no_finding() {
    assert_eq!(ids(&sound("")), Vec::<&str>::new());
}

#[test]
fn what_breaks_is_not_among_the_hints() {
    let several = |location: &str| {
        format!(
            "upstream app {{ server a; server b; }} {}",
            within(location, &FIELDS.replace("app:3000", "app"))
        )
    };
    assert_eq!(level("not-sticky", &several("/socket.io/")), Some(Level::Breaks));
    assert_eq!(level("not-sticky", &several("/")), Some(Level::BreaksWhen), "it may be Socket.IO");
    assert_eq!(level("not-sticky", &several("/ws")), None);
    let minute = |location: &str| within(location, &FIELDS.replace("1h", "60s"));
    assert_eq!(
        level("idle-60s", &minute("/socket.io/")),
        Some(Level::Hint),
        "the heartbeat is sooner"
    );
    assert_eq!(level("idle-60s", &minute("/ws")), Some(Level::BreaksWhen));
    assert_eq!(level("idle-60s", &minute("/cable")), Some(Level::Hint), "so it is");
    assert_eq!(
        level("timeout-under-ping", &minute("/ws").replace("60s", "10s")),
        Some(Level::BreaksWhen)
    );
    for id in ["host-missing", "localhost", "forwarded-proto-missing"] {
        assert_eq!(rule(id).map(|rule| rule.level), Some(Level::Hint), "{id}");
    }
}

#[test]
fn an_empty_field_beside_another_of_its_name_does_not_count() {
    let both = |one: &str, other: &str| {
        sound(&format!("proxy_set_header Connection {one};"))
            .replace("$upgrades;", &format!("{other};"))
    };
    assert_eq!(level("field-twice", &both("''", "upgrade")), Some(Level::Hint));
    assert_eq!(level("connection-not-upgrade", &both("''", "upgrade")), None);
    assert_eq!(level("field-twice", &both("close", "upgrade")), Some(Level::BreaksWhen));
}

#[test]
fn a_named_location_is_for_what_leads_to_it() {
    let text =
        "server { location /socket.io/ { try_files /x @n; } location @n { proxy_pass http://a; } }";
    assert!(ids(text).contains(&"upgrade-missing"), "{:?}", ids(text));
    let other = text.replace("/socket.io/", "/a/");
    assert!(!ids(&other).contains(&"upgrade-missing"));
}

#[test]
fn a_finding_says_where_it_is_and_what_people_see() {
    let directives = parse("a.conf", &sound("\nlimit_req zone=a;")).directives;
    let found = findings(&directives, &Model::new(&directives));
    let finding = found.iter().find(|it| it.id == "polls-limited").unwrap();
    assert_eq!(finding.at.as_ref().map(|at| at.line), Some(5), "{finding:?}");
    assert!(!finding.symptom.is_empty() && !finding.remedy.is_empty());
}

#[test]
fn the_manual_has_the_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/nginx-findings.md");
    let manual = std::fs::read_to_string(path).unwrap();
    let rows = RULES.iter().map(|rule| {
        let level = match rule.level {
            Level::Breaks => "breaks",
            Level::BreaksWhen => "breaks when",
            Level::Hint | Level::ByHand | Level::Note | Level::NotNeeded => "hint",
        };
        let cells = [rule.id, level, rule.mistake, rule.symptom, rule.remedy]
            .map(|cell| cell.replace('|', "\\|"));
        format!("| `{}` | {} |", cells[0], cells[1..].join(" | "))
    });
    let expected = rows.collect::<Vec<_>>().join("\n");
    assert!(manual.contains(&expected), "docs/nginx-findings.md: the table is\n{expected}");
}
