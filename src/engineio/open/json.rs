//! The JSON object of an open packet.
//!
//! serde parses it and finds its end. serde does not tell the position of the sid: for that, a walk
//! over an object that is known to be valid is enough.
//!
//! Pure. Runs for every request.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Deserializer, Value};

use super::Unfound;
use crate::engineio::sid::Sid;
use crate::engineio::timings::Timings;

/// The content of an open packet's object.
#[derive(Debug)]
pub(super) struct Object {
    pub(super) sid: Sid,
    /// `None` without both timers.
    pub(super) timings: Option<Timings>,
    pub(super) offers_websocket: bool,
    /// The position of the quote that closes the sid.
    pub(super) sid_end: usize,
    /// The end of the object.
    pub(super) end: usize,
}

/// Parses the object at the start of `bytes`; anything may follow.
pub(super) fn read(bytes: &[u8]) -> Result<Object, Unfound> {
    let mut values = Deserializer::from_slice(bytes).into_iter::<Handshake>();
    let handshake = match values.next() {
        Some(Ok(handshake)) => handshake,
        Some(Err(error)) if !error.is_eof() && !ends_in_number(bytes) => {
            return Err(Unfound::Absent);
        }
        Some(Err(_)) | None => return Err(Unfound::Cut),
    };
    let end = values.byte_offset();
    let sid = handshake.sid.as_str().and_then(Sid::new).ok_or(Unfound::Absent)?;
    let sid_end = end_of_sid(bytes).ok_or(Unfound::Absent)?;
    let (timings, offers_websocket) = (handshake.timings(), handshake.offers_websocket());
    Ok(Object { sid, timings, offers_websocket, sid_end, end })
}

/// Whether `bytes` with another digit would be the beginning of an object.
///
/// In a value that it skips, serde reports a number that ends after its sign, point or exponent as
/// invalid, although only the rest has not arrived.
fn ends_in_number(bytes: &[u8]) -> bool {
    let [.., b'-' | b'+' | b'.' | b'e' | b'E'] = bytes else { return false };
    let longer = [bytes, b"0"].concat();
    let mut values = Deserializer::from_slice(&longer).into_iter::<Handshake>();
    values.next().is_some_and(|value| value.is_err_and(|error| error.is_eof()))
}

/// The keys of an open packet that matter here. The numbers are accepted as any value, so that an
/// unusual one does not cost the session its affinity. So is the sid, so that the result for a part
/// of the object also holds for more of it: serde would refuse a number there, but not one that is
/// cut.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Handshake {
    sid: Value,
    #[serde(default)]
    upgrades: Value,
    #[serde(default)]
    ping_interval: Value,
    #[serde(default)]
    ping_timeout: Value,
    #[serde(default = "unannounced")]
    max_payload: Value,
}

fn unannounced() -> Value {
    Timings::PAYLOAD_BYTES_UNANNOUNCED.into()
}

impl Handshake {
    fn offers_websocket(&self) -> bool {
        let upgrades = self.upgrades.as_array();
        upgrades.is_some_and(|offered| offered.iter().any(|name| name == "websocket"))
    }

    /// A guess instead of a timer would cut a session that is alive.
    fn timings(&self) -> Option<Timings> {
        Some(Timings {
            ping_interval: timer(&self.ping_interval)?,
            ping_timeout: timer(&self.ping_timeout)?,
            payload_bytes_max: match &self.max_payload {
                // JSON's way to write Infinity.
                Value::Null => u64::MAX,
                value => number(value).unwrap_or(Timings::PAYLOAD_BYTES_UNANNOUNCED),
            },
        })
    }
}

/// A number of milliseconds.
fn timer(value: &Value) -> Option<Duration> {
    number(value).map(|millis| Duration::from_millis(millis.min(TIMER_MILLIS_MAX)))
}

/// The longest timer of Node (2^31 - 1), so that sums of timings cannot overflow.
const TIMER_MILLIS_MAX: u64 = i32::MAX as u64;

/// A number that is not negative, without its fraction.
fn number(value: &Value) -> Option<u64> {
    // `as` saturates.
    value.as_f64().filter(|number| *number >= 0.0).map(|number| number as u64)
}

