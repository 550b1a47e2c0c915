//! Packets of Engine.IO and Socket.IO, as far as the doctor reads and writes them.
//!
//! Pure. Runs at start, at reload, or on a timer.

use serde::Serialize;
use serde_json::Value;

use crate::engineio::{Form, OpenPacket, Scan};

/// What a server announces in its open packet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Open {
    /// The session id: for requests, never for output.
    #[serde(skip)]
    pub(crate) sid: String,
    /// Whether `upgrades` lists `websocket`.
    pub(crate) offers_websocket: bool,
    /// Whether the response is in the form of version 3, whatever was asked for.
    pub(crate) is_old: bool,
    /// How often the heartbeat is sent, in milliseconds.
    pub(crate) ping_interval_ms: Option<u64>,
    /// How long the other side may take to answer it, in milliseconds.
    pub(crate) ping_timeout_ms: Option<u64>,
    /// `maxPayload`, in bytes. `None` if it is not announced.
    pub(crate) payload_bytes_max: Option<u64>,
}

impl Open {
    /// The open packet at the start of a body of a polling handshake.
    pub(crate) fn in_body(body: &[u8]) -> Option<Self> {
        match OpenPacket::scan(body) {
            Scan::Open(open) => Some(Self::from(&open)),
            Scan::NeedMore | Scan::NotOpen => None,
        }
    }

    /// The open packet in the first frame of a WebSocket.
    pub(crate) fn in_frame(frame: &[u8]) -> Option<Self> {
        OpenPacket::parse(frame).as_ref().map(Self::from)
    }
}

impl From<&OpenPacket> for Open {
    fn from(open: &OpenPacket) -> Self {
        let millis =
            |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let timings = open.timings;
        let payload = timings.map(|timings| timings.payload_bytes_max);
        Self {
            sid: open.sid.as_str().to_owned(),
            offers_websocket: open.offers_websocket,
            is_old: matches!(open.form, Form::V3Text | Form::V3Binary),
            ping_interval_ms: timings.map(|timings| millis(timings.ping_interval)),
            ping_timeout_ms: timings.map(|timings| millis(timings.ping_timeout)),
            payload_bytes_max: payload
                .filter(|bytes| *bytes != crate::engineio::Timings::PAYLOAD_BYTES_UNANNOUNCED),
        }
    }
}

/// The packets in the body of a polling response, at most [`PACKETS_MAX`]. Bytes that are no packets end the
/// list.
pub(crate) fn unwrap(eio: u8, body: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(body);
    if eio != 3 {
        return text.split('\u{1e}').take(PACKETS_MAX).map(str::to_owned).collect();
    }
    let mut packets = Vec::new();
    let mut rest = &*text;
    while packets.len() < PACKETS_MAX {
        let Some((length, behind)) = rest.split_once(':') else { break };
        let Ok(length) = length.parse::<usize>() else { break };
        let mut units = 0;
        let end = behind.char_indices().find_map(|(at, character)| {
            let is_end = units >= length;
            units += character.len_utf16();
            is_end.then_some(at)
        });
        let end = end.unwrap_or(behind.len());
        packets.push(behind[..end].to_owned());
        rest = &behind[end..];
    }
    packets
}

/// One packet as the body of a POST.
pub(crate) fn wrap(eio: u8, packet: &str) -> String {
    match eio {
        3 => format!("{}:{packet}", packet.encode_utf16().count()),
        _ => packet.to_owned(),
    }
}

/// The answer of a server to a CONNECT, in the packets of a response or a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Connected {
    /// The namespace is there.
    Yes,
    /// The application or the server refused, with this text.
    Refused(String),
}

