//! The handshake of an upgrade on both sides: of WebSocket (RFC 6455, section 4), and on routes that allow
//! it of other protocols (RFC 9110, section 7.8).
//!
//! Only a 101 that answers this very handshake makes a tunnel. Every other response is an ordinary
//! one. After it the client's connection is closed, because hyper would read bytes that a client
//! sent ahead as its next request.
//!
//! Runs for every request.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT,
    SEC_WEBSOCKET_KEY, TRANSFER_ENCODING, UPGRADE,
};
use http::{Method, StatusCode, Version};
use sha1::{Digest as _, Sha1};

use super::context::Request;
use super::error::ExchangeError;
use super::headers;
use super::outcome::Switched;
use crate::engineio::Call;
use crate::route::{AllowedUpgrades, UpstreamRoute};

/// A client's handshake.
#[derive(Debug)]
pub(super) enum Handshake {
    /// For a WebSocket.
    WebSocket {
        /// `Sec-WebSocket-Key`, to which the node's 101 has to fit.
        key: HeaderValue,
    },
    /// For one of these other protocols.
    Other(Vec<Box<str>>),
}

/// Which protocols a request may ask for that goes to `route` and has these Engine.IO parameters.
pub(super) fn allowed(route: Option<&Arc<UpstreamRoute>>, call: Option<&Call>) -> AllowedUpgrades {
    match (route, call) {
        (Some(route), None) => route.limits.upgrade,
        // Engine.IO knows no other protocol than WebSocket.
        (None, _) | (_, Some(_)) => AllowedUpgrades::WebSocket,
    }
}

/// The handshake in `request`, if it is one for a protocol that may be asked for. Other upgrades do not
/// reach a node: the field is removed like the others of the connection.
///
/// # Errors
///
/// It is a handshake, but not as RFC 6455, section 4.1, or RFC 9110, section 7.8, requires.
pub(super) fn requested(
    request: &Request,
    allowed: AllowedUpgrades,
) -> Result<Option<Handshake>, ExchangeError> {
    let fields = request.headers();
    if !headers::lists(fields, &CONNECTION, "upgrade") {
        return Ok(None);
    }
    match allowed {
        _ if headers::lists(fields, &UPGRADE, "websocket") => websocket(request).map(Some),
        AllowedUpgrades::WebSocket => Ok(None),
        AllowedUpgrades::Any => other(request),
    }
}

fn websocket(request: &Request) -> Result<Handshake, ExchangeError> {
    let fields = request.headers();
    let has_body = fields.contains_key(TRANSFER_ENCODING)
        || fields.get(CONTENT_LENGTH).is_some_and(|length| length != "0");
    let fault = match fields.get(SEC_WEBSOCKET_KEY) {
        _ if *request.method() != Method::GET => "the method is not GET",
        _ if request.version() != Version::HTTP_11 => "the version is not HTTP/1.1",
        _ if has_body => "it has a body",
        None => "Sec-WebSocket-Key is missing",
        // A node may answer either of them.
        Some(_) if fields.get_all(SEC_WEBSOCKET_KEY).iter().nth(1).is_some() => {
            "there is more than one Sec-WebSocket-Key"
        }
        Some(key) => return Ok(Handshake::WebSocket { key: key.clone() }),
    };
    Err(ExchangeError::BadUpgrade(fault))
}

/// The handshake for other protocols than WebSocket. A protocol that carries HTTP is asked of no node: its
/// requests would pass all rules by (`h2c` smuggling).
fn other(request: &Request) -> Result<Option<Handshake>, ExchangeError> {
    let fields = request.headers();
    if request.version() != Version::HTTP_11
        || ![Method::GET, Method::POST].contains(request.method())
    {
        return Ok(None);
    }
    let mut protocols = Vec::new();
    for value in fields.get_all(UPGRADE) {
        // Nodes get the field as it is, so each member must be one for every reader. Empty ones are none
        // (RFC 9110, section 5.6.1.2).
        let text = value.to_str().map_err(|_| ExchangeError::BadUpgrade(NO_PROTOCOLS))?;
        let members = text.split(',').map(str::trim).filter(|member| !member.is_empty());
        protocols.extend(members.map(Box::<str>::from));
    }
    if protocols.is_empty() || protocols.iter().any(|protocol| carries_http(protocol)) {
        return Ok(None);
    }
    if !protocols.iter().all(|protocol| is_protocol(protocol)) {
        return Err(ExchangeError::BadUpgrade(NO_PROTOCOLS));
    }
    // Servers disagree about chunks before another protocol begins.
    if fields.contains_key(TRANSFER_ENCODING) {
        return Err(ExchangeError::BadUpgrade("its body has no Content-Length"));
    }
    Ok(Some(Handshake::Other(protocols)))
}

/// RFC 9110, section 7.8: a name and perhaps a version, both tokens.
fn is_protocol(text: &str) -> bool {
    let is_token = |part: &str| {
        let is_byte = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        !part.is_empty() && part.bytes().all(is_byte)
    };
    match text.split_once('/') {
        Some((name, version)) => is_token(name) && is_token(version),
        None => is_token(text),
    }
}

