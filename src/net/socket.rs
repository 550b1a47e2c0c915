//! The options of TCP sockets. No other file sets one.
//!
//! A system that lacks an option works without it, except where a function returns an error.
//!
//! Runs for every request.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::TcpStream;

/// How the kernel finds a host that is gone although no byte is sent, and how many unsent bytes it
/// holds (tcp(7), socket(7)). A listening socket passes these options on to the sockets that it accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SocketOptions {
    /// A host that is silent for this long gets a keepalive probe. In whole seconds.
    pub keepalive_time: Duration,
    /// The time between two of the [`KEEPALIVE_PROBES`] probes. In whole seconds, at least one.
    pub keepalive_interval: Duration,
    /// The unsent bytes at which the kernel accepts no more. Without this limit the kernel holds
    /// megabytes for each slow reader, and writes make progress only in steps of half a minute.
    pub unsent_bytes_max: u32,
}

impl SocketOptions {
    /// Sets the options on a socket.
    pub(crate) fn set_on(&self, stream: &TcpStream) {
        self.set(&SockRef::from(stream));
    }

    fn set(&self, socket: &SockRef<'_>) {
        let _ = socket.set_tcp_notsent_lowat(self.unsent_bytes_max);
        let probes = TcpKeepalive::new()
            .with_time(self.keepalive_time)
            .with_interval(self.keepalive_interval.max(Duration::from_secs(1)))
            .with_retries(KEEPALIVE_PROBES);
        let _ = socket.set_tcp_keepalive(&probes);
    }
}

impl Default for SocketOptions {
    /// The options of a tunnel with default limits, so that a tunnel has nothing to set on an accepted
    /// socket.
    fn default() -> Self {
        Self {
            keepalive_time: Duration::from_secs(25),
            keepalive_interval: Duration::from_secs(5),
            unsent_bytes_max: 64 * 1024,
        }
    }
}

/// How many keepalive probes a host may leave unanswered.
pub(crate) const KEEPALIVE_PROBES: u32 = 4;

/// Opens a socket that listens on `address`, with a queue of `backlog` clients.
///
/// `[::]` accepts IPv4 clients too, whatever the system's default is, as Node.js does. If `0.0.0.0` is
/// configured for the same port, the second bind fails with an error; with an IPv6-only socket, IPv4
/// clients would have no server and nothing would report it.
///
/// # Errors
///
/// The error of the system, mostly that the address is taken or does not belong to this machine.
pub(crate) fn listen(address: SocketAddr, backlog: i32) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    // Without it, a restart would wait a minute for the closed connections of the old process.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    Ok(socket.into())
}

/// Makes a listening socket non-blocking, and sets the options that it passes on to the sockets that
/// it accepts.
///
/// # Errors
///
/// The error of the system if the socket is not a TCP socket.
pub(crate) fn prepare_listener(socket: &TcpListener) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    let socket = SockRef::from(socket);
    // Messages of a chat are small, and each is written as a whole.
    socket.set_tcp_nodelay(true)?;
    SocketOptions::default().set(&socket);
    Ok(())
}

/// Sends small writes without a delay.
///
/// # Errors
///
/// The error of the system.
pub(crate) fn set_nodelay(stream: &TcpStream) -> io::Result<()> {
    // A message is written as a whole: Nagle's algorithm could only delay it.
    stream.set_nodelay(true)
}

/// Resets the connection when the socket is closed, instead of sending FIN. If the system refuses, the
/// socket is closed as usual.
pub(crate) fn reset_on_close(stream: &TcpStream) {
    let _ = stream.set_zero_linger();
}

/// Fails the connection when its host acknowledges none of the sent bytes for `max`, or accepts none
/// of the unsent ones (RFC 5482, `TCP_USER_TIMEOUT` of tcp(7)).
pub(crate) fn set_unacknowledged_max(stream: &TcpStream, max: Duration) {
    let _ = SockRef::from(stream).set_tcp_user_timeout(Some(max));
}

/// Whether some of the written bytes wait in the kernel until the peer has read the bytes before
/// them. Unknown behind a FIN.
pub(crate) fn has_unsent(stream: &TcpStream) -> bool {
    let socket = SockRef::from(stream);
    let Ok(unsent_bytes_max) = socket.tcp_notsent_lowat() else { return true };
    // A socket is writable while less than half of this is left to send.
    let is_set = socket.set_tcp_notsent_lowat(1).is_ok();
    let is_writable = is_set && is_writable(stream);
    let _ = socket.set_tcp_notsent_lowat(unsent_bytes_max);
    !is_writable
}

/// Whether the connection has failed. Behind a FIN of the peer, no read says so. What it says is said once.
pub(crate) fn is_reset(stream: &TcpStream) -> bool {
    !matches!(stream.take_error(), Ok(None))
}

/// Asks the kernel: the runtime's readiness may be outdated.
fn is_writable(stream: &TcpStream) -> bool {
    let mut stream = [PollFd::new(stream, PollFlags::OUT)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut stream, Some(&now)).is_ok() && stream[0].revents() == PollFlags::OUT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bytes_that_wait_for_a_peer_that_does_not_read_are_unsent() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let connect = TcpStream::connect(listener.local_addr().unwrap());
        let (stream, accepted) = tokio::join!(connect, listener.accept());
        let (stream, _silent) = (stream.unwrap(), accepted.unwrap());
        let socket = SockRef::from(&stream);
        socket.set_tcp_notsent_lowat(5000).unwrap();
        assert!(!has_unsent(&stream), "nothing was written");
        assert_eq!(stream.try_write(b"ping").unwrap(), 4);
        assert!(!has_unsent(&stream));
        while is_writable(&stream) {
            stream.try_write(&[0; 4000]).unwrap();
        }
        assert!(has_unsent(&stream));
        assert_eq!(socket.tcp_notsent_lowat().unwrap(), 5000, "as it was before");
    }
}
