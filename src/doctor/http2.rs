//! HTTP/2 towards clients: whether it is there, and whether WebSockets work by it (RFC 8441).
//!
//! Runs at start, at reload, or on a timer.

use bytes::Bytes;
use h2::client::{self, SendRequest};
use h2::ext::Protocol;
use http::{Method, Request, Version};
use tokio::time::timeout;

use super::measured::Http2;
use super::road::{Road, STEP};

/// Offers HTTP/2. `None` without TLS, or if there is no connection.
pub(super) async fn http2(road: &Road, eio: u8) -> Option<Http2> {
    if !road.target.tls {
        return None;
    }
    let connected = road.connect(&[b"h2", b"http/1.1"]).await.ok()?;
    let chosen = connected.tls.and_then(|tls| tls.alpn).as_deref() == Some("h2");
    let mut seen = Http2 { chosen, ..Http2::default() };
    if !seen.chosen {
        return Some(seen);
    }
    let spoken = async {
        let (sender, connection) = client::handshake(connected.stream).await?;
        road.tasks.spawn(async move {
            // What it ends with, the requests get too.
            let _ = connection.await;
        });
        speak(&mut seen, sender, (road, eio)).await
    };
    match timeout(STEP, spoken).await {
        Ok(Ok(())) => (),
        Ok(Err(error)) => seen.fault = Some(error.to_string()),
        Err(_elapsed) => seen.fault = Some("no answer".to_owned()),
    }
    Some(seen)
}

async fn speak(
    seen: &mut Http2,
    sender: SendRequest<Bytes>,
    (road, eio): (&Road, u8),
) -> Result<(), h2::Error> {
    let request = |method: Method, transport: &str| {
        let target = road.target.engineio(eio, transport, None);
        let uri = format!("https://{}{target}", road.target.authority);
        let mut request = Request::builder().method(method).version(Version::HTTP_2).uri(uri);
        for (name, value) in road.fields.iter() {
            request = request.header(name, value);
        }
        // The target has been a URI before.
        request.body(()).ok()
    };
    let mut sender = sender.ready().await?;
    let Some(handshake) = request(Method::GET, "polling") else { return Ok(()) };
    let (response, _) = sender.send_request(handshake, true)?;
    seen.handshake = Some(response.await?.status().as_u16());
    // The settings of the server came before its first response.
    seen.extended_connect = sender.is_extended_connect_protocol_enabled();
    let Some(mut connect) = request(Method::CONNECT, "websocket") else { return Ok(()) };
    if !seen.extended_connect {
        return Ok(());
    }
    connect.extensions_mut().insert(Protocol::from_static("websocket"));
    connect.headers_mut().insert("sec-websocket-version", http::HeaderValue::from_static("13"));
    let mut sender = sender.ready().await?;
    let (response, mut stream) = sender.send_request(connect, false)?;
    seen.websocket = Some(response.await?.status().as_u16());
    stream.send_reset(h2::Reason::CANCEL);
    Ok(())
}
