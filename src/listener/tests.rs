//! A client connection at its socket: keep-alive, slow heads, refused heads, takeovers, the end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use tower::service_fn;

use super::head_guard::Fault;
use super::*;
use crate::client::{ClientInfo, Places, RawSocket, Takeover};
use crate::shutdown::Shutdown;
use crate::tasks::Tasks;

/// What the service under test saw and was told, and how the connections ended.
struct Server {
    address: SocketAddr,
    drain: Shutdown,
    requests: Arc<AtomicUsize>,
    /// Lets one answer of `/slow` go.
    release: Arc<Notify>,
    /// A request for `/slow` has arrived.
    arrived: Arc<Notify>,
    tunnels: mpsc::Receiver<RawSocket>,
    ends: mpsc::Receiver<ConnectionEnd>,
    places: Arc<AtomicUsize>,
    _stop: DropGuard,
}

/// What the service needs of a [`Server`].
#[derive(Clone)]
struct Scene {
    requests: Arc<AtomicUsize>,
    release: Arc<Notify>,
    arrived: Arc<Notify>,
    tunnels: mpsc::Sender<RawSocket>,
}

impl Server {
    /// Header timeout and keep-alive timeout are a minute, so that no test waits for them.
    async fn start() -> Self {
        Self::start_with(Duration::from_secs(60), Duration::from_secs(60)).await
    }

