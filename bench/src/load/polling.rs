//! Clients without WebSocket: a handshake, then a post and a poll in turn, on one connection.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::client::connect;
use super::tally::Tally;
use super::{Measurement, Options, message, window};
use crate::clock;
use crate::wire::{Head, invalid, read_body, read_head};

/// A request's time counts until its answer is whole.
pub(super) async fn repeat(options: Arc<Options>) -> io::Result<Measurement> {
    let tally = Arc::new(Tally::new());
    let mut clients = JoinSet::new();
    for index in 0..options.connections() {
        clients.spawn(post_and_poll(options.clone(), index, tally.clone()));
    }
    Ok(window::measure(&options, &tally, clients).await)
}

async fn post_and_poll(options: Arc<Options>, index: usize, tally: Arc<Tally>) -> io::Result<()> {
    let mut client = Client::open(&options, index).await?;
    while !tally.is_over() {
        let began = clock::now();
        let posted = message(began, MESSAGE_BYTES);
        if client.request("POST", &posted).await? != b"ok"[..] {
            return Err(invalid("a post was not taken"));
        }
        let between = clock::now();
        tally.complete(between - began);
        if client.request("GET", b"").await? != posted[..] {
            return Err(invalid("a poll got something else than was posted"));
        }
        tally.complete(clock::now() - between);
    }
    client.request("POST", CLOSE_PACKET).await?;
    Ok(())
}

/// A polling client on its connection.
#[derive(Debug)]
pub(crate) struct Client {
    stream: TcpStream,
    buffer: BytesMut,
    /// What follows the path's query: the session, once there is one.
    session: String,
    /// A whole header line, where the proxy binds sessions by a cookie.
    cookie: String,
}

impl Client {
    /// Opens a session as client number `index`.
    pub(crate) async fn open(options: &Options, index: usize) -> io::Result<Self> {
        let stream = connect(options, index).await?;
        let mut client =
            Self { stream, buffer: BytesMut::new(), session: String::new(), cookie: String::new() };
        let packet = client.request("GET", b"").await?;
        let packet = str::from_utf8(&packet).map_err(|_| invalid("a packet that is no text"))?;
        let sid = packet.split_once(r#""sid":""#).and_then(|(_, rest)| rest.split('"').next());
        let sid = sid.ok_or_else(|| invalid("a handshake without sid"))?;
        client.session = format!("&sid={sid}");
        Ok(client)
    }

    /// A second connection of client number `index` and its session.
    pub(crate) async fn second_connection(
        &self,
        options: &Options,
        index: usize,
    ) -> io::Result<Self> {
        let (session, cookie) = (self.session.clone(), self.cookie.clone());
        let stream = connect(options, index).await?;
        Ok(Self { stream, buffer: BytesMut::new(), session, cookie })
    }

    /// Polls. A node without a message answers after so long.
    pub(super) async fn poll(&mut self, patience: Duration) -> io::Result<()> {
        self.send("GET", &format!("&wait={}", patience.as_millis()), b"").await
    }

    /// Sends a packet, or polls, and gives the body of the answer.
    pub(crate) async fn request(&mut self, method: &str, body: &[u8]) -> io::Result<BytesMut> {
        self.send(method, "", body).await?;
        self.receive().await
    }

    async fn send(&mut self, method: &str, query: &str, body: &[u8]) -> io::Result<()> {
        let head = format!(
            "{method} /socket.io/?EIO=4&transport=polling{}{query} HTTP/1.1\r\nHost: bench.test\r\n{}\
             Content-Type: text/plain;charset=UTF-8\r\nContent-Length: {}\r\n\r\n",
            self.session,
            self.cookie,
            body.len()
        );
        let mut request = head.into_bytes();
        request.extend_from_slice(body);
        self.stream.write_all(&request).await
    }

    /// The body of the answer, which is a 200.
    pub(super) async fn receive(&mut self) -> io::Result<BytesMut> {
        let head = read_head(&mut self.stream, &mut self.buffer).await?;
        let head = head.ok_or_else(|| invalid("closed instead of an answer"))?;
        let body = read_body(&mut self.stream, &mut self.buffer, &head).await?;
        if !head.first_line().starts_with("HTTP/1.1 200") {
            return Err(invalid(format!("instead of a 200: {}", head.first_line())));
        }
        self.keep_cookie(&head);
        Ok(body)
    }

    fn keep_cookie(&mut self, head: &Head) {
        let pair = head.field("set-cookie").and_then(|cookie| cookie.split(';').next());
        if let Some(pair) = pair {
            self.cookie = format!("Cookie: {pair}\r\n");
        }
    }
}

/// Ends the session.
const CLOSE_PACKET: &[u8] = b"1";

const MESSAGE_BYTES: usize = 64;
