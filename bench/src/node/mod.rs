//! A fake node that speaks Engine.IO v4 as far as the scenarios need it: handshake, polls, posts,
//! WebSockets that echo, and pushes to all of them at the same instants.
//!
//! A WebSocket with `push=N` in its query gets N messages each second. A message that is posted
//! is the next poll's; a poll with `wait=N` gets a noop if none came in N milliseconds.

mod sessions;
mod websocket;

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use clap::Args;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::task::JoinSet;

use crate::wire::{Head, read_body, read_head};
use crate::{Outcome, machine};
use sessions::Sessions;

#[derive(Args)]
pub(crate) struct Options {
    /// Where to listen; the address is printed
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:3000")]
    listen: SocketAddr,
    /// Listen on so many further ports of that address; their addresses are printed behind the first
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    more_ports: u16,
    /// End when the process ends that started this one
    #[arg(long)]
    end_with_parent: bool,
}

/// Serves until the process is ended.
pub(crate) fn node(options: &Options) -> Outcome {
    if options.end_with_parent {
        machine::end_with_parent()?;
    }
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut listeners = vec![TcpListener::bind(options.listen).await?];
        for _ in 0..options.more_ports {
            listeners.push(TcpListener::bind((options.listen.ip(), 0)).await?);
        }
        let addresses: io::Result<Vec<_>> = listeners.iter().map(TcpListener::local_addr).collect();
        let addresses = addresses?.iter().map(SocketAddr::to_string).collect::<Vec<_>>();
        println!("{}", addresses.join(" "));
        let sessions = Arc::new(Sessions::default());
        let mut serving = JoinSet::new();
        for listener in listeners {
            serving.spawn(serve(listener, sessions.clone()));
        }
        // None ends but by a failure.
        while let Some(ended) = serving.join_next().await {
            ended??;
        }
        Ok(())
    })
}

async fn serve(listener: TcpListener, sessions: Arc<Sessions>) -> io::Result<()> {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        connections.spawn(connection(stream, sessions.clone()));
        while connections.try_join_next().is_some() {}
    }
}

/// A client's connection. What breaks the protocol ends it; the client counts that as an error.
async fn connection(mut stream: TcpStream, sessions: Arc<Sessions>) -> io::Result<()> {
    let mut buffer = BytesMut::new();
    while let Some(head) = read_head(&mut stream, &mut buffer).await? {
        let request = Request::of(&head);
        if head.field("upgrade").is_some() {
            return websocket::run(stream, buffer, &head, &request).await;
        }
        let body = read_body(&mut stream, &mut buffer, &head).await?;
        let answer = match (request.method, request.parameter("sid")) {
            ("GET", None) => Answer::ok(sessions.open()),
            ("GET", Some(sid)) => sessions.poll(sid, request.patience()).await,
            ("POST", Some(sid)) => sessions.post(sid, &body),
            _ => Answer::bad(2, "Bad handshake method"),
        };
        stream.write_all(answer.text().as_bytes()).await?;
    }
    Ok(())
}

/// What a request line says.
#[derive(Clone, Copy, Debug)]
struct Request<'a> {
    method: &'a str,
    query: &'a str,
}

impl<'a> Request<'a> {
    fn of(head: &'a Head) -> Self {
        let mut words = head.first_line().split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        Self { method, query: target.split_once('?').map_or("", |(_, query)| query) }
    }

    /// How long a poll waits for a message.
    fn patience(&self) -> Duration {
        let millis = self.parameter("wait").and_then(|millis| millis.parse().ok());
        millis.map_or(POLL_TIMEOUT, Duration::from_millis).min(POLL_TIMEOUT)
    }

    fn parameter(&self, name: &str) -> Option<&'a str> {
        let pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    }
}

/// Below the 25 s of a real node's ping, which would answer the poll.
const POLL_TIMEOUT: Duration = Duration::from_secs(20);

/// The answer to a request without upgrade.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: &'static str,
    body: String,
}

impl Answer {
    fn ok(body: String) -> Self {
        Self { status: "200 OK", body }
    }

    /// As Engine.IO refuses.
    fn bad(code: u8, message: &str) -> Self {
        let body = format!(r#"{{"code":{code},"message":"{message}"}}"#);
        Self { status: "400 Bad Request", body }
    }

    fn text(&self) -> String {
        let mut text = String::with_capacity(self.body.len() + 128);
        let (status, length) = (self.status, self.body.len());
        let written = write!(
            text,
            "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=UTF-8\r\n\
             Cache-Control: no-store\r\nContent-Length: {length}\r\n\r\n{}",
            self.body
        );
        written.expect("a string takes what is written");
        text
    }
}

/// The packet that opens a session, with the timings that Socket.IO has by default.
fn open_packet(sid: &str) -> String {
    format!(
        r#"0{{"sid":"{sid}","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}}"#
    )
}