/// Whether what follows the upgrade is HTTP, perhaps in TLS (RFC 2817). Servers know drafts of HTTP/2 by
/// names such as `h2c-14`.
fn carries_http(protocol: &str) -> bool {
    let name = protocol.split('/').next().unwrap_or_default().to_ascii_lowercase();
    ["http", "tls"].contains(&&*name) || name.starts_with("h2") || name.starts_with("h3")
}

const NO_PROTOCOLS: &str = "Upgrade is not a list of protocols";

/// Adds the fields of the handshake that belong to the connection.
pub(super) fn put_upgrade(fields: &mut HeaderMap) {
    fields.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    fields.insert(UPGRADE, HeaderValue::from_static("websocket"));
}

/// The label in metrics for a node's response to a handshake that is not a 101.
pub(super) fn refusal_cause(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 => "400",
        401 => "401",
        403 => "403",
        404 => "404",
        426 => "426",
        429 => "429",
        502 => "502",
        503 => "503",
        _ if status.is_redirection() => "3xx",
        _ if status.is_client_error() => "4xx",
        _ if status.is_server_error() => "5xx",
        _ => "other",
    }
}

impl Handshake {
    /// Checks that a 101 answers this handshake.
    ///
    /// # Errors
    ///
    /// [`ExchangeError::BadSwitch`].
    pub(super) fn check(&self, switched: &Switched) -> Result<(), ExchangeError> {
        let (answer, is_whole) =
            (switched.response.headers(), switched.response.body().has_whole_request);
        let fault = match self {
            Self::WebSocket { key } => fault_of_websocket(key, answer),
            Self::Other(_) if !is_whole => Some("it came before the whole request was sent"),
            Self::Other(asked) => fault_of_other(asked, answer),
        };
        match fault {
            None => Ok(()),
            Some(reason) => {
                let node = switched.lease.node().name().clone();
                Err(ExchangeError::BadSwitch { node, reason })
            }
        }
    }
}

/// What is wrong with a 101, if anything (RFC 6455, section 4.1, page 19).
fn fault_of_websocket(key: &HeaderValue, answer: &HeaderMap) -> Option<&'static str> {
    if !only(answer, &UPGRADE)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
    {
        Some("Upgrade is not `websocket`")
    } else if !headers::lists(answer, &CONNECTION, "upgrade") {
        Some("Connection does not name Upgrade")
    } else if only(answer, &SEC_WEBSOCKET_ACCEPT).is_none_or(|value| *value != accept(key)) {
        Some("Sec-WebSocket-Accept does not fit the key")
    } else {
        None
    }
}

/// What is wrong with a 101 to a request for the protocols `asked`, if anything (RFC 9110, section 7.8).
fn fault_of_other(asked: &[Box<str>], answer: &HeaderMap) -> Option<&'static str> {
    let chosen = only(answer, &UPGRADE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !asked.iter().any(|protocol| protocol.eq_ignore_ascii_case(chosen.trim())) {
        Some("Upgrade is not one of the protocols that were asked for")
    } else if !headers::lists(answer, &CONNECTION, "upgrade") {
        Some("Connection does not name Upgrade")
    } else {
        None
    }
}

/// The value of a field that is there once.
fn only<'a>(fields: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = fields.get_all(name).into_iter();
    values.next().filter(|_| values.next().is_none())
}

fn accept(key: &HeaderValue) -> String {
    let digest = Sha1::new().chain_update(key.as_bytes()).chain_update(GUID).finalize();
    STANDARD.encode(digest)
}

/// RFC 6455, section 1.3.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

#[cfg(test)]
mod tests {
    use super::super::body::RequestBody;
    use super::*;

    fn request(lines: &[(&'static str, &'static str)]) -> Request {
        let mut request = Request::new(RequestBody::EMPTY);
        for (name, value) in lines {
            request.headers_mut().append(*name, HeaderValue::from_static(value));
        }
        request
    }

    #[test]
    fn only_an_upgrade_to_websocket_is_a_handshake() {
        let check = |connection, upgrade, expected| {
            let lines =
                [("connection", connection), ("upgrade", upgrade), ("sec-websocket-key", "k")];
            let asked = requested(&request(&lines), AllowedUpgrades::WebSocket).unwrap().is_some();
            assert_eq!(asked, expected, "{connection} / {upgrade}");
        };
        check("Upgrade", "websocket", true);
        check("keep-alive, Upgrade", "WebSocket", true);
        check("upgrade", "websocket, h2c", true);
        check("keep-alive", "websocket", false);
        check("Upgrade", "h2c", false);
        check("Upgrade", "websocketx", false);
    }

