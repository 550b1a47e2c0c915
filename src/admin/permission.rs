//! Whether a request may have an answer: by its key or password, and for commands by where it comes from.
//!
//! A page of another site in an operator's browser can send requests to the listener, with a plain form, or
//! with a host name that resolves to this machine; the browser adds the password. So a command with an
//! `Origin`, which only browsers send, has to come from our own page, and has a field that no form can send.
//!
//! Runs at start, at reload, or on a timer.

use std::net::IpAddr;

use http::StatusCode;
use http::header::{HOST, HeaderMap, HeaderValue, ORIGIN, RETRY_AFTER, WWW_AUTHENTICATE};
use http::request::Parts;
use tracing::{debug, info};

use super::answer::{Answer, refuse};
use super::page::OWN_FIELD;
use crate::Instant;
use crate::access::{Operator, OperatorFault, Operators, Role};

/// Who may use an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Everyone: load balancers have no keys.
    Open,
    /// Those with this role.
    Needs(Role),
}

/// Who sends the request; `None` if nobody has to say.
///
/// # Errors
///
/// The answer to one who may not use the endpoint.
pub(super) async fn permit(
    operators: Option<&Operators>,
    access: Access,
    head: &Parts,
    address: IpAddr,
) -> Result<Option<Operator>, Answer> {
    let (Some(operators), Access::Needs(needed)) = (operators, access) else { return Ok(None) };
    if needed == Role::Metrics && operators.has_open_metrics() {
        return Ok(None);
    }
    let path = head.uri.path();
    match operators.check(&head.headers, address, Instant::now()).await {
        Ok(operator) if operator.role >= needed => Ok(Some(operator)),
        Ok(Operator { name, role }) => {
            info!(operator = &*name, client = %address, path, "admin request refused: another role is needed");
            let (role, needed) = (role.label(), needed.label());
            let sentence = format!("the key `{name}` is for `{role}`, and this needs `{needed}`");
            Err(refuse(StatusCode::FORBIDDEN, sentence))
        }
        Err(fault) => {
            match fault {
                OperatorFault::Missing => {
                    debug!(client = %address, path, "admin request without a key")
                }
                OperatorFault::Wrong | OperatorFault::TooMany(_) | OperatorFault::Busy => {
                    info!(client = %address, path, "admin request refused: {fault}");
                }
            }
            Err(refuse_unknown(operators, fault))
        }
    }
}

fn refuse_unknown(operators: &Operators, fault: OperatorFault) -> Answer {
    match fault {
        OperatorFault::Missing | OperatorFault::Wrong => {
            let mut answer = refuse(StatusCode::UNAUTHORIZED, fault.to_string());
            for challenge in operators.challenges() {
                answer.headers_mut().append(WWW_AUTHENTICATE, challenge);
            }
            answer
        }
        OperatorFault::TooMany(left) => {
            let mut answer = refuse(StatusCode::TOO_MANY_REQUESTS, fault.to_string());
            let seconds = left.as_secs().saturating_add(1);
            answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
            answer
        }
        OperatorFault::Busy => refuse(StatusCode::SERVICE_UNAVAILABLE, fault.to_string()),
    }
}

/// Whether a command comes from no page, or from our own. Without a key, the name of a host proves nothing:
/// any name may resolve to this machine.
pub(super) fn is_from_no_other_page(headers: &HeaderMap, operator: Option<&Operator>) -> bool {
    let mut origins = headers.get_all(ORIGIN).into_iter();
    let (Some(origin), None) = (origins.next(), origins.next()) else {
        return !headers.contains_key(ORIGIN);
    };
    let text = origin.to_str().unwrap_or_default();
    let from = ["http://", "https://"].iter().find_map(|scheme| text.strip_prefix(scheme));
    let is_own = from.is_some_and(|from| {
        headers.get(HOST).is_some_and(|host| host.as_bytes().eq_ignore_ascii_case(from.as_bytes()))
    });
    let is_marked = headers.get(OWN_FIELD).is_some_and(|mark| mark == "1");
    is_own && is_marked && (operator.is_some() || is_host_local(headers))
}

/// Whether the request's `Host` is an IP address or `localhost`, with any port.
pub(super) fn is_host_local(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(HOST).and_then(|host| host.to_str().ok()) else { return false };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        Some(_) | None => host,
    };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn only_an_address_or_localhost_is_local() {
        let check = |host: &str, expected: bool| {
            assert_eq!(is_host_local(&headers(&[("host", host)])), expected, "{host}");
        };
        for host in ["127.0.0.1:9090", "127.0.0.1", "localhost:1", "LocalHost", "[::1]:9090"] {
            check(host, true);
        }
        check("[::1]", true);
        for host in ["evil.example:9090", "127.0.0.1.evil.example", "localhost.evil", "", ":9090"] {
            check(host, false);
        }
        assert!(!is_host_local(&HeaderMap::new()));
    }

    #[test]
    fn a_command_comes_from_no_page_or_from_our_own() {
        let operator = Operator { name: "ann".into(), role: Role::Operate };
        let check = |lines: &[(&'static str, &str)], with_key: bool, without: bool| {
            let headers = headers(lines);
            assert_eq!(is_from_no_other_page(&headers, Some(&operator)), with_key, "{lines:?}");
            assert_eq!(is_from_no_other_page(&headers, None), without, "{lines:?}");
        };
        let host = ("host", "127.0.0.1:9090");
        let (own, mark) = (("origin", "http://127.0.0.1:9090"), ("x-sockeye", "1"));
        check(&[host], true, true);
        check(&[host, own, mark], true, true);
        check(&[host, own], false, false);
        check(&[host, own, ("x-sockeye", "2")], false, false);
        check(&[host, own, own, mark], false, false);
        for other in ["http://127.0.0.1:9091", "null", "127.0.0.1:9090", "https://evil.example", ""]
        {
            check(&[host, ("origin", other), mark], false, false);
        }
        // Any name may lead here.
        let named = ("host", "admin.example");
        check(&[named, ("origin", "https://admin.example"), mark], true, false);
    }
}
