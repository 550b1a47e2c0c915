//! Detects without a read that a client has left.
//!
//! hyper stops reading while there are unread bytes that it cannot use yet: those of the next request,
//! or of a body that nobody reads. Only the readiness of the socket shows that the client leaves then:
//! the system reports the end of the stream (`EPOLLRDHUP`) although there are bytes before it.
//!
//! Runs for every request.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker, ready};

use tokio::io::Interest;

use crate::net::NetStream;

/// What a stream holds that was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// Bytes; the peer may send more.
    Bytes,
    /// The peer has closed its side, or has reset the connection; there may be bytes before.
    End,
}

/// A stream that can be checked without a read.
pub(super) trait Presence {
    /// `Pending` if nothing is unread; the task is woken when something is. If bytes are unread
    /// already, the end behind them wakes nothing: the caller has to poll for it.
    fn poll_unread(&self, cx: &mut Context<'_>) -> Poll<Unread>;
}

impl Presence for NetStream {
    fn poll_unread(&self, cx: &mut Context<'_>) -> Poll<Unread> {
        // Of the socket, also with TLS: a client that leaves sends FIN behind its close_notify.
        // No client comes by a Unix socket.
        let Some(socket) = self.tcp() else { return Poll::Pending };
        if ready!(socket.poll_read_ready(cx)).is_err() {
            return Poll::Ready(Unread::End);
        }
        let known = pin!(socket.ready(Interest::READABLE));
        match known.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(ready)) if !ready.is_read_closed() => Poll::Ready(Unread::Bytes),
            Poll::Ready(_) => Poll::Ready(Unread::End),
            // Only if the task has used up its budget: it is polled again soon.
            Poll::Pending => Poll::Ready(Unread::Bytes),
        }
    }
}

#[cfg(test)]
impl Presence for tokio::io::DuplexStream {
    fn poll_unread(&self, _: &mut Context<'_>) -> Poll<Unread> {
        Poll::Pending
    }
}
