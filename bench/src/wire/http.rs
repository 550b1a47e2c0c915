//! Heads and bodies of HTTP/1.1 messages.

use std::io;
use std::str;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::invalid;

/// The head of a request or an answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Head(String);

impl Head {
    /// The request line or status line.
    pub(crate) fn first_line(&self) -> &str {
        self.0.lines().next().unwrap_or_default()
    }

    /// The first field of this name.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.0.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    fn body(&self) -> io::Result<Body> {
        if self.field("transfer-encoding").is_some() {
            return Ok(Body::Chunked);
        }
        let length = self.field("content-length").unwrap_or("0");
        let length = length.parse().map_err(|_| invalid("a length that is no number"))?;
        if length > BODY_BYTES_MAX {
            return Err(invalid("a body that is too long"));
        }
        Ok(Body::Length(length))
    }
}

#[derive(Clone, Copy, Debug)]
enum Body {
    Length(usize),
    Chunked,
}

/// The next head in `stream`, of which `buffer` has what came already; `None` at its end.
pub(crate) async fn read_head<S: AsyncRead + Unpin>(
    stream: &mut S,
    buffer: &mut BytesMut,
) -> io::Result<Option<Head>> {
    loop {
        if let Some(end) = find(buffer, b"\r\n\r\n") {
            let head = buffer.split_to(end);
            buffer.advance(4);
            let text = str::from_utf8(&head).map_err(|_| invalid("a head that is no text"))?;
            return Ok(Some(Head(text.to_owned())));
        }
        if buffer.len() > HEAD_BYTES_MAX {
            return Err(invalid("a head that is too long"));
        }
        match read_more(stream, buffer).await {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && buffer.is_empty() => {
                return Ok(None);
            }
            read => read?,
        }
    }
}

/// The body behind `head`.
pub(crate) async fn read_body<S: AsyncRead + Unpin>(
    stream: &mut S,
    buffer: &mut BytesMut,
    head: &Head,
) -> io::Result<BytesMut> {
    match head.body()? {
        Body::Length(length) => take(stream, buffer, length).await,
        Body::Chunked => {
            let mut body = BytesMut::new();
            loop {
                let line = take_line(stream, buffer).await?;
                let size = str::from_utf8(&line).ok().and_then(|it| it.split(';').next());
                let size = size.and_then(|size| usize::from_str_radix(size.trim(), 16).ok());
                let size = size.filter(|size| body.len() + size <= BODY_BYTES_MAX);
                let size = size.ok_or_else(|| invalid("a chunk without a fitting size"))?;
                body.extend_from_slice(&take(stream, buffer, size).await?);
                take_line(stream, buffer).await?;
                if size == 0 {
                    return Ok(body);
                }
            }
        }
    }
}

async fn take_line<S: AsyncRead + Unpin>(
    stream: &mut S,
    buffer: &mut BytesMut,
) -> io::Result<BytesMut> {
    loop {
        if let Some(end) = find(buffer, b"\r\n") {
            let line = buffer.split_to(end);
            buffer.advance(2);
            return Ok(line);
        }
        if buffer.len() > HEAD_BYTES_MAX {
            return Err(invalid("a line that is too long"));
        }
        read_more(stream, buffer).await?;
    }
}

async fn take<S: AsyncRead + Unpin>(
    stream: &mut S,
    buffer: &mut BytesMut,
    bytes: usize,
) -> io::Result<BytesMut> {
    while buffer.len() < bytes {
        read_more(stream, buffer).await?;
    }
    Ok(buffer.split_to(bytes))
}

async fn read_more<S: AsyncRead + Unpin>(stream: &mut S, buffer: &mut BytesMut) -> io::Result<()> {
    buffer.reserve(READ_BYTES);
    if stream.read_buf(buffer).await? == 0 {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the connection was closed"));
    }
    Ok(())
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

const HEAD_BYTES_MAX: usize = 16 * 1024;
const BODY_BYTES_MAX: usize = 1 << 20;
const READ_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    async fn check(text: &str, expected_body: &str) {
        let mut stream = text.as_bytes();
        let mut buffer = BytesMut::new();
        let head = read_head(&mut stream, &mut buffer).await.unwrap().unwrap();
        assert_eq!(head.first_line(), "HTTP/1.1 200 OK");
        let body = read_body(&mut stream, &mut buffer, &head).await.unwrap();
        assert_eq!(body, expected_body.as_bytes());
        assert_eq!(read_head(&mut stream, &mut buffer).await.unwrap(), None);
    }

    #[tokio::test]
    async fn bodies_are_read_to_their_end_in_both_forms() {
        check("HTTP/1.1 200 OK\r\nContent-length: 3\r\n\r\nabc", "abc").await;
        check("HTTP/1.1 200 OK\r\n\r\n", "").await;
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        check(&format!("{chunked}2\r\nab\r\n1;x=y\r\nc\r\n0\r\n\r\n"), "abc").await;
    }

    #[tokio::test]
    async fn a_body_that_is_cut_is_an_error() {
        let mut stream: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab";
        let mut buffer = BytesMut::new();
        let head = read_head(&mut stream, &mut buffer).await.unwrap().unwrap();
        assert!(read_body(&mut stream, &mut buffer, &head).await.is_err());
    }
}
