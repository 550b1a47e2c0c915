//! The two halves of a WebSocket's stream: of a socket, of TLS, or of HTTP/2 (RFC 8441).

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use h2::{RecvStream, SendStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::task::JoinSet;
use tokio_rustls::client::TlsStream;

use super::Options;
use super::client::connect;
use super::tls::connect_tls;

/// What a WebSocket is read from.
#[derive(Debug)]
pub(super) enum ReadHalf {
    Tcp(OwnedReadHalf),
    Tls(tokio::io::ReadHalf<TlsStream<TcpStream>>),
    Http2(Http2Read),
}

/// What a WebSocket is written to.
#[derive(Debug)]
pub(super) enum WriteHalf {
    Tcp(OwnedWriteHalf),
    Tls(tokio::io::WriteHalf<TlsStream<TcpStream>>),
    Http2(SendStream<Bytes>),
}

/// The receiving half of a stream of HTTP/2.
#[derive(Debug)]
pub(super) struct Http2Read {
    stream: RecvStream,
    unread: Bytes,
    /// The connection's task.
    _connection: Arc<JoinSet<()>>,
}

/// A connection before HTTP, with TLS if the options say so.
pub(super) async fn dial(options: &Options, index: usize) -> io::Result<(ReadHalf, WriteHalf)> {
    let socket = connect(options, index).await?;
    if options.tls {
        let (reader, writer) = tokio::io::split(connect_tls(socket, b"http/1.1").await?);
        return Ok((ReadHalf::Tls(reader), WriteHalf::Tls(writer)));
    }
    let (reader, writer) = socket.into_split();
    Ok((ReadHalf::Tcp(reader), WriteHalf::Tcp(writer)))
}

impl WriteHalf {
    /// Drops it without an end of the stream.
    pub(super) fn forget(self) {
        match self {
            Self::Tcp(half) => half.forget(),
            // Dropped, it would reset the stream. The connection's task ends with its readers.
            Self::Http2(stream) => std::mem::forget(stream),
            // Dropping a half of a split stream closes nothing.
            Self::Tls(_) => (),
        }
    }
}

impl Http2Read {
    pub(super) fn new(stream: RecvStream, connection: Arc<JoinSet<()>>) -> Self {
        Self { stream, unread: Bytes::new(), _connection: connection }
    }
}

impl AsyncRead for Http2Read {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.unread.is_empty() {
            let Some(data) = ready!(self.stream.poll_data(cx)) else { return Poll::Ready(Ok(())) };
            self.unread = data.map_err(io::Error::other)?;
        }
        let length = self.unread.len().min(buffer.remaining());
        buffer.put_slice(&self.unread[..length]);
        self.unread.advance(length);
        // Fails only behind the end.
        let _ = self.stream.flow_control().release_capacity(length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for ReadHalf {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(half) => Pin::new(half).poll_read(cx, buffer),
            Self::Tls(half) => Pin::new(half).poll_read(cx, buffer),
            Self::Http2(half) => Pin::new(half).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for WriteHalf {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(half) => Pin::new(half).poll_write(cx, bytes),
            Self::Tls(half) => Pin::new(half).poll_write(cx, bytes),
            Self::Http2(stream) => {
                stream.reserve_capacity(bytes.len());
                if stream.capacity() == 0 {
                    match ready!(stream.poll_capacity(cx)) {
                        Some(granted) => granted.map_err(io::Error::other)?,
                        None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
                    };
                }
                let length = stream.capacity().min(bytes.len());
                let data = Bytes::copy_from_slice(&bytes[..length]);
                stream.send_data(data, false).map_err(io::Error::other)?;
                Poll::Ready(Ok(length))
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(half) => Pin::new(half).poll_flush(cx),
            Self::Tls(half) => Pin::new(half).poll_flush(cx),
            Self::Http2(_) => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(half) => Pin::new(half).poll_shutdown(cx),
            Self::Tls(half) => Pin::new(half).poll_shutdown(cx),
            Self::Http2(stream) => {
                Poll::Ready(stream.send_data(Bytes::new(), true).map_err(io::Error::other))
            }
        }
    }
}
