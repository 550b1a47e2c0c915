//! Hostile requests: what a client gets for them, and which bytes reach the node.
//!
//! The node records every byte. It gets exactly one request for each that the client sent, framed by
//! the proxy, or nothing.

mod bodies;
mod frames;
mod heads;
mod http2;
mod responses;
mod upgrades;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::support::{Proxy, config};

/// What comes of a request.
#[derive(Clone, Copy, Debug)]
enum Expected<'a> {
    /// This status, the end of the connection, and no byte for the node.
    Refused(u16),
    /// This status and the end of the connection, after the node has got some of these bytes.
    Broken(u16, &'a str),
    /// The node gets these bytes and no others.
    Passed(&'a str),
}
use Expected::{Broken, Passed, Refused};

/// A node that records the bytes of all connections, and answers each request with 200 and `ok`.
struct Recorder {
    address: SocketAddr,
    received: Arc<Mutex<Vec<u8>>>,
    task: JoinHandle<()>,
}

impl Recorder {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let received = Arc::<Mutex<Vec<u8>>>::default();
        let shared = received.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(record(stream, shared.clone()));
            }
        });
        Self { address, received, task }
    }

    /// What was received since the last call, without the fields that tell who the client is.
    fn take(&self) -> String {
        let bytes = std::mem::take(&mut *self.received.lock().unwrap());
        let text = bytes.escape_ascii().to_string().replace("\\r\\n", "\r\n");
        let is_ours = |line: &&str| !OURS.iter().any(|name| line.starts_with(name));
        text.split_inclusive("\r\n").filter(is_ours).collect()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Answers each request as soon as it is complete. What follows is recorded, whatever it is.
async fn record(mut stream: TcpStream, received: Arc<Mutex<Vec<u8>>>) {
    let (mut own, mut answered) = (Vec::new(), 0);
    loop {
        let before = own.len();
        let Ok(1..) = stream.read_buf(&mut own).await else { return };
        received.lock().unwrap().extend_from_slice(&own[before..]);
        while answered < complete_requests(&own) {
            answered += 1;
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
            if stream.write_all(answer).await.is_err() {
                return;
            }
        }
    }
}

/// How many requests `bytes` begins with, as a node reads them.
fn complete_requests(mut bytes: &[u8]) -> usize {
    let find = |bytes: &[u8], end: &[u8]| {
        bytes.windows(end.len()).position(|found| found == end).map(|at| at + end.len())
    };
    let mut count = 0;
    while let Some(end) = find(bytes, b"\r\n\r\n") {
        let (head, body) = bytes.split_at(end);
        let head = head.escape_ascii().to_string().to_lowercase();
        let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split('\\').next());
        let length = match length.and_then(|length| length.parse().ok()) {
            _ if head.contains("transfer-encoding: chunked") && body.starts_with(b"0\r\n\r\n") => 5,
            _ if head.contains("transfer-encoding: chunked") => {
                find(body, b"\r\n0\r\n\r\n").unwrap_or(usize::MAX)
            }
            length => length.unwrap_or(0),
        };
        let Some((_, rest)) = body.split_at_checked(length) else { return count };
        (bytes, count) = (rest, count + 1);
    }
    count
}

/// A recording node, and a proxy in front of it.
struct Pair {
    node: Recorder,
    proxy: Proxy,
}

impl Pair {
    async fn start() -> Self {
        Self::start_with("").await
    }

    /// With more keys of the listener.
    async fn start_with(listener: &str) -> Self {
        let node = Recorder::start().await;
        let yaml = config(&[node.address], "", "");
        let proxy =
            Proxy::start(&yaml.replace("'127.0.0.1:0'", &format!("'127.0.0.1:0'{listener}")));
        Self { node, proxy }
    }

    /// Sends `request`, and behind it a request for `/last`, which closes the connection. Waits for the
    /// end of the connection, and compares.
    async fn check(&self, request: &str, expected: Expected<'_>) {
        let bytes = from_latin1(request);
        let sent = [&bytes[..], LAST.as_bytes()].concat();
        let mut stream = TcpStream::connect(self.proxy.address).await.unwrap();
        // The proxy may have refused the first half already.
        let _ = stream.write_all(&sent).await;
        let mut answers = Vec::new();
        let read = stream.read_to_end(&mut answers);
        let _ = timeout(ENOUGH, read).await.unwrap_or_else(|_| panic!("{request:?} has no end"));
        let statuses = statuses(&answers);
        let received = self.node.take();
        let last = "GET /last HTTP/1.1\r\nHost: a\r\n\r\n";
        match expected {
            Refused(status) => {
                assert_eq!(statuses, [status], "{request:?}");
                assert_eq!(received, "", "{request:?}");
            }
            Broken(status, bytes) => {
                assert_eq!(statuses, [status], "{request:?}");
                // It may have been refused before there was a connection to the node.
                assert!(bytes.starts_with(&received), "{request:?}: {received:?}");
            }
            Passed(bytes) => {
                assert_eq!(statuses, [200, 200], "{request:?}");
                assert_eq!(received, format!("{bytes}{last}"), "{request:?}");
            }
        }
    }
}

/// Each character is a byte, so that a test can write any.
fn from_latin1(text: &str) -> Vec<u8> {
    text.chars().map(|char| u8::try_from(u32::from(char)).unwrap()).collect()
}

/// The statuses of all answers.
fn statuses(answers: &[u8]) -> Vec<u16> {
    let text = String::from_utf8_lossy(answers);
    let versions = text.match_indices("HTTP/1.").map(|(at, _)| text.get(at + 9..at + 12));
    versions.filter_map(|status| status?.parse().ok()).collect()
}

const LAST: &str = "GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

/// The fields that the proxy adds.
const OURS: [&str; 6] =
    ["X-Forwarded-", "X-Request-ID: ", "X-Request-Id: ", "X-Real-IP: ", "Forwarded: ", "Date: "];

const ENOUGH: Duration = Duration::from_secs(20);
