//! Connections to a node that is a bare socket, so that the test sees what the node would.

use std::convert::Infallible;
use std::iter::once;

use bytes::Bytes;
use futures_util::{FutureExt, stream};
use http::header::HOST;
use http::{Method, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::*;
use crate::upstream::tests::node_at;

type RequestBody = BoxBody<Bytes, Infallible>;
type Sent = Result<Reply<RequestBody>, SendError<RequestBody>>;

const ENOUGH: Duration = Duration::from_secs(5);
const IDLE: Duration = Duration::from_secs(4);
const WHOLE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A pool, a node and the socket that it listens on.
struct Bench {
    pool: Arc<Pool>,
    listener: TcpListener,
    node: Arc<Node>,
}

impl Bench {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let node = node_at(listener.local_addr().unwrap());
        Self { pool: Pool::new(), listener, node }
    }

    /// A connection and the node's end of it.
    async fn open(&self) -> (Box<Connection>, TcpStream) {
        let (connection, accepted) =
            tokio::join!(self.pool.open(&self.node, ENOUGH), self.listener.accept());
        (connection.unwrap(), accepted.unwrap().0)
    }

    /// Lets a new connection serve one exchange, and go back.
    async fn idle(&self) -> TcpStream {
        let (connection, mut socket) = self.open().await;
        let (answer, ()) = tokio::join!(get(connection), answer_with(&mut socket, WHOLE));
        read_to_end(answer).await;
        socket
    }

    fn take(&self) -> Option<Box<Connection>> {
        self.pool.take(&self.node, Sharing::Any)
    }

    fn idle_count(&self) -> usize {
        self.pool.shelves().of_node.get(&self.node.identity()).map_or(0, VecDeque::len)
    }
}

fn patience() -> Patience {
    Patience {
        upload: Duration::from_secs(30),
        response: Duration::from_secs(60),
        idle: IDLE,
        reuses_after_body: false,
        body_bytes_max: 1_000_000,
        head_limits: HeadLimits::default(),
    }
}

fn head(method: &Method, framing: RequestFraming) -> OutboundHead {
    OutboundHead::new(method, "/socket.io/", || once((&HOST, &b"chat"[..])), framing)
}

fn get(connection: Box<Connection>) -> Sending<RequestBody> {
    let head = head(&Method::GET, RequestFraming::None);
    connection.send(&head, Full::default().boxed(), patience())
}

/// Posts a body of so many bytes that never comes.
fn post_nothing(connection: Box<Connection>, framing: RequestFraming) -> Sending<RequestBody> {
    let endless = BodyExt::boxed(StreamBody::new(stream::pending()));
    connection.send(&head(&Method::POST, framing), endless, patience())
}

fn answered(sent: Sent) -> Response<Answer<RequestBody>> {
    match sent.unwrap() {
        Reply::Answered(response) => response,
        Reply::Switched(_) => panic!("no 101 was sent"),
    }
}

async fn read_to_end(sent: Sent) -> Bytes {
    answered(sent).into_body().collect().await.unwrap().to_bytes()
}

/// Reads the head of a request, as the node.
async fn read_head(socket: &mut TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(timeout(ENOUGH, socket.read_u8()).await.unwrap().unwrap());
    }
}

async fn answer_with(socket: &mut TcpStream, answer: &str) {
    read_head(socket).await;
    socket.write_all(answer.as_bytes()).await.unwrap();
}

/// Waits for the end of a connection, as the node. A reset is an end too.
async fn assert_closed(socket: &mut TcpStream) {
    let read = timeout(Duration::from_secs(1), socket.read_u8()).await;
    assert!(read.expect("the connection closes within a second").is_err());
}

#[tokio::test]
async fn a_connection_is_used_again_when_its_answer_was_read() {
    let bench = Bench::new().await;
    let mut socket = bench.idle().await;
    for answer in [
        WHOLE,
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nA: b\r\n\r\n",
    ] {
        let connection = bench.take().expect("an idle connection");
        assert_eq!(bench.idle_count(), 0);
        let (sent, ()) = tokio::join!(get(connection), answer_with(&mut socket, answer));
        let response = answered(sent);
        assert_eq!(bench.idle_count(), 0, "not before the answer was read");
        response.into_body().collect().await.unwrap();
    }
    assert_eq!(bench.idle_count(), 1);
}

