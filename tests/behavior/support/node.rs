//! `FakeNode`: a node whose every answer a test decides, byte for byte if need be.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::http::{Head, read_body, read_head};
use super::websocket;

/// A node on a port of its own. Dropping it closes the port and all connections.
pub struct FakeNode {
    pub address: SocketAddr,
    seen: Arc<Seen>,
    task: JoinHandle<()>,
}

/// What a node saw.
#[derive(Default)]
pub struct Seen {
    requests: Mutex<Vec<Request>>,
    connections: AtomicUsize,
    lost: AtomicUsize,
    change: Notify,
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Request {
    pub head: Head,
    pub body: Vec<u8>,
}

/// What a node does with a request.
pub enum Reply {
    /// These bytes, and the connection stays.
    Bytes(Vec<u8>),
    /// These pieces, each in a segment of its own.
    Pieces(Vec<Vec<u8>>),
    /// Nothing, until the other side leaves.
    Silence,
    /// The end of the connection.
    Hangup,
    /// These bytes, then the end of the connection.
    Last(Vec<u8>),
    /// A 101 with these bytes behind it, then every frame is sent back.
    Echo { behind: Vec<u8> },
}

impl FakeNode {
    /// A node that answers by `script`.
    pub async fn start(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_at(TcpListener::bind("127.0.0.1:0").await.unwrap(), script)
    }

    /// A node that answers by `script` where `listener` listens.
    pub fn start_at(
        listener: TcpListener,
        script: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen::default());
        let task = tokio::spawn(accept(listener, Arc::new(script), seen.clone()));
        Self { address, seen, task }
    }

    /// A node that speaks Engine.IO v4: it opens sessions named `NAMEn`, answers polls of its own
    /// sessions with `4NAME`, echoes WebSocket frames, and knows no other session.
    pub async fn engineio(name: &'static str) -> Self {
        Self::engineio_at(TcpListener::bind("127.0.0.1:0").await.unwrap(), name)
    }

    /// As [`FakeNode::engineio`], where `listener` listens.
    pub fn engineio_at(listener: TcpListener, name: &'static str) -> Self {
        let count = AtomicUsize::new(0);
        Self::start_at(listener, move |request| {
            let Some(sid) = request.query("sid").filter(|sid| !sid.is_empty()) else {
                if request.head.is_upgrade() {
                    return Reply::Echo { behind: Vec::new() };
                }
                let number = count.fetch_add(1, Ordering::Relaxed);
                return ok(&open_packet(&format!("{name}{number}")));
            };
            if !sid.starts_with(name) {
                let body = r#"{"code":1,"message":"Session ID unknown"}"#;
                return match request.head.is_upgrade() {
                    true => Reply::Last(response("400 Bad Request", "Session ID unknown")),
                    false => Reply::Bytes(response("400 Bad Request", body)),
                };
            }
            match (request.head.is_upgrade(), request.head.method.as_str()) {
                (true, _) => Reply::Echo { behind: Vec::new() },
                (false, "POST") => ok("ok"),
                (false, _) => ok(&format!("4{name}")),
            }
        })
    }

    /// All requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.seen.requests.lock().unwrap().clone()
    }

    /// How many connections were accepted so far and brought a byte.
    pub fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    /// Waits until `count` requests have come.
    pub async fn until_requests(&self, count: usize) {
        self.until(|seen| seen.requests.lock().unwrap().len() >= count).await;
    }

    /// Waits until `count` connections were ended by the other side.
    pub async fn until_lost(&self, count: usize) {
        self.until(|seen| seen.lost.load(Ordering::SeqCst) >= count).await;
    }

    async fn until(&self, condition: impl Fn(&Seen) -> bool) {
        let wait = async {
            loop {
                let change = self.seen.change.notified();
                if condition(&self.seen) {
                    return;
                }
                change.await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), wait).await.expect("the node saw it in time");
    }
}

impl Drop for FakeNode {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Request {
    /// A parameter of the query, as it was written.
    pub fn query(&self, name: &str) -> Option<&str> {
        let (_, query) = self.head.target.split_once('?')?;
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
    }
}

/// An open packet as Engine.IO v4 writes it.
pub fn open_packet(sid: &str) -> String {
    format!(
        r#"0{{"sid":"{sid}","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}}"#
    )
}

/// An answer with a length.
pub fn response(status: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// 200 with a length.
pub fn ok(body: &str) -> Reply {
    Reply::Bytes(response("200 OK", body))
}

type Script = dyn Fn(&Request) -> Reply + Send + Sync;

async fn accept(listener: TcpListener, script: Arc<Script>, seen: Arc<Seen>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (script, seen) = (script.clone(), seen.clone());
        connections.spawn(async move {
            // What leaves without a word was a health check, as by default each node has them.
            if !matches!(stream.peek(&mut [0]).await, Ok(1..)) {
                return;
            }
            seen.connections.fetch_add(1, Ordering::SeqCst);
            serve(stream, &*script, &seen).await;
            seen.lost.fetch_add(1, Ordering::SeqCst);
            seen.change.notify_waiters();
        });
    }
}

async fn serve(mut stream: TcpStream, script: &Script, seen: &Seen) {
    let mut buffer = Vec::new();
    while let Some(head) = read_head(&mut stream, &mut buffer).await {
        let Some(body) = read_body(&mut stream, &mut buffer, &head).await else { return };
        let request = Request { head, body };
        let reply = script(&request);
        let accept = request.head.field("sec-websocket-key").map(websocket::accept);
        seen.requests.lock().unwrap().push(request);
        seen.change.notify_waiters();
        match reply {
            Reply::Bytes(bytes) => {
                if stream.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            Reply::Pieces(pieces) => {
                for piece in pieces {
                    if stream.write_all(&piece).await.is_err() {
                        return;
                    }
                    // Gives the other side its turn between two segments.
                    tokio::task::yield_now().await;
                }
            }
            Reply::Silence => {
                let _ = stream.read(&mut [0; 64]).await;
                return;
            }
            Reply::Hangup => return,
            Reply::Last(bytes) => {
                let _ = stream.write_all(&bytes).await;
                return;
            }
            Reply::Echo { behind } => {
                let head = websocket::switching(&accept.unwrap_or_default());
                let bytes = [head.into_bytes(), behind].concat();
                if stream.write_all(&bytes).await.is_ok() {
                    websocket::echo(stream, buffer).await;
                }
                return;
            }
        }
    }
}