/// The answer to a CONNECT to `namespace`, which is `/` or begins with it, if `packet` is one.
pub(crate) fn connected(packet: &str, namespace: &str) -> Option<Connected> {
    let kind = packet.get(..2)?;
    let rest = packet.get(2..)?;
    let (found, rest) = match rest.starts_with('/') {
        true => rest.split_once(',').unwrap_or((rest, "")),
        false => ("/", rest),
    };
    // A namespace of version 3 may have a query behind it.
    if found.split('?').next() != Some(namespace) {
        return None;
    }
    match kind {
        "40" => Some(Connected::Yes),
        "44" => {
            let value: Value = serde_json::from_str(rest).unwrap_or_default();
            let message = value.get("message").unwrap_or(&value);
            let message = message.as_str().unwrap_or_default();
            Some(Connected::Refused(message.chars().take(REASON_CHARS_MAX).collect()))
        }
        _ => None,
    }
}

/// A CONNECT to `namespace`, with `auth` in JSON.
pub(crate) fn connect(eio: u8, namespace: &str, auth: Option<&str>) -> String {
    let auth = auth.filter(|_| eio != 3).unwrap_or_default();
    match (namespace, auth) {
        ("/", auth) => format!("40{auth}"),
        (namespace, "") => format!("40{namespace},"),
        (namespace, auth) => format!("40{namespace},{auth}"),
    }
}

/// More than any server sends at once to a client that asks nothing.
const PACKETS_MAX: usize = 256;

/// Of what an application says on a refusal.
const REASON_CHARS_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_of_both_versions_are_unwrapped() {
        assert_eq!(unwrap(4, b"40{}\x1e2"), ["40{}", "2"]);
        assert_eq!(unwrap(3, "2:403:4\u{e9}x1:6".as_bytes()), ["40", "4\u{e9}x", "6"]);
        for junk in ["", "x", "9:40", "-1:4", "99999999999999999999:4"] {
            assert!(unwrap(3, junk.as_bytes()).len() <= 1, "{junk}");
        }
        assert_eq!(wrap(3, "4\u{e9}"), "2:4\u{e9}");
        assert_eq!(wrap(4, "40"), "40");
    }

    #[test]
    fn the_answer_to_a_connect_is_found() {
        let check = |packet: &str, namespace: &str, expected: Option<Connected>| {
            assert_eq!(connected(packet, namespace), expected, "{packet}");
        };
        let refused = |text: &str| Some(Connected::Refused(text.to_owned()));
        check("40{\"sid\":\"a\"}", "/", Some(Connected::Yes));
        check("40", "/", Some(Connected::Yes));
        check("40/a,{\"sid\":\"a\"}", "/a", Some(Connected::Yes));
        check("44/a,{\"message\":\"Invalid namespace\"}", "/a", refused("Invalid namespace"));
        check("44/a,\"Invalid namespace\"", "/a", refused("Invalid namespace"));
        check("44{\"message\":\"no\"}", "/", refused("no"));
        check("40/a,", "/", None);
        check("42[\"a\"]", "/", None);
        check("4", "/", None);
        check("4\u{e9}", "/", None);
    }

    #[test]
    fn an_open_packet_is_read_in_each_form() {
        let json = r#"{"sid":"abc","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
        let open = Open::in_body(format!("0{json}").as_bytes()).unwrap();
        assert_eq!(
            (&*open.sid, open.ping_interval_ms, open.payload_bytes_max),
            ("abc", Some(25_000), Some(1_000_000))
        );
        assert_eq!(Open::in_frame(format!("0{json}").as_bytes()), Some(open));
        assert_eq!(Open::in_body(b"<html>"), None);
    }

    #[test]
    fn no_bytes_of_a_server_break_anything() {
        proptest::proptest!(|(bytes: Vec<u8>, namespace in "/?[a-z]{0,3}", eio in 3..=4_u8)| {
            for packet in unwrap(eio, &bytes) {
                connected(&packet, &namespace);
            }
            let text = format!("2:{}9:", String::from_utf8_lossy(&bytes));
            assert!(unwrap(eio, text.as_bytes()).len() <= PACKETS_MAX);
            Open::in_body(&bytes);
            Open::in_frame(&bytes);
        });
    }
}