#[tokio::test]
async fn the_connection_that_became_idle_last_is_taken_first() {
    let bench = Bench::new().await;
    let (_first, mut second) = (bench.idle().await, bench.idle().await);
    let connection = bench.take().unwrap();
    let (answer, ()) = tokio::join!(get(connection), answer_with(&mut second, WHOLE));
    read_to_end(answer).await;
}

#[tokio::test]
async fn connections_of_another_node_are_not_taken() {
    let (bench, other) = (Bench::new().await, Bench::new().await);
    let _socket = bench.idle().await;
    assert!(bench.pool.take(&other.node, Sharing::Any).is_none());
    assert!(bench.take().is_some());
}

#[tokio::test]
async fn a_connection_that_was_idle_for_long_is_closed() {
    let bench = Bench::new().await;
    let mut socket = bench.idle().await;
    let later = Instant::now() + IDLE;
    let taken = bench.pool.shelves().take(bench.node.identity(), Sharing::Any, later);
    assert!(taken.is_none());
    assert_closed(&mut socket).await;
}

#[tokio::test]
async fn idle_connections_are_closed_though_nobody_asks_for_any() {
    let bench = Bench::new().await;
    let mut socket = bench.idle().await;
    tokio::time::pause();
    for (after, idle) in [(IDLE / 2, 1), (IDLE / 2 + SWEEP_EVERY, 0)] {
        tokio::time::advance(after).await;
        tokio::task::yield_now().await;
        assert_eq!(bench.idle_count(), idle);
    }
    assert!(bench.pool.shelves().of_node.is_empty());
    // The kernel knows no other time.
    tokio::time::resume();
    assert_closed(&mut socket).await;

    let sweeping = bench.pool.sweeping.clone();
    drop(bench);
    timeout(ENOUGH, sweeping.ended()).await.expect("it ends with the pool");
}

#[tokio::test]
async fn the_pool_is_bounded() {
    let bench = Bench::new().await;
    let mut first = bench.idle().await;
    let mut others = Vec::new();
    for _ in 0..IDLE_PER_NODE_MAX {
        others.push(bench.idle().await);
    }
    assert_eq!(bench.idle_count(), IDLE_PER_NODE_MAX);
    assert_closed(&mut first).await;
}

/// Waits until the close of the connection that is idle has arrived.
async fn until_closed(bench: &Bench) {
    let identity = bench.node.identity();
    let idle = bench.pool.shelves().of_node.get_mut(&identity).unwrap().pop_back().unwrap();
    timeout(ENOUGH, idle.connection.stream.ready(Interest::READABLE)).await.unwrap().unwrap();
    bench.pool.shelves().of_node.get_mut(&identity).unwrap().push_back(idle);
}

#[tokio::test]
async fn a_connection_that_the_node_closed_is_not_taken() {
    let bench = Bench::new().await;
    drop(bench.idle().await);
    until_closed(&bench).await;
    assert!(bench.take().is_none());
}

#[tokio::test]
async fn a_connection_on_which_the_node_spoke_unasked_is_not_taken() {
    let bench = Bench::new().await;
    bench.idle().await.write_all(WHOLE.as_bytes()).await.unwrap();
    until_closed(&bench).await;
    assert!(bench.take().is_none());
}

#[tokio::test]
async fn a_node_that_keeps_idle_connections_for_a_shorter_time_is_heeded() {
    let bench = Bench::new().await;
    for (field, expected) in [
        ("", IDLE),
        ("Keep-Alive: timeout=2\r\n", Duration::from_secs(1)),
        ("Keep-Alive: timeout=1\r\n", Duration::from_millis(500)),
        ("Keep-Alive: timeout=60\r\n", IDLE),
    ] {
        let (connection, mut socket) = bench.open().await;
        let answer = format!("HTTP/1.1 200 OK\r\n{field}Content-Length: 2\r\n\r\nok");
        let (sent, ()) = tokio::join!(get(connection), answer_with(&mut socket, &answer));
        read_to_end(sent).await;
        assert_eq!(bench.take().expect("it is idle").idle_max(), expected, "{field}");
    }
}

