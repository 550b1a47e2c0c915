//! Connections to a node that is a bare socket, so that the test sees what the node would.

use std::convert::Infallible;

use futures_util::{FutureExt, stream};
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::*;
use crate::upstream::tests::node_at;

type RequestBody = BoxBody<Bytes, Infallible>;

const ENOUGH: Duration = Duration::from_secs(5);
const WHOLE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A pool, a node and the socket that it listens on.
struct Bench {
    pool: Arc<Pool<RequestBody>>,
    tasks: Tasks,
    listener: TcpListener,
    node: Arc<Node>,
}

impl Bench {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let node = node_at(listener.local_addr().unwrap());
        let tasks = Tasks::default();
        Self { pool: Pool::new(tasks.clone()), tasks, listener, node }
    }

    /// A connection and the node's end of it.
    async fn open(&self) -> (Connection<RequestBody>, TcpStream) {
        let (connection, accepted) =
            tokio::join!(self.pool.open(&self.node, ENOUGH), self.listener.accept());
        (connection.unwrap(), accepted.unwrap().0)
    }

    /// Lets a new connection serve one exchange, and go back.
    async fn idle(&self) -> TcpStream {
        let (connection, mut socket) = self.open().await;
        let (answer, ()) = tokio::join!(connection.send(get()), answer_with(&mut socket, WHOLE));
        read_to_end(answer.unwrap()).await;
        socket
    }

    fn idle_count(&self) -> usize {
        self.pool.shelves().of_node.get(&self.node.identity()).map_or(0, VecDeque::len)
    }
}

fn get() -> Request<RequestBody> {
    let request = Request::builder().uri("/socket.io/").header("host", "chat");
    request.body(Full::default().boxed()).unwrap()
}

async fn read_to_end<B>(answer: Response<Answer<B>>) -> Bytes {
    answer.into_body().collect().await.unwrap().to_bytes()
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
        let connection = bench.pool.take(&bench.node).expect("an idle connection");
        assert_eq!(bench.idle_count(), 0);
        let (response, ()) = tokio::join!(connection.send(get()), answer_with(&mut socket, answer));
        let response = response.unwrap();
        assert_eq!(bench.idle_count(), 0, "not before the answer was read");
        read_to_end(response).await;
    }
    assert_eq!(bench.idle_count(), 1);
    assert_eq!(bench.tasks.len(), 1);
}

#[tokio::test]
async fn the_connection_that_became_idle_last_is_taken_first() {
    let bench = Bench::new().await;
    let (_first, mut second) = (bench.idle().await, bench.idle().await);
    let connection = bench.pool.take(&bench.node).unwrap();
    let (answer, ()) = tokio::join!(connection.send(get()), answer_with(&mut second, WHOLE));
    read_to_end(answer.unwrap()).await;
}

#[tokio::test]
async fn connections_of_another_node_are_not_taken() {
    let (bench, other) = (Bench::new().await, Bench::new().await);
    let _socket = bench.idle().await;
    assert!(bench.pool.take(&other.node).is_none());
    assert!(bench.pool.take(&bench.node).is_some());
}

#[tokio::test]
async fn a_connection_that_was_idle_for_long_is_closed() {
    let bench = Bench::new().await;
    let mut socket = bench.idle().await;
    let later = Instant::now() + IDLE_MAX;
    assert!(bench.pool.shelves().take(bench.node.identity(), later).is_none());
    assert_closed(&mut socket).await;
}

