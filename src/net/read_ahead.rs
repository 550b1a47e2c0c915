//! The socket below TLS, read in large pieces.
//!
//! rustls reads 4 KiB at a time (`READ_SIZE` of its deframer), which makes five calls of the system for a
//! message of 16 KiB, and as many small updates of the receive window, each of which wakes the sender. Here
//! one call takes what a record can have; what rustls does not take at once is kept until its next read.
//!
//! Runs for every byte.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A socket that reads more than it is asked for. An idle one holds no buffer.
#[derive(Debug)]
pub(crate) struct ReadAhead {
    socket: TcpStream,
    /// What was read and not yet asked for, less than [`READ_BYTES_MAX`]; `None` if there is nothing.
    rest: Option<Rest>,
}

#[derive(Debug)]
struct Rest {
    bytes: Box<[u8]>,
    /// How many of them have been taken, fewer than there are.
    taken: usize,
}

impl ReadAhead {
    /// Nothing has been read from `socket` yet.
    pub(crate) fn new(socket: TcpStream) -> Self {
        Self { socket, rest: None }
    }

    /// The socket. Its bytes are not all that come: some may have been read ahead.
    pub(crate) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Ready if a read may return something.
    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.rest {
            Some(_) => Poll::Ready(Ok(())),
            None => self.socket.poll_read_ready(cx),
        }
    }
}

impl AsyncRead for ReadAhead {
    #[inline]
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(rest) = &mut self.rest {
            if rest.move_to(buffer) {
                self.rest = None;
            }
            return Poll::Ready(Ok(()));
        }
        with_piece(|piece| {
            let mut piece = ReadBuf::new(piece);
            ready!(Pin::new(&mut self.socket).poll_read(cx, &mut piece))?;
            let read = piece.filled();
            let (now, later) = read.split_at(read.len().min(buffer.remaining()));
            buffer.put_slice(now);
            if !later.is_empty() {
                self.rest = Some(Rest { bytes: later.into(), taken: 0 });
            }
            Poll::Ready(Ok(()))
        })
    }
}

impl Rest {
    /// Moves as many bytes as fit. Whether none is left.
    fn move_to(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        let left = self.bytes.get(self.taken..).unwrap_or_default();
        let now = left.get(..buffer.remaining()).unwrap_or(left);
        buffer.put_slice(now);
        self.taken += now.len();
        self.taken == self.bytes.len()
    }
}

impl AsyncWrite for ReadAhead {
    #[inline]
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    #[inline]
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    #[inline]
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

/// Lends the thread's buffer to one read.
fn with_piece<T>(read: impl FnOnce(&mut [u8]) -> T) -> T {
    let mut piece = PIECE.take().unwrap_or_else(|| vec![0; READ_BYTES_MAX].into_boxed_slice());
    let result = read(&mut piece);
    PIECE.set(Some(piece));
    result
}

thread_local! {
    static PIECE: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
}

/// One read takes at most this much: the longest record of TLS (RFC 8446, section 5.2) and the beginning
/// of the next one. It also bounds what a connection whose reader is slow keeps here.
const READ_BYTES_MAX: usize = 18 * 1024;

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Waker;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// A socket, and one that reads ahead of what was written to it.
    async fn pair() -> (TcpStream, ReadAhead) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let connect = TcpStream::connect(listener.local_addr().unwrap());
        let (near, accepted) = tokio::join!(connect, listener.accept());
        (near.unwrap(), ReadAhead::new(accepted.unwrap().0))
    }

    fn is_readable(stream: &ReadAhead) -> bool {
        stream.poll_readable(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[tokio::test]
    async fn small_reads_get_all_bytes_in_order_and_nothing_is_kept_behind_the_last() {
        let (mut peer, mut stream) = pair().await;
        let sent: Vec<u8> = (0..60_000_u32).map(|n| n as u8 ^ (n >> 8) as u8).collect();
        let write = async {
            peer.write_all(&sent).await.unwrap();
            peer.shutdown().await.unwrap();
        };
        let read = async {
            let mut all = Vec::new();
            let mut kept_max = 0;
            let mut piece = [0; 4096];
            loop {
                let length = stream.read(&mut piece).await.unwrap();
                if length == 0 {
                    return (all, kept_max);
                }
                all.extend_from_slice(&piece[..length]);
                kept_max = kept_max.max(stream.rest.as_ref().map_or(0, |rest| rest.bytes.len()));
            }
        };
        let ((), (all, kept_max)) = tokio::join!(write, read);
        assert!(all == sent);
        assert!((1..READ_BYTES_MAX).contains(&kept_max), "{kept_max} bytes were kept");
        assert!(stream.rest.is_none());
    }

    #[tokio::test]
    async fn kept_bytes_can_be_read_although_the_socket_has_none() {
        let (mut peer, mut stream) = pair().await;
        peer.write_all(b"abc").await.unwrap();
        poll_fn(|cx| stream.poll_readable(cx)).await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), b'a');
        let mut socket_bytes = [0; 8];
        let left = stream.socket().try_read(&mut socket_bytes);
        assert_eq!(left.unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert!(is_readable(&stream));
        assert_eq!(stream.read_u16().await.unwrap(), u16::from_be_bytes(*b"bc"));
        assert!(!is_readable(&stream));
    }
}
