//! HTTP/2: by a client that is well behaved, and by raw frames.

mod ends;
mod floods;
mod malformed;
mod raw;
mod requests;
mod tunnels;

use h2::client::{self, ResponseFuture, SendRequest};
use h2::ext::Protocol;
use h2::{RecvStream, SendStream};

use super::*;
use crate::listener::Http2;

impl Server {
    /// With HTTP/2 by prior knowledge.
    async fn start_http2() -> Self {
        let minute = Duration::from_secs(60);
        Self::start_on(&http2_settings(minute, minute)).await
    }
}

fn http2_settings(header_timeout: Duration, keep_alive_timeout: Duration) -> Settings {
    Settings { http2: Http2::On, ..settings(header_timeout, keep_alive_timeout) }
}

/// A client whose connection runs in a task.
#[derive(Clone)]
struct Client {
    requests: SendRequest<Bytes>,
    /// Why the connection ended, once it has.
    ended: Arc<std::sync::Mutex<Option<Result<(), h2::Error>>>>,
    over: CancellationToken,
}

impl Client {
    async fn connect(server: &Server) -> Self {
        Self::connect_with(server, &client::Builder::new()).await
    }

    async fn connect_with(server: &Server, builder: &client::Builder) -> Self {
        let (requests, connection) = builder.handshake(server.connect().await).await.unwrap();
        let (ended, over) = (Arc::<std::sync::Mutex<_>>::default(), CancellationToken::new());
        let this = Self { requests, ended: ended.clone(), over: over.clone() };
        Tasks::default().spawn(async move {
            let result = connection.await;
            *ended.lock().unwrap() = Some(result);
            over.cancel();
        });
        this
    }

    fn get(&mut self, path: &str) -> ResponseFuture {
        let request = Request::builder().uri(format!("http://a{path}")).body(()).unwrap();
        self.requests.send_request(request, true).unwrap().0
    }

    fn post(&mut self, path: &str) -> (ResponseFuture, SendStream<Bytes>) {
        let request = Request::post(format!("http://a{path}")).body(()).unwrap();
        self.requests.send_request(request, false).unwrap()
    }

    fn connect_websocket(&mut self) -> (ResponseFuture, SendStream<Bytes>) {
        let mut request =
            Request::builder().method(Method::CONNECT).uri("http://a/tunnel").body(()).unwrap();
        request.extensions_mut().insert(Protocol::from_static("websocket"));
        self.requests.send_request(request, false).unwrap()
    }

    /// An open tunnel: the client's halves, and the server's stream.
    async fn tunnel(&mut self, server: &mut Server) -> (RecvStream, SendStream<Bytes>, RawStream) {
        let (response, sent) = self.connect_websocket();
        let response = soon(response).await.unwrap();
        assert_eq!(response.status(), 200);
        let stream = soon(server.streams.recv()).await.unwrap();
        (response.into_body(), sent, stream)
    }

    /// The end of the connection, when it is over.
    async fn end(&self) -> Result<(), h2::Error> {
        soon(self.over.cancelled()).await;
        self.ended.lock().unwrap().take().unwrap()
    }
}

/// The status and the body of a response.
async fn whole(response: ResponseFuture) -> (StatusCode, String) {
    let response = soon(response).await.unwrap();
    let (status, mut body) = (response.status(), response.into_body());
    let mut text = Vec::new();
    while let Some(data) = soon(body.data()).await {
        let data = data.unwrap();
        body.flow_control().release_capacity(data.len()).unwrap();
        text.extend_from_slice(&data);
    }
    (status, String::from_utf8(text).unwrap())
}