#[tokio::test]
async fn a_session_has_a_connection_of_its_own_where_that_is_asked_for() {
    let bench = Bench::new().await;
    let (mine, other) = (SessionKey::new("mine"), SessionKey::new("other"));
    let (mut connection, mut socket) = bench.open().await;
    connection.set_session(Some(mine));
    let (sent, ()) = tokio::join!(get(connection), answer_with(&mut socket, WHOLE));
    read_to_end(sent).await;
    for sharing in [Sharing::Session(Some(other)), Sharing::Session(None)] {
        assert!(bench.pool.take(&bench.node, sharing).is_none());
    }
    let taken = bench.pool.take(&bench.node, Sharing::Session(Some(mine))).unwrap();
    assert!(taken.is_of(Some(mine)) && !taken.is_of(Some(other)));
}

#[tokio::test]
async fn a_request_that_was_not_sent_comes_back() {
    let bench = Bench::new().await;
    let socket = bench.idle().await;
    socket.set_zero_linger().unwrap();
    let connection = bench.take().unwrap();
    drop(socket);
    connection.stream.ready(Interest::READABLE).await.unwrap();
    let error = post_nothing(connection, RequestFraming::Length(9)).await.unwrap_err();
    assert!(error.unsent.is_some(), "{error:?}");
}

#[tokio::test]
async fn a_request_that_the_node_may_have_got_does_not_come_back() {
    let bench = Bench::new().await;
    let (connection, mut socket) = bench.open().await;
    let cut = async move {
        read_head(&mut socket).await;
        drop(socket);
    };
    let (answer, ()) = tokio::join!(get(connection), cut);
    let error = answer.unwrap_err();
    assert!(matches!(error.fault, SendFault::Lost(_)), "{error:?}");
    assert!(error.unsent.is_none() && !error.is_stale);
}

#[tokio::test]
async fn a_loss_on_a_reused_connection_before_any_answer_is_told() {
    for (begun, is_stale) in [("", true), ("HTTP/1.1 2", false)] {
        let bench = Bench::new().await;
        let mut socket = bench.idle().await;
        let connection = bench.take().unwrap();
        let cut = async move {
            answer_with(&mut socket, begun).await;
            drop(socket);
        };
        let (sent, ()) = tokio::join!(get(connection), cut);
        assert_eq!(sent.unwrap_err().is_stale, is_stale, "{begun}");
    }
}

#[tokio::test]
async fn an_answer_that_is_not_http_is_told() {
    let bench = Bench::new().await;
    let (connection, mut socket) = bench.open().await;
    let (sent, ()) = tokio::join!(get(connection), answer_with(&mut socket, "SSH-2.0-x\r\n\r\n"));
    let error = sent.unwrap_err();
    assert!(matches!(error.fault, SendFault::BadAnswer(_)), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn each_party_has_its_own_deadline() {
    let bench = Bench::new().await;
    let wait = async |sending: Sending<RequestBody>| {
        let began = Instant::now();
        let fault = sending.await.unwrap_err().fault;
        (fault, began.elapsed())
    };
    let (connection, _socket) = bench.open().await;
    let (fault, after) = wait(get(connection)).await;
    assert!(matches!(fault, SendFault::Unanswered(_)) && after >= Duration::from_secs(60));

    let (connection, _socket) = bench.open().await;
    let (fault, after) = wait(post_nothing(connection, RequestFraming::Length(9))).await;
    assert!(matches!(fault, SendFault::ClientStalled(_)) && after >= Duration::from_secs(30));

    // More than both kernels' buffers hold.
    let (connection, _socket) = bench.open().await;
    let size = 64 << 20;
    let much = Full::from(vec![0; size]).boxed();
    let head = head(&Method::POST, RequestFraming::Length(size as u64));
    let patience = Patience { body_bytes_max: u64::MAX, ..patience() };
    let (fault, after) = wait(connection.send(&head, much, patience)).await;
    assert!(matches!(fault, SendFault::NodeStalled(_)) && after >= Duration::from_secs(30));
}

#[tokio::test]
async fn the_body_waits_for_the_100_that_the_client_expects() {
    let bench = Bench::new().await;
    let (connection, mut socket) = bench.open().await;
    let head = head(&Method::POST, RequestFraming::Length(4)).expecting_continue();
    let sending = connection.send(&head, Full::from("body").boxed(), patience());
    let node = async {
        read_head(&mut socket).await;
        assert!(socket.read_u8().now_or_never().is_none());
        socket.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.unwrap();
        let mut body = [0; 4];
        socket.read_exact(&mut body).await.unwrap();
        socket.write_all(WHOLE.as_bytes()).await.unwrap();
        body
    };
    let (sent, body) = tokio::join!(sending, node);
    assert_eq!((read_to_end(sent).await, &body), (Bytes::from("ok"), b"body"));
}

#[tokio::test]
async fn a_poll_that_nobody_waits_for_ends_at_the_node() {
    let bench = Bench::new().await;
    let (connection, mut socket) = bench.open().await;
    {
        let poll = std::pin::pin!(get(connection));
        tokio::select! {
            _ = poll => panic!("nobody answered"),
            () = read_head(&mut socket) => (),
        }
    }
    assert_closed(&mut socket).await;
}

#[tokio::test]
async fn an_answer_that_nobody_reads_ends_at_the_node() {
    for begun in [
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbegun",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegun\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
    ] {
        let bench = Bench::new().await;
        let (connection, mut socket) = bench.open().await;
        let (answer, ()) = tokio::join!(get(connection), answer_with(&mut socket, begun));
        let mut answer = answered(answer);
        if begun.contains("begun") {
            let frame = answer.frame().await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), "begun");
        }
        // Wait for more, as a reader would, for as long as the connection's task has to do.
        for _ in 0..10 {
            assert!(answer.frame().now_or_never().is_none());
            tokio::task::yield_now().await;
        }
        drop(answer);
        assert_closed(&mut socket).await;
        assert_eq!(bench.idle_count(), 0);
    }
}

