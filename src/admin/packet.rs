//! What a text message of Engine.IO and Socket.IO is, for those who watch a session: its types, namespace and
//! event, and its payload without secrets.
//!
//! Pure. Runs at start, at reload, or on a timer.

use serde_json::Value;

/// A message as Engine.IO and Socket.IO see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Packet {
    pub(super) engineio: Option<&'static str>,
    pub(super) socketio: Option<&'static str>,
    pub(super) namespace: Option<String>,
    pub(super) event: Option<String>,
}

impl Packet {
    /// Reads the beginning of a text message (Engine.IO protocol 4, Socket.IO protocol 5; the types of the
    /// versions before are the same).
    pub(super) fn parse(text: &str) -> Self {
        let mut characters = text.chars();
        let engineio = match characters.next() {
            Some('0') => "open",
            Some('1') => "close",
            Some('2') => "ping",
            Some('3') => "pong",
            Some('4') => "message",
            Some('5') => "upgrade",
            Some('6') => "noop",
            _ => return Self::default(),
        };
        let socketio = match characters.next().filter(|_| engineio == "message") {
            Some('0') => Some("connect"),
            Some('1') => Some("disconnect"),
            Some('2') => Some("event"),
            Some('3') => Some("ack"),
            Some('4') => Some("connect_error"),
            Some('5') => Some("binary_event"),
            Some('6') => Some("binary_ack"),
            _ => None,
        };
        let mut packet = Self { engineio: Some(engineio), socketio, ..Self::default() };
        if socketio.is_some() {
            packet.read_event(characters.as_str());
        }
        packet
    }

    /// Reads `[attachments-][/namespace,][id][json]`.
    fn read_event(&mut self, text: &str) {
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let mut rest = text;
        if let Some(behind) = rest.get(digits(rest)..).and_then(|rest| rest.strip_prefix('-')) {
            rest = behind;
        }
        let namespace = match rest.starts_with('/') {
            true => {
                let (namespace, behind) = rest.split_once(',').unwrap_or((rest, ""));
                rest = behind;
                namespace.split('?').next().unwrap_or_default()
            }
            false => "/",
        };
        self.namespace = Some(cut(namespace));
        let data = rest.get(digits(rest)..).unwrap_or_default();
        let is_event = matches!(self.socketio, Some("event" | "binary_event"));
        self.event = data.strip_prefix("[\"").filter(|_| is_event).and_then(|data| {
            // A name with an escape is rare, and is shown as far as it goes.
            data.split(['"', '\\']).next().map(cut)
        });
    }
}

/// The payload of a text message, without the values of fields whose name sounds like a secret. `None` if it
/// cannot be told apart: it is cut, or it is no JSON and has such a word.
pub(super) fn redacted(text: &str, is_whole: bool) -> Option<String> {
    let begin = text.find(['[', '{']);
    let json = begin.and_then(|begin| serde_json::from_str::<Value>(text.get(begin..)?).ok());
    match (begin, json) {
        (Some(begin), Some(mut json)) if is_whole => {
            redact(&mut json);
            Some(format!("{}{json}", text.get(..begin).unwrap_or_default()))
        }
        _ => (!is_secret(text)).then(|| cut_to(text, SHOWN_BYTES_MAX)),
    }
}

fn redact(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match is_secret(name) {
                    true => *value = Value::from("…"),
                    false => redact(value),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(redact),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => (),
    }
}

/// Whether a name, or a text, has a word that stands for a secret.
fn is_secret(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    SECRETS.iter().any(|secret| text.contains(secret))
}

fn cut(name: &str) -> String {
    cut_to(name, NAME_BYTES_MAX)
}

fn cut_to(text: &str, bytes_max: usize) -> String {
    let mut shown = String::new();
    for character in text.chars() {
        if shown.len() + character.len_utf8() > bytes_max {
            shown.push('…');
            break;
        }
        shown.push(character);
    }
    shown
}

/// The words of names whose values are never shown.
const SECRETS: [&str; 10] = [
    "password",
    "passwd",
    "secret",
    "token",
    "authorization",
    "cookie",
    "apikey",
    "api_key",
    "session",
    "credential",
];

/// The longest name that is shown.
const NAME_BYTES_MAX: usize = 128;

/// The longest text that is shown.
const SHOWN_BYTES_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_namespace_and_event_are_read() {
        let check = |text: &str, expected: [Option<&str>; 4]| {
            let packet = Packet::parse(text);
            let (namespace, event) = (packet.namespace.as_deref(), packet.event.as_deref());
            assert_eq!([packet.engineio, packet.socketio, namespace, event], expected, "{text}");
        };
        let message = Some("message");
        check("2", [Some("ping"), None, None, None]);
        check("0{\"sid\":\"a\"}", [Some("open"), None, None, None]);
        check("40", [message, Some("connect"), Some("/"), None]);
        check("40/admin,{\"token\":1}", [message, Some("connect"), Some("/admin"), None]);
        check("42[\"chat\",1]", [message, Some("event"), Some("/"), Some("chat")]);
        check("42/admin,12[\"a b\",{}]", [message, Some("event"), Some("/admin"), Some("a b")]);
        check("451-/x,[\"file\",{}]", [message, Some("binary_event"), Some("/x"), Some("file")]);
        check("4312[\"yes\"]", [message, Some("ack"), Some("/"), None]);
        check("4hello", [message, None, None, None]);
        check("hello", [None; 4]);
        check("", [None; 4]);
        check("42[\"a\\\"b\"]", [message, Some("event"), Some("/"), Some("a")]);
    }

    #[test]
    fn secrets_are_not_shown() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(redacted(text, true).as_deref(), expected, "{text}");
        };
        check("42[\"say\",{\"a\":1}]", Some("42[\"say\",{\"a\":1}]"));
        check(
            "42[\"in\",{\"Password\":\"x\",\"b\":[{\"token\":{}}]}]",
            Some("42[\"in\",{\"Password\":\"…\",\"b\":[{\"token\":\"…\"}]}]"),
        );
        check("40{\"token\":\"x\"}", Some("40{\"token\":\"…\"}"));
        check("plain text", Some("plain text"));
        check("token=x", None);
        assert_eq!(redacted("42[\"in\",{\"password\":\"x", false), None);
        assert!(redacted(&"é".repeat(9999), true).unwrap().len() <= SHOWN_BYTES_MAX + 3);
    }
}
