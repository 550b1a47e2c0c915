//! A look at the first bytes of a socket, which stay in it.
//!
//! Runs for every request.

use std::io;

use rustix::net::{RecvFlags, recv};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Copies the first bytes of `socket` to the beginning of `buffer` once there are more than `known` of
/// them, without taking them. Returns their number, which is `known` if no more will come. Cancel safe.
///
/// # Errors
///
/// The error of the system: the connection was reset.
pub(crate) async fn peek_more(
    socket: &TcpStream,
    known: usize,
    buffer: &mut [u8],
) -> io::Result<usize> {
    loop {
        let is_ended = socket.ready(Interest::READABLE).await?.is_read_closed();
        let peeked = socket.try_io(Interest::READABLE, || {
            let (length, _) = recv(socket, &mut *buffer, RecvFlags::PEEK)?;
            // The runtime is to wait for the next bytes, although there are some.
            let waits = length <= known && length < buffer.len() && !is_ended;
            if waits { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(length) }
        });
        match peeked {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => (),
            peeked => return peeked,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::time::timeout;

    use super::*;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let connect = TcpStream::connect(listener.local_addr().unwrap());
        let (near, accepted) = tokio::join!(connect, listener.accept());
        (near.unwrap(), accepted.unwrap().0)
    }

    #[tokio::test]
    async fn bytes_stay_in_the_socket_and_the_next_ones_are_waited_for() {
        let (mut peer, mut socket) = pair().await;
        let mut buffer = [0; 8];
        peer.write_all(b"ab").await.unwrap();
        assert_eq!(peek_more(&socket, 0, &mut buffer).await.unwrap(), 2);
        // A wait that is not satisfied must not be a busy one: it would keep the timer from firing.
        let waits = timeout(Duration::from_millis(20), peek_more(&socket, 2, &mut buffer));
        assert!(waits.await.is_err());
        let (more, written) =
            tokio::join!(peek_more(&socket, 2, &mut buffer), peer.write_all(b"c"));
        written.unwrap();
        assert_eq!((more.unwrap(), &buffer[..3]), (3, &b"abc"[..]));
        drop(peer);
        assert_eq!(peek_more(&socket, 3, &mut buffer).await.unwrap(), 3, "no more will come");
        let mut all = Vec::new();
        socket.read_to_end(&mut all).await.unwrap();
        assert_eq!(all, b"abc");
    }

    #[tokio::test]
    async fn an_end_without_bytes_is_seen() {
        let (peer, socket) = pair().await;
        drop(peer);
        assert_eq!(peek_more(&socket, 0, &mut [0; 8]).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_full_buffer_is_not_waited_for() {
        let (mut peer, socket) = pair().await;
        peer.write_all(b"abc").await.unwrap();
        let mut buffer = [0; 2];
        assert_eq!(peek_more(&socket, 2, &mut buffer).await.unwrap(), 2);
    }
}
