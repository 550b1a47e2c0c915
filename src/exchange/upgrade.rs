//! The WebSocket handshake on both sides (RFC 6455, section 4).
//!
//! Only a 101 that answers this very handshake makes a tunnel. Every other response is an ordinary
//! one. After it the client's connection is closed, because hyper would read bytes that a client
//! sent ahead as its next request.
//!
//! Runs for every request.

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

/// A client's WebSocket handshake.
#[derive(Debug)]
pub(super) struct Handshake {
    /// `Sec-WebSocket-Key`, to which the node's 101 has to fit.
    key: HeaderValue,
}

/// The WebSocket handshake in `request`, if it is one. Other upgrades such as `Upgrade: h2c` do not
/// reach a node: the field is removed like the others of the connection.
///
/// # Errors
///
/// It is a handshake, but not as RFC 6455, section 4.1 requires.
pub(super) fn requested(request: &Request) -> Result<Option<Handshake>, ExchangeError> {
    let fields = request.headers();
    if !headers::lists(fields, &CONNECTION, "upgrade")
        || !headers::lists(fields, &UPGRADE, "websocket")
    {
        return Ok(None);
    }
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
        Some(key) => return Ok(Some(Handshake { key: key.clone() })),
    };
    Err(ExchangeError::BadUpgrade(fault))
}

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
        match self.fault_of(switched.response.headers()) {
            None => Ok(()),
            Some(reason) => {
                let node = switched.lease.node().name().clone();
                Err(ExchangeError::BadSwitch { node, reason })
            }
        }
    }

    /// What is wrong with a 101, if anything (RFC 6455, section 4.1, page 19).
    fn fault_of(&self, answer: &HeaderMap) -> Option<&'static str> {
        let only = |name: &HeaderName| {
            let mut values = answer.get_all(name).into_iter();
            values.next().filter(|_| values.next().is_none())
        };
        if !only(&UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
        {
            Some("Upgrade is not `websocket`")
        } else if !headers::lists(answer, &CONNECTION, "upgrade") {
            Some("Connection does not name Upgrade")
        } else if only(&SEC_WEBSOCKET_ACCEPT).is_none_or(|value| *value != self.accept()) {
            Some("Sec-WebSocket-Accept does not fit the key")
        } else {
            None
        }
    }

    fn accept(&self) -> String {
        let digest = Sha1::new().chain_update(self.key.as_bytes()).chain_update(GUID).finalize();
        STANDARD.encode(digest)
    }
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
            let asked = requested(&request(&lines)).unwrap().is_some();
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
            let error = requested(request).unwrap_err().to_string();
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
        let handshake = Handshake { key: HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==") };
        let accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
        let check = |lines: &[(&'static str, &'static str)], expected: Option<&str>| {
            assert_eq!(handshake.fault_of(request(lines).headers()), expected, "{lines:?}");
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
}