/// The end of the string that is the value of `sid`, in bytes that begin with a valid object.
///
/// A key that is written with escapes is not found; no server writes one.
fn end_of_sid(object: &[u8]) -> Option<usize> {
    let mut depth = 0_usize;
    let mut key: &[u8] = b"";
    let mut string: &[u8] = b"";
    let mut at = 0;
    loop {
        match object.get(at)? {
            b'"' => {
                let end = end_of_string(object, at + 1)?;
                if depth == 1 && key == b"sid" {
                    return Some(end);
                }
                string = object.get(at + 1..end)?;
                at = end;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.checked_sub(1).filter(|depth| *depth > 0)?,
            b':' if depth == 1 => key = string,
            b',' if depth == 1 => key = b"",
            _ => (),
        }
        at += 1;
    }
}

/// The position of the quote that closes the string that begins at `start`.
fn end_of_string(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sid_is_found_wherever_it_stands() {
        let check = |object: &str, expected: Option<&str>| {
            let found = end_of_sid(object.as_bytes()).map(|end| &object[..end]);
            assert_eq!(found, expected, "{object}");
        };
        check(r#"{"sid":"a"}"#, Some(r#"{"sid":"a"#));
        check(r#"{ "a" : 1 , "sid" : "b\"c\\" }"#, Some(r#"{ "a" : 1 , "sid" : "b\"c\\"#));
        check(r#"{"x":"sid","sid":"b"}"#, Some(r#"{"x":"sid","sid":"b"#));
        check(r#"{"x":{"sid":"no"},"sid":"b"}"#, Some(r#"{"x":{"sid":"no"},"sid":"b"#));
        check(r#"{"x":["sid","]"],"sid":"b"}"#, Some(r#"{"x":["sid","]"],"sid":"b"#));
        check(r#"{"s\u0069d":"b"}"#, None);
        check(r#"{"x":1}"sid":"b""#, None);
        check(r#"{"sid":"b"#, None);
        check(r#"{"sid":"b\"#, None);
        check("", None);
    }

    #[test]
    fn an_object_may_be_cut_anywhere() {
        let object = br#"{"a":-1.5e+7,"b":[0e-1,{"c":-0.0E1}],"sid":"d","pingTimeout":-1.5e-7}"#;
        for end in 0..object.len() {
            let unfound = read(&object[..end]).err();
            assert_eq!(unfound, Some(Unfound::Cut), "{}", object[..end].escape_ascii());
        }
        assert!(read(object).is_ok());
        for broken in [&b"{\"a\":x-"[..], b"{\"a\":1-", b"{\"a\":1..", b"{-"] {
            let unfound = read(broken).err();
            assert_eq!(unfound, Some(Unfound::Absent), "{}", broken.escape_ascii());
        }
    }

    #[test]
    fn a_sid_that_is_no_string_is_refused_with_the_whole_object() {
        for sid in ["-66.6E1", "null", "[1]", "{}"] {
            let object = format!(r#"{{"sid":{sid}}}"#);
            for end in 0..object.len() {
                let unfound = read(&object.as_bytes()[..end]).err();
                assert_eq!(unfound, Some(Unfound::Cut), "{}", &object[..end]);
            }
            assert_eq!(read(object.as_bytes()).err(), Some(Unfound::Absent), "{object}");
        }
    }

    #[test]
    fn odd_numbers_do_no_harm() {
        let check = |keys: &str, expected: Option<(u64, u64, u64)>| {
            let object = format!(r#"{{"sid":"a"{keys}}}"#);
            let timings = read(object.as_bytes()).expect("an object").timings;
            let expected = expected.map(|(interval, timeout, payload)| {
                Timings::from_millis(interval, timeout, payload)
            });
            assert_eq!(timings, expected, "{keys}");
        };
        let both = |interval: &str, timeout: &str, more: &str| {
            format!(r#","pingInterval":{interval},"pingTimeout":{timeout}{more}"#)
        };
        check(&both("1500", "1234", r#","maxPayload":7"#), Some((1500, 1234, 7)));
        check(&both("0.5", "0", r#","maxPayload":1e6"#), Some((0, 0, 1_000_000)));
        check(&both("1e99", "9", r#","maxPayload":null"#), Some((2_147_483_647, 9, u64::MAX)));
        check(&both("1", "2", r#","maxPayload":-1"#), Some((1, 2, 100_000_000)));
        check(&both("1", "2", ""), Some((1, 2, 100_000_000)));
        check(&both("-1", "2", ""), None);
        check(&both("1", "null", ""), None);
        check(&both("1", r#""9""#, ""), None);
        check(r#","pingTimeout":20000,"maxPayload":7"#, None);
        check("", None);
    }
}