#[tokio::test]
async fn an_answer_that_the_node_cut_does_not_go_back() {
    let bench = Bench::new().await;
    let (connection, mut socket) = bench.open().await;
    let begun = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbegun";
    let (answer, ()) = tokio::join!(get(connection), answer_with(&mut socket, begun));
    drop(socket);
    assert!(answered(answer).into_body().collect().await.is_err());
    assert_eq!(bench.idle_count(), 0);
}

#[tokio::test]
async fn a_connection_whose_request_goes_on_is_not_taken() {
    let bench = Bench::new().await;
    let (connection, mut socket) = bench.open().await;
    let post = post_nothing(connection, RequestFraming::Chunked);
    let (answer, ()) = tokio::join!(post, answer_with(&mut socket, WHOLE));
    assert_eq!(read_to_end(answer).await, "ok");
    assert!(bench.take().is_none());
}

#[tokio::test]
async fn a_connection_outlives_no_pool() {
    let bench = Bench::new().await;
    let mut socket = bench.idle().await;
    drop(bench.pool);
    assert_closed(&mut socket).await;
}

#[tokio::test]
async fn an_upgraded_connection_belongs_to_whoever_asked() {
    let bench = Bench::new().await;
    let (connection, mut socket) = bench.open().await;
    let switch = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\nfirst";
    let (sent, ()) = tokio::join!(get(connection), answer_with(&mut socket, switch));
    let Reply::Switched(response) = sent.unwrap() else { panic!("a 101 was sent") };
    let NodeSocket { mut stream, read_ahead } = response.into_body();
    assert_eq!(read_ahead, "first");
    stream.write_all(b"second").await.unwrap();
    drop(stream);
    let mut second = String::new();
    timeout(ENOUGH, socket.read_to_string(&mut second)).await.unwrap().unwrap();
    assert_eq!(second, "second");
}

#[tokio::test]
async fn a_connection_that_began_with_a_body_is_used_again_only_where_that_is_safe() {
    for reuses_after_body in [false, true] {
        let bench = Bench::new().await;
        let (connection, mut socket) = bench.open().await;
        let head = head(&Method::POST, RequestFraming::Length(2));
        let patience = Patience { reuses_after_body, ..patience() };
        let sending = connection.send(&head, Full::from("hi").boxed(), patience);
        let (sent, ()) = tokio::join!(sending, answer_with(&mut socket, WHOLE));
        read_to_end(sent).await;
        assert_eq!(bench.idle_count(), usize::from(reuses_after_body));
    }
}

#[tokio::test]
async fn a_connection_that_may_not_be_idle_is_closed() {
    let bench = Bench::new().await;
    let (connection, mut socket) = bench.open().await;
    let patience = Patience { idle: Duration::ZERO, ..patience() };
    let head = head(&Method::GET, RequestFraming::None);
    let sending = connection.send(&head, Full::default().boxed(), patience);
    let (sent, ()) = tokio::join!(sending, answer_with(&mut socket, WHOLE));
    assert_eq!(read_to_end(sent).await, "ok");
    assert_closed(&mut socket).await;
    assert_eq!(bench.idle_count(), 0);
}
