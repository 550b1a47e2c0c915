//! Connections to a node that is a bare socket, so that the test sees what the node would.

mod exchanges;
mod reuse;
mod tls;

use crate::pool::sending::Sending;
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
use crate::http1::{HeadLimits, RequestFraming};
use crate::upstream::tests::node_at;

type RequestBody = BoxBody<Bytes, Infallible>;
type Sent = Result<Reply<RequestBody>, SendError<RequestBody>>;

const ENOUGH: Duration = Duration::from_secs(5);
const IDLE: Duration = Duration::from_secs(4);
const WHOLE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A pool, a node and the socket that it listens on.
struct Bench<'a> {
    pool: Arc<Pool>,
    listener: TcpListener,
    node: Arc<Node>,
    options: ConnectOptions<'a>,
}

impl Bench<'_> {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let node = node_at(listener.local_addr().unwrap());
        Self { pool: Pool::new(), listener, node, options: ConnectOptions::within(ENOUGH) }
    }

    /// A connection and the node's end of it.
    async fn open(&self) -> (Box<Connection>, TcpStream) {
        let (connection, accepted) =
            tokio::join!(self.pool.open(&self.node, self.options), self.listener.accept());
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
        self.pool.take(&self.node, Sharing::Any, self.options.owner())
    }

    fn idle_count(&self) -> usize {
        self.pool.idle().of_node.get(&self.node.identity()).map_or(0, VecDeque::len)
    }
}

fn limits() -> SendLimits {
    SendLimits {
        upload: Duration::from_secs(30),
        response: Duration::from_secs(60),
        idle: IDLE,
        reuses_after_body: false,
        body_bytes_max: 1_000_000,
        head_limits: HeadLimits::default(),
    }
}

fn head(method: &Method, framing: RequestFraming) -> OutboundHead {
    OutboundHead::new(method, "/socket.io/", once((&HOST, &b"chat"[..])), framing)
}

fn get(connection: Box<Connection>) -> Sending<RequestBody> {
    let head = head(&Method::GET, RequestFraming::None);
    connection.send(&head, Full::default().boxed(), limits())
}

/// Posts a body of so many bytes that never comes.
fn post_nothing(connection: Box<Connection>, framing: RequestFraming) -> Sending<RequestBody> {
    let endless = BodyExt::boxed(StreamBody::new(stream::pending()));
    connection.send(&head(&Method::POST, framing), endless, limits())
}

fn answered(sent: Sent) -> Response<AnswerBody<RequestBody>> {
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
