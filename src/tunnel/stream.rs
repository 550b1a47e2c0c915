//! What a tunnel needs of the streams to its sides: bytes, and the kernel's view of a host.
//!
//! Runs at start, at reload, or on a timer.

use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::net::TcpStream;

/// The stream to one side of a tunnel. The defaults suit streams that are not sockets.
pub trait Stream: AsyncRead + AsyncWrite + Unpin {
    /// Fails the connection when its host acknowledges nothing of what was sent for `max`, or accepts
    /// nothing of what remains to be sent (RFC 5482, `TCP_USER_TIMEOUT` of tcp(7)).
    fn set_unacknowledged_max(&self, max: Duration) {
        let _ = max;
    }

    /// Whether some of what was written waits in the kernel until the side has read what was sent before.
    /// Unknown after FIN.
    fn has_unsent(&self) -> bool {
        false
    }
}

/// On a system without an option, the call has no effect.
impl Stream for TcpStream {
    fn set_unacknowledged_max(&self, max: Duration) {
        let _ = SockRef::from(self).set_tcp_user_timeout(Some(max));
    }

    fn has_unsent(&self) -> bool {
        let socket = SockRef::from(self);
        let Ok(unsent_bytes_max) = socket.tcp_notsent_lowat() else { return true };
        // A socket is writable while less than half of this is left to send.
        let is_set = socket.set_tcp_notsent_lowat(1).is_ok();
        let is_writable = is_set && is_writable(self);
        let _ = socket.set_tcp_notsent_lowat(unsent_bytes_max);
        !is_writable
    }
}

impl Stream for DuplexStream {}

/// Asks the kernel: the runtime's state may be older.
fn is_writable(stream: &TcpStream) -> bool {
    let mut stream = [PollFd::new(stream, PollFlags::OUT)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut stream, Some(&now)).is_ok() && stream[0].revents() == PollFlags::OUT
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn what_waits_for_a_side_that_does_not_read_is_unsent() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let connect = TcpStream::connect(listener.local_addr().unwrap());
        let (stream, accepted) = tokio::join!(connect, listener.accept());
        let (stream, _silent) = (stream.unwrap(), accepted.unwrap());
        let socket = SockRef::from(&stream);
        socket.set_tcp_notsent_lowat(5000).unwrap();
        assert!(!stream.has_unsent(), "nothing was written");
        assert_eq!(stream.try_write(b"ping").unwrap(), 4);
        assert!(!stream.has_unsent());
        while is_writable(&stream) {
            stream.try_write(&[0; 4000]).unwrap();
        }
        assert!(stream.has_unsent());
        assert_eq!(socket.tcp_notsent_lowat().unwrap(), 5000, "as it was before");
    }
}
