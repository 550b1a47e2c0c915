//! A client's connection closed its socket.

mod accepting;
mod against_hyper;
mod http2;
mod proxy_protocol;
mod refusals;
mod requests;
mod tls;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use tower::service_fn;

use super::*;
use crate::net::{ClientBody, ClientInfo, RawSocket, RawStream, StreamHandoff, UpgradeHandoff};
use crate::shutdown::Shutdown;
use crate::tasks::Tasks;

/// A listener whose connections are served by [`answer`].
struct Server {
    address: SocketAddr,
    shutdown: Shutdown,
    requests: Arc<AtomicUsize>,
    /// Releases one answer of `/slow`.
    release: Arc<Notify>,
    /// A request for `/slow` has arrived.
    arrived: Arc<Notify>,
    tunnels: mpsc::Receiver<RawSocket>,
    streams: mpsc::Receiver<RawStream>,
    /// A request for `/slow` was answered or given up.
    left: Arc<Notify>,
    ends: mpsc::Receiver<ConnectionEnd>,
    permits: Arc<AtomicUsize>,
    _stop: DropGuard,
}

/// The parts of a [`Server`] that its service uses.
#[derive(Clone)]
struct ServiceState {
    requests: Arc<AtomicUsize>,
    release: Arc<Notify>,
    arrived: Arc<Notify>,
    tunnels: mpsc::Sender<RawSocket>,
    streams: mpsc::Sender<RawStream>,
    left: Arc<Notify>,
}

impl Server {
    /// Header timeout and keep-alive timeout are a minute, so that no test waits for them.
    async fn start() -> Self {
        Self::start_with(Duration::from_secs(60), Duration::from_secs(60)).await
    }

    async fn start_with(header_timeout: Duration, keep_alive_timeout: Duration) -> Self {
        Self::start_on(&settings(header_timeout, keep_alive_timeout)).await
    }

    async fn start_on(settings: &Settings) -> Self {
        let listener = Listener::bind(settings).unwrap();
        let address = listener.local_address();
        let (accepted, mut to_serve) = mpsc::channel(8);
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let (shutdown, watch) = Shutdown::new();
        let (tunnel, tunnels) = mpsc::channel(8);
        let (stream, streams) = mpsc::channel(8);
        let (end, ends) = mpsc::channel(64);
        let tasks = Tasks::default();
        let state = ServiceState {
            requests: Arc::default(),
            release: Arc::default(),
            arrived: Arc::default(),
            tunnels: tunnel,
            streams: stream,
            left: Arc::default(),
        };
        let (requests, release, arrived, left) = (
            state.requests.clone(),
            state.release.clone(),
            state.arrived.clone(),
            state.left.clone(),
        );
        let permits = Arc::<AtomicUsize>::default();
        let used = permits.clone();
        let bounds = AcceptBounds::none();
        tasks
            .clone()
            .spawn(async move { listener.accept(accepted, bounds, stopped).await.unwrap() });
        tasks.clone().spawn(async move {
            while let Some(mut next) = to_serve.recv().await {
                next.permit = next.permit.for_worker(&used);
                let (state, end) = (state.clone(), end.clone());
                let service = service_fn(move |request| answer(state.clone(), request));
                let serving = serve(next, service, &tasks, &watch, &Arc::default());
                tasks.spawn(async move { end.send(serving.await).await.unwrap() });
            }
        });
        Self {
            address,
            shutdown,
            requests,
            release,
            arrived,
            tunnels,
            streams,
            left,
            ends,
            permits,
            _stop: stop.drop_guard(),
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends `bytes` and returns all that comes until the server closes.
    async fn ask(&self, bytes: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(bytes.as_bytes()).await.unwrap();
        rest(&mut stream).await
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    async fn end(&mut self) -> ConnectionEnd {
        soon(self.ends.recv()).await.unwrap()
    }
}

fn settings(header_timeout: Duration, keep_alive_timeout: Duration) -> Settings {
    Settings {
        bind: "127.0.0.1:0".parse().unwrap(),
        header_timeout,
        keep_alive_timeout,
        ..Settings::default()
    }
}

/// Answers with the path and the body of the request and the client's address; `/slow` waits to
/// be released, `/tunnel` becomes a tunnel, `/unread` does not read the body, `/large` has a large one,
/// `/panic` panics, `/trust` answers whether the client is a trusted proxy.
async fn answer(
    state: ServiceState,
    request: Request<ClientBody>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    state.requests.fetch_add(1, Ordering::Relaxed);
    let path = request.uri().path().to_owned();
    let info = request.extensions().get::<ClientInfo>().unwrap();
    let client = info.address;
    match &*path {
        "/slow" => {
            let _left = NotifyOnDrop(state.left.clone());
            state.arrived.notify_one();
            state.release.notified().await;
        }
        "/tunnel" if request.method() == Method::CONNECT => {
            let handoff = request.extensions().get::<StreamHandoff>().unwrap();
            handoff.hand_to(Box::new(move |stream| state.streams.try_send(stream).unwrap()));
            return Ok(Response::default());
        }
        "/large" => return Ok(Response::new(Full::from(vec![b'x'; LARGE_BYTES]))),
        "/panic" => panic!("as it is asked to"),
        "/tunnel" => {
            let handoff = request.extensions().get::<UpgradeHandoff>().unwrap();
            handoff.hand_to(Box::new(move |socket| state.tunnels.try_send(socket).unwrap()));
            let switching = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS);
            return Ok(switching.header("upgrade", "x").body(Full::default()).unwrap());
        }
        "/trust" => return Ok(Response::new(Full::from(format!("/trust  {}", info.is_trusted())))),
        "/unread" => return Ok(Response::new(Full::from("unread"))),
        _ => (),
    }
    match request.into_body().collect().await {
        Ok(body) => {
            let body = String::from_utf8(body.to_bytes().to_vec()).unwrap();
            Ok(Response::new(Full::from(format!("{path} {body} {client}"))))
        }
        Err(error) => {
            let fault = error.source().unwrap().to_string();
            Ok(Response::builder().status(400).body(Full::from(fault)).unwrap())
        }
    }
}

/// Notifies when it is dropped.
struct NotifyOnDrop(Arc<Notify>);

impl Drop for NotifyOnDrop {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

/// The length of the body of `/large`.
const LARGE_BYTES: usize = 300_000;

async fn rest(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    soon(stream.read_to_end(&mut all)).await.unwrap();
    String::from_utf8(all).unwrap()
}

async fn until(stream: &mut TcpStream, end: &str) -> String {
    let mut all = Vec::new();
    while !all.ends_with(end.as_bytes()) {
        all.push(soon(stream.read_u8()).await.unwrap());
    }
    String::from_utf8(all).unwrap()
}

/// Fails a test instead of letting it hang.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(10), future).await.expect("it takes too long")
}

fn count(text: &str, what: &str) -> usize {
    text.matches(what).count()
}
