//! A WebSocket over HTTP/2 (RFC 8441) as the handshake that it would be over HTTP/1.1.
//!
//! Nodes speak HTTP/1.1, so the rest of the exchange sees a GET with `Upgrade`. The key is ours, and the
//! node's 101 must fit it as always. The client gets a 200 without key and accept.
//!
//! Runs for every request.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    HeaderMap, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, TRANSFER_ENCODING,
};
use http::{Method, StatusCode, Version, response};

use super::context::Request;
use super::error::ExchangeError;
use super::{headers, upgrade};

/// Marks a request that was an extended CONNECT.
#[derive(Clone, Copy, Debug)]
pub(super) struct ExtendedConnect;

/// Makes `request` an HTTP/1.1 handshake if it is an extended CONNECT for a WebSocket. Whether the
/// client has announced that it speaks RFC 8441 does not matter: it has just done so.
///
/// # Errors
///
/// It is an extended CONNECT for another protocol.
pub(super) fn translate(request: &mut Request) -> Result<(), ExchangeError> {
    let extensions = request.extensions_mut();
    let of_listener = extensions.remove::<h2::ext::Protocol>();
    let of_hyper = extensions.remove::<hyper::ext::Protocol>();
    let protocol = of_listener.as_ref().map(h2::ext::Protocol::as_str);
    let protocol = protocol.or_else(|| of_hyper.as_ref().map(hyper::ext::Protocol::as_str));
    match protocol {
        None => return Ok(()),
        // A token in lower case (RFC 8441, section 5.1).
        Some("websocket") => (),
        Some(_) => return Err(ExchangeError::UnknownProtocol),
    }
    extensions.insert(ExtendedConnect);
    *request.method_mut() = Method::GET;
    *request.version_mut() = Version::HTTP_11;
    put_handshake(request.headers_mut(), new_key());
    Ok(())
}

/// Makes a node's 101 the response to an extended CONNECT.
pub(super) fn accept(head: &mut response::Parts) {
    head.status = StatusCode::OK;
    headers::remove_hop_by_hop(&mut head.headers);
    head.headers.remove(SEC_WEBSOCKET_ACCEPT);
}

fn put_handshake(fields: &mut HeaderMap, key: HeaderValue) {
    fields.remove(TRANSFER_ENCODING);
    fields.insert(SEC_WEBSOCKET_KEY, key);
    upgrade::put_upgrade(fields);
}

/// 16 random bytes (RFC 6455, section 4.1).
fn new_key() -> HeaderValue {
    let key = STANDARD.encode(fastrand::u128(..).to_be_bytes());
    HeaderValue::try_from(key).expect("base64 is valid in a field")
}

#[cfg(test)]
mod tests {
    use super::super::body::RequestBody;
    use super::super::tests::headers;
    use super::*;
    use crate::route::AllowedUpgrades;

    fn connect(protocol: Option<&'static str>, fields: &[&str]) -> Request {
        let mut request = http::Request::new(RequestBody::default());
        *request.method_mut() = Method::CONNECT;
        *request.version_mut() = Version::HTTP_2;
        *request.uri_mut() = "https://a.b/socket.io/?EIO=4".parse().unwrap();
        *request.headers_mut() = headers(fields);
        request.extensions_mut().extend(
            protocol
                .map(|protocol| {
                    let mut extensions = http::Extensions::new();
                    extensions.insert(h2::ext::Protocol::from_static(protocol));
                    extensions
                })
                .unwrap_or_default(),
        );
        request
    }

    #[test]
    fn an_extended_connect_becomes_a_handshake_with_a_key_of_ours() {
        let fields =
            ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: theirs", "Sec-WebSocket-Protocol: x"];
        let keys = [(), ()].map(|()| {
            let mut request = connect(Some("websocket"), &fields);
            translate(&mut request).unwrap();
            assert_eq!((request.method(), request.version()), (&Method::GET, Version::HTTP_11));
            let asked = upgrade::requested(&request, AllowedUpgrades::WebSocket);
            assert!(asked.unwrap().is_some());
            let fields = request.headers();
            assert_eq!(fields["sec-websocket-protocol"], "x");
            assert_eq!(fields["sec-websocket-version"], "13");
            assert_eq!(fields.get_all(SEC_WEBSOCKET_KEY).iter().count(), 1);
            let key = STANDARD.decode(&fields[SEC_WEBSOCKET_KEY]).unwrap();
            assert_eq!(key.len(), 16);
            key
        });
        assert_ne!(keys[0], keys[1]);
    }

    #[test]
    fn other_protocols_are_refused_and_other_requests_stay_as_they_are() {
        for other in ["connect-udp", "WebSocket", "webtransport", ""] {
            let refused = translate(&mut connect(Some(other), &[])).unwrap_err();
            assert_eq!(refused.facts().status, 501, "{other}");
        }
        let mut plain = connect(None, &[]);
        translate(&mut plain).unwrap();
        assert_eq!((plain.method(), plain.version()), (&Method::CONNECT, Version::HTTP_2));
    }

    #[test]
    fn the_client_gets_a_200_without_the_fields_of_http_1() {
        let mut head = http::Response::new(()).into_parts().0;
        head.status = StatusCode::SWITCHING_PROTOCOLS;
        head.headers = headers(&[
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Accept: x",
            "Sec-WebSocket-Protocol: chat",
            "Sec-WebSocket-Extensions: permessage-deflate",
            "Set-Cookie: a",
        ]);
        accept(&mut head);
        assert_eq!(head.status, 200);
        let mut left: Vec<_> = head.headers.keys().map(|name| name.as_str()).collect();
        left.sort_unstable();
        assert_eq!(left, ["sec-websocket-extensions", "sec-websocket-protocol", "set-cookie"]);
    }
}
