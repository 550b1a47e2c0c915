//! A connection to a client or a node: TCP, plain or with TLS, or a Unix socket.
//!
//! What HTTP and tunnels need is the same for all: bytes, whether there is something to read, and the
//! socket below for what only the kernel knows.
//!
//! Runs for every byte.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsStream;

use super::{ReadAhead, socket};

/// A connection whose handshake, if any, is complete.
#[derive(Debug)]
pub(crate) enum NetStream {
    /// Bytes as they are.
    Plain(TcpStream),
    /// TLS. Boxed: it is ten times the size of a socket, and a stream is moved several times.
    Tls(Box<TlsStream<ReadAhead>>),
    /// Bytes as they are, on a Unix socket.
    Unix(UnixStream),
}

impl NetStream {
    /// The TCP socket; `None` for a Unix socket. Its bytes are the stream's only without TLS.
    pub(crate) fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Self::Plain(socket) => Some(socket),
            Self::Tls(stream) => Some(stream.get_ref().0.socket()),
            Self::Unix(_) => None,
        }
    }

    /// Ready if a read may return something, without a buffer to read into. With TLS a read can still
    /// be pending then, because a record is incomplete.
    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(socket) => socket.poll_read_ready(cx),
            Self::Tls(stream) => {
                let (socket, session) = stream.get_ref();
                match session.wants_read() {
                    true => socket.poll_readable(cx),
                    // Decrypted bytes wait.
                    false => Poll::Ready(Ok(())),
                }
            }
            Self::Unix(socket) => socket.poll_read_ready(cx),
        }
    }

    /// Whether some of the written bytes have not left: they wait in the kernel, or before it, until the
    /// peer has read the bytes before them. Unknown behind a FIN, and for a Unix socket.
    pub(crate) fn has_unsent(&self) -> bool {
        let is_kept = match self {
            Self::Plain(_) | Self::Unix(_) => false,
            Self::Tls(stream) => stream.get_ref().1.wants_write(),
        };
        is_kept || self.tcp().is_some_and(socket::has_unsent)
    }
}

impl From<TcpStream> for NetStream {
    fn from(socket: TcpStream) -> Self {
        Self::Plain(socket)
    }
}

impl From<UnixStream> for NetStream {
    fn from(socket: UnixStream) -> Self {
        Self::Unix(socket)
    }
}

impl AsyncRead for NetStream {
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Unix(socket) => Pin::new(socket).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for NetStream {
    #[inline]
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Unix(socket) => Pin::new(socket).poll_write(cx, bytes),
        }
    }

    #[inline]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write_vectored(cx, slices),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Unix(socket) => Pin::new(socket).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unix(socket) => Pin::new(socket).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(socket) => Pin::new(socket).poll_shutdown(cx),
        }
    }
}
