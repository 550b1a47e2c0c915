//! HTTP/1.1 by hand, so that a test can send and see every byte.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

/// The head of a request or a response.
#[derive(Clone, Debug)]
pub struct Head {
    /// The method, or the version of a response.
    pub method: String,
    /// The target, or the status of a response.
    pub target: String,
    /// The version of a request, or how the reason of a response begins.
    pub version: String,
    /// The fields in order, names in lower case.
    pub fields: Vec<(String, String)>,
}

impl Head {
    /// The first field of this (lower-case) name.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// Whether it asks for or grants an upgrade to WebSocket.
    pub fn is_upgrade(&self) -> bool {
        self.field("upgrade").is_some_and(|value| value.eq_ignore_ascii_case("websocket"))
    }

    fn parse(text: &str) -> Self {
        let mut lines = text.split("\r\n");
        let mut first = lines.next().unwrap_or_default().split(' ');
        let method = first.next().unwrap_or_default().to_owned();
        let target = first.next().unwrap_or_default().to_owned();
        let version = first.next().unwrap_or_default().to_owned();
        let fields = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
            .collect();
        Self { method, target, version, fields }
    }
}

/// A response with its body.
#[derive(Clone, Debug)]
pub struct Response {
    pub head: Head,
    pub body: Vec<u8>,
}

impl Response {
    /// The status code.
    pub fn status(&self) -> u16 {
        self.head.target.parse().unwrap_or_default()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A client's connection.
pub struct Client {
    pub stream: TcpStream,
    pub buffer: Vec<u8>,
}

impl Client {
    /// Connects to `address`.
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, buffer: Vec::new() }
    }

    /// Connects to `address` from another loopback address.
    pub async fn connect_from(source: &str, address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(format!("{source}:0").parse().unwrap()).unwrap();
        Self { stream: socket.connect(address).await.unwrap(), buffer: Vec::new() }
    }

    /// Sends bytes as they are.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// The next response; panics if none comes.
    pub async fn response(&mut self) -> Response {
        self.next_response().await.expect("a response and not the end of the connection")
    }

    /// The next response; `None` at the end of the connection.
    pub async fn next_response(&mut self) -> Option<Response> {
        let read = async {
            let head = read_head(&mut self.stream, &mut self.buffer).await?;
            let body = read_body(&mut self.stream, &mut self.buffer, &head).await?;
            Some(Response { head, body })
        };
        tokio::time::timeout(Duration::from_secs(20), read).await.expect("a response in time")
    }

    /// Sends a request without a body and gives the response.
    pub async fn get(&mut self, target: &str) -> Response {
        self.send(request("GET", target, &[], "")).await;
        self.response().await
    }

    /// Waits for the end of the connection; what still comes is given back.
    pub async fn until_end(&mut self) -> Vec<u8> {
        let mut rest = std::mem::take(&mut self.buffer);
        let read = async {
            // A reset is an end too.
            let _ = self.stream.read_to_end(&mut rest).await;
        };
        tokio::time::timeout(Duration::from_secs(20), read).await.expect("the end in time");
        rest
    }
}

/// One request over a connection of its own.
pub async fn get(address: SocketAddr, target: &str) -> Response {
    Client::connect(address).await.get(target).await
}

/// A request as text.
pub fn request(method: &str, target: &str, fields: &[&str], body: &str) -> String {
    let mut text = format!("{method} {target} HTTP/1.1\r\nHost: test\r\n");
    for field in fields {
        text.push_str(field);
        text.push_str("\r\n");
    }
    if !body.is_empty() || method == "POST" {
        text.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    text + "\r\n" + body
}

/// Reads a head; `None` at the end of the stream.
pub async fn read_head(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Head> {
    loop {
        if let Some(end) = find(buffer, b"\r\n\r\n") {
            let head = Head::parse(&String::from_utf8_lossy(&buffer[..end]));
            buffer.drain(..end + 4);
            return Some(head);
        }
        read_more(stream, buffer).await?;
    }
}

/// Reads the body behind `head`; `None` if it breaks off.
pub async fn read_body(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
    head: &Head,
) -> Option<Vec<u8>> {
    let is_response = head.method.starts_with("HTTP/");
    if head.field("transfer-encoding") == Some("chunked") {
        return read_chunks(stream, buffer).await;
    }
    let length = head.field("content-length").and_then(|length| length.parse::<usize>().ok());
    match length {
        Some(length) => {
            while buffer.len() < length {
                read_more(stream, buffer).await?;
            }
            Some(buffer.drain(..length).collect())
        }
        None if is_response && !matches!(head.target.as_str(), "101" | "204" | "304") => {
            while read_more(stream, buffer).await.is_some() {}
            Some(std::mem::take(buffer))
        }
        None => Some(Vec::new()),
    }
}

async fn read_chunks(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let Some(end) = find(buffer, b"\r\n") else {
            read_more(stream, buffer).await?;
            continue;
        };
        let size = usize::from_str_radix(std::str::from_utf8(&buffer[..end]).ok()?, 16).ok()?;
        while buffer.len() < end + 2 + size + 2 {
            read_more(stream, buffer).await?;
        }
        body.extend_from_slice(&buffer[end + 2..end + 2 + size]);
        buffer.drain(..end + 2 + size + 2);
        if size == 0 {
            return Some(body);
        }
    }
}

async fn read_more(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<()> {
    match stream.read_buf(buffer).await {
        Ok(0) | Err(_) => None,
        Ok(_) => Some(()),
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
