//! What a node's answer to a check says about it.
//!
//! Pure. Runs at start, at reload, or on a timer.

use http::StatusCode;
use memchr::memmem;
use serde_json::Value;

use crate::engineio::{OpenPacket, Scan};
use crate::upstream::health::CheckOutcome;
use crate::upstream::health::settings::HttpCheck;

/// Whether the answer to an HTTP check is as it must be. `body` is what was read of it.
pub(super) fn judge_http(check: &HttpCheck, status: StatusCode, body: &[u8]) -> CheckOutcome {
    let has = |word: &str| memmem::find(body, word.as_bytes()).is_some();
    if check.drain.as_deref().is_some_and(has) {
        return CheckOutcome::Drain;
    }
    if !check.status.contains(&status.as_u16()) {
        return CheckOutcome::Failed(format!("it answered {}", status.as_u16()).into());
    }
    match check.body.as_deref().filter(|word| !has(word)) {
        Some(word) => CheckOutcome::Failed(format!("`{word}` is not in its answer").into()),
        None => CheckOutcome::Passed,
    }
}

/// Whether a handshake was answered as Engine.IO answers, and the session that it opened.
///
/// A refusal is an answer too: a server that refuses in Engine.IO's own words is alive. Node
/// refuses with `{"code":4,...}`, where engineioxide writes the code as a string, and python with
/// its sentence as JSON.
pub(super) fn judge_engineio(
    status: StatusCode,
    body: &[u8],
) -> (CheckOutcome, Option<OpenPacket>) {
    if status == StatusCode::OK
        && let Scan::Open(open) = OpenPacket::scan(body)
    {
        return (CheckOutcome::Passed, Some(open));
    }
    if status.is_client_error() && is_refusal(body) {
        return (CheckOutcome::Passed, None);
    }
    let reason = format!("it answered {}, and not as Engine.IO does", status.as_u16());
    (CheckOutcome::Failed(reason.into()), None)
}

fn is_refusal(body: &[u8]) -> bool {
    match serde_json::from_slice(body) {
        Ok(Value::Object(error)) => match error.get("code") {
            Some(Value::Number(code)) => code.as_u64().is_some_and(|code| code <= CODE_MAX),
            Some(Value::String(code)) => code.parse().is_ok_and(|code: u64| code <= CODE_MAX),
            _ => false,
        },
        Ok(Value::String(_)) => true,
        _ => false,
    }
}

/// The highest of Engine.IO's error codes, "Unsupported protocol version". Other programs have
/// objects with a `code` as well, mostly of three digits.
const CODE_MAX: u64 = 5;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engineio::Form;

    fn status(status: u16) -> StatusCode {
        StatusCode::from_u16(status).unwrap()
    }

    #[test]
    fn an_http_answer_must_have_its_status_and_its_word() {
        let check = |status_max: u16, body: Option<&str>, answer: (u16, &str), failure: &str| {
            let check = HttpCheck {
                host: None,
                path: "/health".into(),
                status: 200..=status_max,
                body: body.map(Into::into),
                drain: Some("leaving".into()),
            };
            let outcome = judge_http(&check, status(answer.0), answer.1.as_bytes());
            let expected = match failure {
                "" => CheckOutcome::Passed,
                "drain" => CheckOutcome::Drain,
                failure => CheckOutcome::Failed(failure.into()),
            };
            assert_eq!(outcome, expected, "{answer:?}");
        };
        check(299, None, (200, ""), "");
        check(299, None, (204, ""), "");
        check(200, None, (204, ""), "it answered 204");
        check(299, None, (503, "oops"), "it answered 503");
        check(299, Some("fine"), (200, "all is fine"), "");
        check(299, Some("fine"), (200, "all is fin"), "`fine` is not in its answer");
        check(299, Some("fine"), (500, "all is fine"), "it answered 500");
        check(299, Some("fine"), (200, "leaving"), "drain");
        check(299, None, (503, "I am leaving"), "drain");
    }

    #[test]
    fn an_open_packet_in_any_form_is_alive_and_opens_a_session() {
        let check = |body: &str, form: Form| {
            let (outcome, open) = judge_engineio(status(200), body.as_bytes());
            assert_eq!(outcome, CheckOutcome::Passed, "{body}");
            let open = open.unwrap();
            assert_eq!((open.sid.as_str(), open.form), ("abc", form), "{body}");
        };
        let packet = r#"0{"sid":"abc","upgrades":[],"pingInterval":25000,"pingTimeout":20000}"#;
        check(packet, Form::V4);
        check(&format!("{}:{packet}2:40", packet.len()), Form::V3Text);
    }

    #[test]
    fn a_refusal_of_engine_io_is_alive_and_no_other_answer_is() {
        let check = |number: u16, body: &str, alive: bool| {
            let (outcome, open) = judge_engineio(status(number), body.as_bytes());
            assert!(open.is_none(), "{number} {body}");
            let expected = match alive {
                true => CheckOutcome::Passed,
                false => {
                    let reason = format!("it answered {number}, and not as Engine.IO does");
                    CheckOutcome::Failed(reason.into())
                }
            };
            assert_eq!(outcome, expected, "{number} {body}");
        };
        check(403, r#"{"code":4,"message":"Forbidden"}"#, true);
        check(400, r#"{"code":5,"message":"Unsupported protocol version"}"#, true);
        check(400, r#"{"code":"5","message":"x"}"#, true);
        check(400, r#""The client is using an unsupported version""#, true);
        check(401, r#""Unauthorized""#, true);

        check(404, "Cannot GET /socket.io/", false);
        check(404, r#"{"code":404,"message":"not found"}"#, false);
        check(400, r#"{"code":-1}"#, false);
        check(400, r#"{"message":"Bad Request"}"#, false);
        check(503, r#"{"code":4,"message":"Forbidden"}"#, false);
        check(200, r#"{"code":4}"#, false);
        check(200, "0{\"sid\":", false);
        check(200, "", false);
        check(502, "<html>", false);
    }
}
