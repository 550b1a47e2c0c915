//! Which responses prove that a node did nothing because it does not know the session.
//!
//! Only after such a response may another node get the same request: a poll or a POST that a node
//! may have taken is never sent twice.
//!
//! Pure. Runs for every request.

use serde_json::Value;

/// The longest body that [`is_unknown_sid`] needs, in bytes: python's contains the sid, each byte
/// of which may be escaped as six.
pub(crate) const REFUSAL_BYTES_MAX: usize = 4096;

/// Whether a response with this status and complete body says that the sid is unknown.
///
/// Node answers `{"code":1,...}`, and a refused upgrade is the text `Session ID unknown`;
/// engineioxide writes the code as a string; python answers the JSON string
/// `"Invalid session <sid>"`. Python's refused upgrade (403 without a body) may have any cause
/// and proves nothing.
pub(crate) fn is_unknown_sid(status: u16, body: &[u8]) -> bool {
    if status != 400 || body.len() > REFUSAL_BYTES_MAX {
        return false;
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(error)) => match error.get("code") {
            Some(Value::Number(code)) => code.as_u64() == Some(1),
            Some(Value::String(code)) => code == "1",
            _ => false,
        },
        Ok(Value::String(message)) => message.starts_with("Invalid session"),
        _ => body.trim_ascii() == b"Session ID unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_unknown_sid_is_a_proof() {
        let check = |status: u16, body: &str, expected: bool| {
            assert_eq!(is_unknown_sid(status, body.as_bytes()), expected, "{status} {body}");
        };
        check(400, r#"{"code":1,"message":"Session ID unknown"}"#, true);
        check(400, r#"{"message":"Session ID unknown", "code":"1"}"#, true);
        check(400, r#""Invalid session lv_VI97HAXpY6yYWAAAC""#, true);
        check(400, "Session ID unknown", true);
        check(400, "Session ID unknown\n", true);

        check(200, r#"{"code":1,"message":"Session ID unknown"}"#, false);
        check(403, "", false);
        check(400, "", false);
        check(400, r#"{"code":3,"message":"Bad request"}"#, false);
        check(400, r#"{"code":11}"#, false);
        check(400, r#"{"code":1"#, false);
        check(400, r#"[1]"#, false);
        check(400, r#""Bad request""#, false);
        check(400, "Transport unknown", false);
        check(400, &format!(r#"{{"code":1,"x":"{:4096}"}}"#, ""), false);
    }
}