#[tokio::test]
async fn idle_connections_are_closed_though_nobody_asks_for_any() {
    let bench = Bench::new().await;
    let mut socket = bench.idle().await;
    tokio::time::pause();
    for (after, idle) in [(IDLE_MAX / 2, 1), (IDLE_MAX / 2 + SWEEP_EVERY, 0)] {
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

#[tokio::test]
async fn a_connection_that_the_node_closed_is_not_taken() {
    let bench = Bench::new().await;
    drop(bench.idle().await);
    bench.tasks.ended().await;
    assert!(bench.pool.take(&bench.node).is_none());
}

#[tokio::test]
async fn a_request_that_was_not_sent_comes_back() {
    let bench = Bench::new().await;
    let socket = bench.idle().await;
    let connection = bench.pool.take(&bench.node).unwrap();
    drop(socket);
    bench.tasks.ended().await;

    let mut request = get();
    *request.method_mut() = Method::POST;
    match connection.send(request).await.unwrap_err() {
        SendError::Unsent { request, .. } => assert_eq!(request.method(), Method::POST),
        SendError::Lost { source } => panic!("{source}"),
    }
}

#[tokio::test]
async fn a_request_that_the_node_may_have_got_does_not_come_back() {
    let bench = Bench::new().await;
    let (connection, mut socket) = bench.open().await;
    let cut = async move {
        read_head(&mut socket).await;
        drop(socket);
    };
    let (answer, ()) = tokio::join!(connection.send(get()), cut);
    assert!(matches!(answer.unwrap_err(), SendError::Lost { .. }));
}

#[tokio::test]
async fn a_poll_that_nobody_waits_for_ends_at_the_node() {
    let bench = Bench::new().await;
    let (connection, mut socket) = bench.open().await;
    {
        let poll = std::pin::pin!(connection.send(get()));
        tokio::select! {
            _ = poll => panic!("nobody answered"),
            () = read_head(&mut socket) => (),
        }
    }
    assert_closed(&mut socket).await;
    bench.tasks.ended().await;
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
        let (answer, ()) = tokio::join!(connection.send(get()), answer_with(&mut socket, begun));
        let mut answer = answer.unwrap();
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
    let (answer, ()) = tokio::join!(connection.send(get()), answer_with(&mut socket, begun));
    drop(socket);
    assert!(answer.unwrap().into_body().collect().await.is_err());
    assert_eq!(bench.idle_count(), 0);
}

#[tokio::test]
async fn a_connection_whose_request_goes_on_is_not_taken() {
    let bench = Bench::new().await;
    let (connection, mut socket) = bench.open().await;
    let mut endless = get().map(|_empty| BodyExt::boxed(StreamBody::new(stream::pending())));
    *endless.method_mut() = Method::POST;
    let (answer, ()) = tokio::join!(connection.send(endless), answer_with(&mut socket, WHOLE));
    assert_eq!(read_to_end(answer.unwrap()).await, "ok");
    assert!(bench.pool.take(&bench.node).is_none());
}

#[tokio::test]
async fn a_connection_outlives_no_pool() {
    let bench = Bench::new().await;
    let mut socket = bench.idle().await;
    drop(bench.pool);
    assert_closed(&mut socket).await;
    bench.tasks.ended().await;
}

#[tokio::test]
async fn an_upgraded_connection_belongs_to_whoever_asked() {
    let bench = Bench::new().await;
    let (connection, accepted) =
        tokio::join!(bench.pool.open_for_upgrade(&bench.node, ENOUGH), bench.listener.accept());
    let mut socket = accepted.unwrap().0;
    let mut request = get();
    request.headers_mut().insert("connection", "upgrade".parse().unwrap());
    request.headers_mut().insert("upgrade", "websocket".parse().unwrap());
    let switch = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nfirst";
    let (answer, ()) =
        tokio::join!(connection.unwrap().send(request), answer_with(&mut socket, switch));

    let Reply::Switched(response) = answer.unwrap() else { panic!("a 101 was sent") };
    let NodeSocket { mut stream, read_ahead } = response.into_body();
    assert!(bench.tasks.is_empty());
    assert_eq!(read_ahead, "first");
    stream.write_all(b"second").await.unwrap();
    drop(stream);
    let mut second = String::new();
    timeout(ENOUGH, socket.read_to_string(&mut second)).await.unwrap().unwrap();
    assert_eq!(second, "second");
}

#[tokio::test]
async fn a_declined_upgrade_is_answered_and_its_connection_closed() {
    let bench = Bench::new().await;
    let (connection, accepted) =
        tokio::join!(bench.pool.open_for_upgrade(&bench.node, ENOUGH), bench.listener.accept());
    let mut socket = accepted.unwrap().0;
    let decline = "HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\nno";
    let (answer, ()) =
        tokio::join!(connection.unwrap().send(get()), answer_with(&mut socket, decline));
    let Reply::Declined(answer) = answer.unwrap() else { panic!("no 101 was sent") };
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    assert_eq!(read_to_end(answer).await, "no");
    assert_closed(&mut socket).await;
    assert_eq!(bench.idle_count(), 0);
}

#[tokio::test]
async fn an_upgrade_whose_node_closes_fails_and_does_not_wait() {
    let bench = Bench::new().await;
    for reads_request in [false, true] {
        let (connection, accepted) =
            tokio::join!(bench.pool.open_for_upgrade(&bench.node, ENOUGH), bench.listener.accept());
        let mut socket = accepted.unwrap().0;
        let close = async move {
            if reads_request {
                answer_with(&mut socket, "").await;
            }
            drop(socket);
        };
        let answer = timeout(ENOUGH, connection.unwrap().send(get()));
        let (answer, ()) = tokio::join!(answer, close);
        let error = answer.unwrap().unwrap_err();
        assert!(!reads_request || matches!(error, SendError::Lost { .. }), "{error:?}");
    }
}