    #[test]
    fn a_handshake_that_breaks_the_rfc_is_refused_with_the_cause() {
        let upgrade = [("connection", "upgrade"), ("upgrade", "websocket")];
        let check = |request: &Request, expected: &str| {
            let error = requested(request, AllowedUpgrades::WebSocket).unwrap_err().to_string();
            assert!(error.ends_with(expected), "{error}");
        };
        check(&request(&upgrade), "Sec-WebSocket-Key is missing");
        let mut post = request(&upgrade);
        *post.method_mut() = Method::POST;
        check(&post, "the method is not GET");
        let mut old = request(&upgrade);
        *old.version_mut() = Version::HTTP_10;
        check(&old, "the version is not HTTP/1.1");
        check(&request(&[&upgrade[..], &[("content-length", "3")]].concat()), "it has a body");
    }

    #[test]
    fn a_101_must_answer_this_handshake() {
        // The example of RFC 6455, section 1.3.
        let key = HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==");
        let accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
        let check = |lines: &[(&'static str, &'static str)], expected: Option<&str>| {
            let fault = fault_of_websocket(&key, request(lines).headers());
            assert_eq!(fault, expected, "{lines:?}");
        };
        let good =
            [("upgrade", "WebSocket"), ("connection", "Upgrade"), ("sec-websocket-accept", accept)];
        check(&good, None);
        check(&good[1..], Some("Upgrade is not `websocket`"));
        check(&[good[0], good[0], good[1], good[2]], Some("Upgrade is not `websocket`"));
        check(&[good[0], good[2]], Some("Connection does not name Upgrade"));
        let wrong = Some("Sec-WebSocket-Accept does not fit the key");
        check(&good[..2], wrong);
        check(&[good[0], good[1], ("sec-websocket-accept", "x")], wrong);
    }

    /// What a GET with `Upgrade: upgrade` asks for on a route that allows it.
    fn asked_for(upgrade: &'static str, more: &[(&'static str, &'static str)]) -> String {
        let lines = [&[("connection", "Upgrade"), ("upgrade", upgrade)], more].concat();
        match requested(&request(&lines), AllowedUpgrades::Any) {
            Ok(Some(Handshake::Other(protocols))) => protocols.join(" "),
            Ok(Some(Handshake::WebSocket { .. })) => "a WebSocket".to_owned(),
            Ok(None) => "nothing".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn protocols_that_carry_http_and_what_is_no_protocol_are_not_asked_for() {
        assert_eq!(asked_for("tcp", &[]), "tcp");
        assert_eq!(asked_for("SPDY/3.1, tcp", &[]), "SPDY/3.1 tcp");
        assert_eq!(asked_for("tcp, WebSocket", &[("sec-websocket-key", "k")]), "a WebSocket");
        for http in [
            "h2c", "H2C", "h2", "HTTP/2.0", "TLS/1.0", "tcp, h2c", "http/1.1", "h2c-14", "H2C-17/x",
        ] {
            assert_eq!(asked_for(http, &[]), "nothing", "{http}");
        }
        assert_eq!(asked_for("tcp,,x", &[]), "tcp x");
        assert_eq!(asked_for(", tcp , ", &[]), "tcp");
        for empty in ["", ",", " , ,"] {
            assert_eq!(asked_for(empty, &[]), "nothing", "{empty:?}");
        }
        for wrong in ["t cp", "tcp,;", "a/b/c", "a/", "tcp;q=1"] {
            assert!(asked_for(wrong, &[]).ends_with(NO_PROTOCOLS), "{wrong}");
        }
        let chunked = asked_for("tcp", &[("transfer-encoding", "chunked")]);
        assert!(chunked.ends_with("its body has no Content-Length"), "{chunked}");

        let lines = [("connection", "upgrade"), ("upgrade", "tcp")];
        let by = |method: Method, version| {
            let mut request = request(&lines);
            (*request.method_mut(), *request.version_mut()) = (method, version);
            requested(&request, AllowedUpgrades::Any).unwrap().is_some()
        };
        assert!(by(Method::POST, Version::HTTP_11));
        assert!(!by(Method::PUT, Version::HTTP_11));
        assert!(!by(Method::GET, Version::HTTP_10));
        assert!(requested(&request(&lines), AllowedUpgrades::WebSocket).unwrap().is_none());
    }

    #[test]
    fn a_101_must_name_a_protocol_that_was_asked_for() {
        let asked = ["SPDY/3.1".into(), "tcp".into()];
        let check = |lines: &[(&'static str, &'static str)], is_right: bool| {
            let fault = fault_of_other(&asked, request(lines).headers());
            assert_eq!(fault.is_none(), is_right, "{lines:?}: {fault:?}");
        };
        let connection = ("connection", "upgrade");
        check(&[connection, ("upgrade", "spdy/3.1")], true);
        check(&[connection, ("upgrade", "tcp")], true);
        check(&[connection, ("upgrade", "h2c")], false);
        check(&[connection, ("upgrade", "tcp"), ("upgrade", "tcp")], false);
        check(&[connection], false);
        check(&[("upgrade", "tcp")], false);
    }
}
