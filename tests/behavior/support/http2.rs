//! HTTP/2 by the library `h2`: a client's connection and its requests.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use h2::RecvStream;
use h2::client::{SendRequest, handshake};
use h2::ext::Protocol;
use http::{Method, Request, Response};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A client's connection, without TLS.
pub(crate) async fn connect(address: SocketAddr) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (requests, connection) = handshake(stream).await.unwrap();
    tokio::spawn(connection);
    requests
}

/// The response to a request without a body.
pub(crate) async fn ask(
    requests: &mut SendRequest<Bytes>,
    request: Request<()>,
) -> Response<RecvStream> {
    let answer = requests.send_request(request, true).unwrap().0;
    soon(answer).await.unwrap()
}

/// All that comes of a body.
pub(crate) async fn received(mut body: RecvStream) -> Vec<u8> {
    let mut received = Vec::new();
    while let Some(data) = soon(body.data()).await {
        let data = data.unwrap();
        body.flow_control().release_capacity(data.len()).unwrap();
        received.extend(data);
    }
    received
}

/// A request for a WebSocket.
pub(crate) fn websocket_request(target: &str) -> Request<()> {
    let request = Request::builder()
        .method(Method::CONNECT)
        .uri(format!("http://a.test{target}"))
        .header("sec-websocket-version", "13")
        .header("sec-websocket-protocol", "chat");
    let mut request = request.body(()).unwrap();
    request.extensions_mut().insert(Protocol::from_static("websocket"));
    request
}

/// Fails a test instead of letting it hang.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), future).await.expect("it takes too long")
}
