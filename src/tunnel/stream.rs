//! What a tunnel needs of the streams to its sides: bytes, and what the kernel knows of a host.
//!
//! The kernel detects a host that is gone although no byte is sent. A process that does not read is
//! detected by the tunnel, whose timers fire first, so that the end has the right name.
//!
//! Runs at start, at reload, or on a timer.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::net::TcpStream;

use super::{Limits, Side};
use crate::net::socket::{self, KEEPALIVE_PROBES};
use crate::net::{Http2Stream, NetStream, SocketOptions};

/// The stream to one side of a tunnel. The defaults are for streams without a socket.
pub trait Stream: AsyncRead + AsyncWrite + Unpin {
    /// See [`socket::set_unacknowledged_max`].
    fn set_unacknowledged_max(&self, max: Duration) {
        let _ = max;
    }

    /// See [`socket::has_unsent`].
    fn has_unsent(&self) -> bool {
        false
    }

    /// See [`socket::is_reset`].
    fn is_reset(&self) -> bool {
        false
    }

    /// Ends the stream because the other side of the tunnel was reset. A socket gets a FIN: a reset
    /// would discard what the kernel has not sent yet.
    fn poll_pass_reset(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_shutdown(cx)
    }

    /// Called instead of a read while what was read before waits for the other side. See
    /// [`Http2Stream::collect`].
    fn collect(&mut self, cx: &mut Context<'_>) {
        let _ = cx;
    }
}

impl Stream for TcpStream {
    fn set_unacknowledged_max(&self, max: Duration) {
        socket::set_unacknowledged_max(self, max);
    }

    fn has_unsent(&self) -> bool {
        socket::has_unsent(self)
    }

    fn is_reset(&self) -> bool {
        socket::is_reset(self)
    }
}

impl Stream for NetStream {
    fn set_unacknowledged_max(&self, max: Duration) {
        if let Some(socket) = self.tcp() {
            socket::set_unacknowledged_max(socket, max);
        }
    }

    fn has_unsent(&self) -> bool {
        self.has_unsent()
    }

    fn is_reset(&self) -> bool {
        self.tcp().is_some_and(socket::is_reset)
    }
}

impl Stream for Http2Stream {
    fn has_unsent(&self) -> bool {
        Self::has_unsent(self)
    }

    fn poll_pass_reset(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_reset(cx));
        // The stream has nothing more to read, which nothing else would say.
        cx.waker().wake_by_ref();
        Poll::Ready(Ok(()))
    }

    fn collect(&mut self, cx: &mut Context<'_>) {
        Self::collect(self, cx);
    }
}

impl Stream for DuplexStream {}

/// Sets the socket options that a tunnel with `limits` needs on the socket to `side`, except
/// `known` ones that are set already. A Unix socket has none of them.
pub(crate) fn set_socket_options(
    stream: &NetStream,
    side: Side,
    limits: &Limits,
    known: Option<SocketOptions>,
) {
    let Some(socket) = stream.tcp() else { return };
    let options = options(limits);
    if known != Some(options) {
        options.set_on(socket);
    }
    socket.set_unacknowledged_max(limits.unacknowledged_max(side));
}

/// The kernel probes a silent host when the tunnel pings a silent side, or would by default.
fn options(limits: &Limits) -> SocketOptions {
    let times = limits.keepalive_times();
    SocketOptions {
        keepalive_time: times.every,
        keepalive_interval: times.lost_after / KEEPALIVE_PROBES,
        unsent_bytes_max: u32::try_from(limits.buffer_bytes).unwrap_or(u32::MAX),
    }
}

#[cfg(test)]
mod tests {
    use socket2::SockRef;

    use super::*;
    use crate::tunnel::{Keepalive, KeepaliveTimes, StalledClient};

    #[tokio::test]
    async fn both_sockets_follow_the_settings() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let stream = NetStream::from(stream);
        let second = Duration::from_secs(1);
        let times = KeepaliveTimes { every: 7 * second, lost_after: 40 * second };
        let limits = Limits {
            keepalive: Keepalive::On(times),
            stalled_client: StalledClient::After(150 * second),
            buffer_bytes: 5000,
            ..Limits::default()
        };
        for (side, limits, expected) in [
            (Side::Client, limits, (7, 10, 160)),
            (Side::Node, limits, (7, 10, 70)),
            (Side::Client, Limits::default(), (25, 5, 130)),
        ] {
            set_socket_options(&stream, side, &limits, None);
            let socket = SockRef::from(stream.tcp().unwrap());
            let seconds = |duration: Duration| duration.as_secs();
            let set = (
                seconds(socket.tcp_keepalive_time().unwrap()),
                seconds(socket.tcp_keepalive_interval().unwrap()),
                seconds(socket.tcp_user_timeout().unwrap().unwrap()),
            );
            assert_eq!(set, expected, "{side:?}");
            assert!(socket.keepalive().unwrap());
            assert_eq!(socket.tcp_notsent_lowat().unwrap() as usize, limits.buffer_bytes);
        }
    }

    #[test]
    fn the_options_of_a_listener_are_those_of_a_default_tunnel() {
        assert_eq!(options(&Limits::default()), SocketOptions::default());
    }
}