    async fn start_with(header_timeout: Duration, keep_alive_timeout: Duration) -> Self {
        let settings = settings(header_timeout, keep_alive_timeout);
        let listener = Listener::bind(&settings).unwrap();
        let address = listener.local_address();
        let (accepted, mut to_serve) = mpsc::channel(8);
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let (drain, watch) = Shutdown::new();
        let (tunnel, tunnels) = mpsc::channel(8);
        let (end, ends) = mpsc::channel(64);
        let tasks = Tasks::default();
        let scene = Scene {
            requests: Arc::default(),
            release: Arc::default(),
            arrived: Arc::default(),
            tunnels: tunnel,
        };
        let (requests, release, arrived) =
            (scene.requests.clone(), scene.release.clone(), scene.arrived.clone());
        let places = Arc::<AtomicUsize>::default();
        let taken = places.clone();
        let all = Places::new(usize::MAX);
        tasks.clone().spawn(async move { listener.accept(accepted, all, stopped).await.unwrap() });
        tasks.clone().spawn(async move {
            while let Some(mut next) = to_serve.recv().await {
                next.place = next.place.at_worker(&taken);
                let (scene, end) = (scene.clone(), end.clone());
                let service = service_fn(move |request| answer(scene.clone(), request));
                let serving = serve(next, service, &watch);
                tasks.spawn(async move { end.send(serving.await).await.unwrap() });
            }
        });
        Self {
            address,
            drain,
            requests,
            release,
            arrived,
            tunnels,
            ends,
            places,
            _stop: stop.drop_guard(),
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends `bytes` and gives back all that comes until the server closes.
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
/// be released, `/tunnel` becomes a tunnel, `/deaf` does not read the body.
async fn answer(
    scene: Scene,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    scene.requests.fetch_add(1, Ordering::Relaxed);
    let path = request.uri().path().to_owned();
    let client = request.extensions().get::<ClientInfo>().unwrap().address;
    match &*path {
        "/slow" => {
            scene.arrived.notify_one();
            scene.release.notified().await;
        }
        "/tunnel" => {
            let takeover = request.extensions().get::<Takeover>().unwrap();
            takeover.leave_to(Box::new(move |socket| scene.tunnels.try_send(socket).unwrap()));
            let switching = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS);
            return Ok(switching.header("upgrade", "x").body(Full::default()).unwrap());
        }
        "/deaf" => return Ok(Response::new(Full::from("deaf"))),
        _ => (),
    }
    match request.into_body().collect().await {
        Ok(body) => {
            let body = String::from_utf8(body.to_bytes().to_vec()).unwrap();
            Ok(Response::new(Full::from(format!("{path} {body} {client}"))))
        }
        Err(error) => {
            let fault = std::error::Error::source(&error).unwrap().to_string();
            Ok(Response::builder().status(400).body(Full::from(fault)).unwrap())
        }
    }
}

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

#[tokio::test]
async fn a_connection_is_kept_alive_and_pipelined_requests_are_answered_in_order() {
    let mut server = Server::start().await;
    let mut stream = server.connect().await;
    let client = stream.local_addr().unwrap();
    for _ in 0..2 {
        stream.write_all(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        let answer = until(&mut stream, &format!("/a  {client}")).await;
        assert!(answer.contains("\r\nDate: "), "{answer}");
    }
    stream
        .write_all(
            b"POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi\
              POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\ny\r\n0\r\n\r\n\
              GET /d HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        )
        .await
        .unwrap();
    let answers = rest(&mut stream).await;
    let places = ["/b hi", "/c y", "/d "].map(|body| answers.find(body).unwrap());
    assert!(places.is_sorted(), "{answers}");
    assert_eq!(server.requests(), 5);
    assert!(matches!(server.end().await, ConnectionEnd::Closed));
    assert_eq!(server.places.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn what_could_be_read_in_two_ways_is_refused_and_nothing_behind_it_is_served() {
    let mut server = Server::start().await;
    let behind = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    for (head, fault) in [
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            Fault::LengthAndCoding,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
            Fault::LengthAndCoding,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
            Fault::LengthRepeated,
        ),
        ("GET / HTTP/1.1\nHost: a\r\n\r\n", Fault::BareLineFeed),
        ("GET / HTTP/1.1\r\nHost: a\r\n\n", Fault::BareLineFeed),
        ("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Fault::BlankLines),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +0\r\n\r\n", Fault::LengthInvalid),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0, 0\r\n\r\n", Fault::LengthInvalid),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            Fault::Coding,
        ),
        ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Fault::CodingInHttp10),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: y\rZ: z\r\n\r\n", Fault::BareCarriageReturn),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: y\0\r\n\r\n", Fault::Nul),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n", Fault::FoldedLine),
        ("GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n", Fault::SpaceBeforeColon),
        ("GET /\r\n\r\n", Fault::Version),
        ("GET / HTTP/1.1\r\n\r\n", Fault::HostMissing),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", Fault::HostRepeated),
    ] {
        let answer = server.ask(&format!("{head}{behind}")).await;
        assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\nDate: "), "{head:?}: {answer}");
        assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
        assert!(answer.ends_with(&format!("\r\n\r\n{fault}\n")), "{answer}");
        assert_eq!(count(&answer, "\r\nDate: "), 1, "{answer}");
        assert!(matches!(server.end().await, ConnectionEnd::Refused(found) if found == fault));
    }
    assert_eq!(server.requests(), 0);
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused_with_431() {
    let server = Server::start().await;
    let field = "a".repeat(head_guard::HEAD_BYTES_MAX);
    let answer = server.ask(&format!("GET / HTTP/1.1\r\nHost: a\r\nX: {field}\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\n"), "{answer}");
    let fields = "X: y\r\n".repeat(head_guard::HEAD_FIELDS_MAX);
    let answer = server.ask(&format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\n"), "{answer}");
    assert_eq!(server.requests(), 0);
}

#[tokio::test]
async fn what_hyper_refuses_is_told_as_well_as_what_the_guard_does() {
    let mut server = Server::start().await;
    let long = "x".repeat(65_535);
    for (request, status) in [
        ("G@T / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), "400 Bad Request"),
        ("GET /` HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), "400 Bad Request"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX@: y\r\n\r\n".to_owned(), "400 Bad Request"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: \x7f\r\n\r\n".to_owned(), "400 Bad Request"),
        (format!("GET /{long} HTTP/1.1\r\n\r\n"), "431 Request Header Fields Too Large"),
    ] {
        let good = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n";
        for before in ["", good] {
            let answer = server.ask(&format!("{before}{request}")).await;
            let begin = answer.find(&format!("HTTP/1.1 {status}")).expect(&answer);
            assert_eq!(answer[..begin].starts_with("HTTP/1.1 200"), !before.is_empty(), "{answer}");
            let refusal = &answer[begin..];
            assert_eq!(count(refusal, "HTTP/1.1"), 1, "{answer}");
            assert!(refusal.contains("\r\nX-Request-ID: "), "{answer}");
            assert!(refusal.contains("\r\nConnection: close\r\n"), "{answer}");
            assert!(refusal.split("\r\n\r\n").nth(1).unwrap().len() > 10, "{answer}");
            server.end().await;
        }
    }
}

#[tokio::test]
async fn requests_before_a_faulty_one_are_answered_first() {
    let mut server = Server::start().await;
    let mut stream = server.connect().await;
    stream
        .write_all(
            b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n\
              GET /faulty HTTP/1.1\nHost: a\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        )
        .await
        .unwrap();
    soon(server.arrived.notified()).await;
    server.release.notify_one();
    let answers = rest(&mut stream).await;
    assert_eq!(count(&answers, "HTTP/1.1 200 OK"), 2, "{answers}");
    assert!(answers.find("/next").unwrap() < answers.find("400 Bad Request").unwrap());
    assert!(answers.ends_with(&format!("{}\n", Fault::BareLineFeed)), "{answers}");
    assert_eq!(server.requests(), 2);
    drop(stream);
    assert!(matches!(server.end().await, ConnectionEnd::Refused(Fault::BareLineFeed)));
}

#[tokio::test]
async fn a_fault_in_a_body_reaches_its_reader_and_ends_the_connection() {
    let server = Server::start().await;
    let answer = server
        .ask(
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
             1\r\na\r\n1 \r\nb\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        )
        .await;
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
    assert!(answer.ends_with(&Fault::Chunk.to_string()), "{answer}");
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn a_slow_head_is_answered_with_408_wherever_it_stops() {
    let mut server = Server::start_with(Duration::from_millis(50), Duration::from_secs(60)).await;
    for head in ["G", "GET / HTTP/1.1\r\nHost: a\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r"] {
        let answer = server.ask(head).await;
        assert!(answer.starts_with("HTTP/1.1 408 Request Timeout\r\nDate: "), "{answer}");
        assert!(matches!(server.end().await, ConnectionEnd::SlowHead));
    }
    let mut stream = server.connect().await;
    stream.write_all(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /b HT").await.unwrap();
    let answers = rest(&mut stream).await;
    assert!(answers.starts_with("HTTP/1.1 200 OK\r\n"), "{answers}");
    assert_eq!(count(&answers, "HTTP/1.1 408 "), 1, "{answers}");
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn the_time_for_a_head_does_not_run_while_an_answer_is_awaited() {
    let mut server =
        Server::start_with(Duration::from_millis(30), Duration::from_millis(200)).await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\nGET /b HT").await.unwrap();
    soon(server.arrived.notified()).await;
    // Far longer than both timeouts: a connection that they end would end now.
    assert!(timeout(Duration::from_millis(300), server.ends.recv()).await.is_err());
    server.release.notify_one();
    let client = stream.local_addr().unwrap().to_string();
    until(&mut stream, &client).await;
    assert!(rest(&mut stream).await.starts_with("HTTP/1.1 408 "));
    drop(stream);
    assert!(matches!(server.end().await, ConnectionEnd::SlowHead));
}

#[tokio::test]
async fn an_idle_connection_is_closed_without_a_word() {
    let mut server = Server::start_with(Duration::from_secs(60), Duration::from_millis(200)).await;
    let mut silent = server.connect().await;
    assert_eq!(rest(&mut silent).await, "");
    assert!(matches!(server.end().await, ConnectionEnd::Idle));
    let answer = server.ask("GET /a HTTP/1.1\r\nHost: a\r\n\r\n\r\n").await;
    assert_eq!(count(&answer, "HTTP/1.1 "), 1, "{answer}");
    assert!(matches!(server.end().await, ConnectionEnd::Idle));
}

#[tokio::test]
async fn a_drain_finishes_what_is_pending_and_closes_the_idle_behind_a_last_request() {
    let mut server = Server::start().await;
    let mut pending = server.connect().await;
    pending.write_all(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    soon(server.arrived.notified()).await;
    let mut idle = server.connect().await;
    idle.write_all(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let client = idle.local_addr().unwrap().to_string();
    until(&mut idle, &client).await;

    let mut silent = server.connect().await;
    silent.write_all(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let client = silent.local_addr().unwrap().to_string();
    until(&mut silent, &client).await;

    server.drain.begin(Duration::from_secs(60));

    // It was on its way when the drain began.
    idle.write_all(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let answer = rest(&mut idle).await;
    assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
    drop(idle);
    assert!(matches!(server.end().await, ConnectionEnd::Closed));
    assert_eq!(rest(&mut silent).await, "");
    assert!(matches!(server.end().await, ConnectionEnd::Idle));
    server.release.notify_one();
    let answer = rest(&mut pending).await;
    assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
    assert!(answer.contains("/slow"), "{answer}");
    drop(pending);
    assert!(matches!(server.end().await, ConnectionEnd::Closed));
}

#[tokio::test]
async fn a_request_is_dropped_with_its_client() {
    let mut server = Server::start().await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    soon(server.arrived.notified()).await;
    drop(stream);
    assert!(
        matches!(server.end().await, ConnectionEnd::Failed(error) if error.is_incomplete_message())
    );
}

#[tokio::test]
async fn a_tunnel_gets_the_socket_what_was_read_ahead_and_the_place() {
    let mut server = Server::start().await;
    let mut stream = server.connect().await;
    stream
        .write_all(b"GET /tunnel HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n\0ahead\n")
        .await
        .unwrap();
    until(&mut stream, "\r\n\r\n").await;
    let socket = soon(server.tunnels.recv()).await.unwrap();
    let RawSocket { stream: mut raw, read_ahead, place, options } = socket;
    assert!(matches!(server.end().await, ConnectionEnd::Upgraded));
    assert_eq!(read_ahead, "\0ahead\n");
    assert_eq!(options, Some(SocketOptions::default()));

    stream.write_all(b"later").await.unwrap();
    let mut later = [0; 5];
    soon(raw.read_exact(&mut later)).await.unwrap();
    assert_eq!(&later, b"later");
    assert_eq!(server.places.load(Ordering::Relaxed), 1);
    drop(place);
    assert_eq!(server.places.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn bytes_behind_a_refused_upgrade_are_no_request() {
    let server = Server::start().await;
    let answer = server
        .ask(
            "GET /a HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n\
             GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        )
        .await;
    assert_eq!(count(&answer, "HTTP/1.1 200 OK"), 1, "{answer}");
    assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn a_client_that_still_sends_is_not_reset_while_its_answer_is_on_its_way() {
    let mut server = Server::start().await;
    for request in [
        "GET / HTTP/1.1\r\n\r\n",
        "POST /deaf HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n",
    ] {
        let mut stream = server.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = rest(&mut stream).await;
        assert_eq!(count(&answer, "\r\nDate: "), 1, "{answer}");
        // To write to a socket that is closed works once, and brings the reset.
        for _ in 0..3 {
            stream.write_all(b"more").await.unwrap();
        }
        drop(stream);
        server.end().await;
    }
}

#[tokio::test]
async fn a_taken_address_is_named() {
    let any = settings(Duration::from_secs(1), Duration::from_secs(1));
    let listener = Listener::bind(&any).unwrap();
    let address = listener.local_address();
    let error = Listener::bind(&Settings { bind: address, ..any }).unwrap_err();
    assert_eq!(error.address, address);
    assert_eq!(error.source.kind(), io::ErrorKind::AddrInUse);
    assert_eq!(error.to_string(), format!("cannot listen on {address}"));
}

/// A listener that does not accept yet, and clients that have connected already.
async fn with_waiting(count: usize) -> (Listener, Vec<TcpStream>) {
    let any = settings(Duration::from_secs(1), Duration::from_secs(1));
    let listener = Listener::bind(&any).unwrap();
    let mut clients = Vec::new();
    for _ in 0..count {
        clients.push(TcpStream::connect(listener.local_address()).await.unwrap());
    }
    (listener, clients)
}

#[tokio::test]
async fn clients_that_connected_before_the_stop_are_accepted() {
    let (listener, clients) = with_waiting(200).await;
    let address = listener.local_address();
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    stop.cancel();
    let (sender, mut accepted) = mpsc::channel(clients.len());
    listener.accept(sender, Places::new(usize::MAX), stopped).await.unwrap();
    assert_eq!(accepted.len(), clients.len());
    let first = accepted.recv().await.unwrap();
    assert_eq!(first.address, clients[0].local_addr().unwrap());
    assert!(first.stream.nodelay().unwrap());
    assert!(SockRef::from(&first.stream).keepalive().unwrap(), "as tunnels need it");
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn of_those_who_wait_together_as_many_are_accepted_as_there_are_places() {
    let (listener, clients) = with_waiting(100).await;
    let stopped = CancellationToken::new();
    let (sender, mut accepted) = mpsc::channel(clients.len());
    let tasks = Tasks::default();
    tasks.spawn(async move { listener.accept(sender, Places::new(70), stopped).await.unwrap() });
    let mut served = Vec::new();
    for _ in 0..70 {
        served.push(soon(accepted.recv()).await.unwrap());
    }
    assert!(accepted.try_recv().is_err());
    served.truncate(60);
    for _ in 0..10 {
        assert!(soon(accepted.recv()).await.unwrap().stream.nodelay().unwrap());
    }
    assert!(accepted.try_recv().is_err());
}

#[test]
fn only_a_clients_own_failure_to_be_accepted_is_passed_over_at_once() {
    for kind in [io::ErrorKind::ConnectionAborted, io::ErrorKind::HostUnreachable] {
        assert!(is_of_one_connection(&kind.into()));
    }
    for code in
        [/* EMFILE */ 24, /* ENFILE */ 23, /* ENOBUFS */ 105, /* EINVAL */ 22]
    {
        assert!(!is_of_one_connection(&io::Error::from_raw_os_error(code)));
    }
}
