//! A connection to a node on a Unix socket.
//!
//! Runs for every request.

use std::io;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use tokio::net::UnixStream;
use tokio::time::{sleep, timeout_at};

use super::connect::ConnectError;
use crate::Instant;
use crate::upstream::Node;

/// Connects to the socket of `node` at `path`, by `deadline`. Cancel safe.
///
/// # Errors
///
/// The node does not accept a connection.
pub(super) async fn connect(
    node: &Node,
    path: &Arc<Path>,
    deadline: Instant,
) -> Result<UnixStream, ConnectError> {
    let attempts = async {
        let mut pause = RETRY_AFTER;
        loop {
            match UnixStream::connect(path).await {
                // The queue of the socket is full. A connect to TCP would wait in the kernel.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // Many may wait: not all of them at the same moment.
                    sleep(pause.mul_f64(0.5 + fastrand::f64())).await;
                    pause = (pause * 2).min(RETRY_AFTER_MAX);
                }
                connected => return connected,
            }
        }
    };
    let connected = timeout_at(deadline, attempts).await.unwrap_or_else(|late| Err(late.into()));
    connected.map_err(|source| ConnectError::Unix {
        node: node.name().clone(),
        path: path.clone(),
        source,
    })
}

/// What is wrong at `path`, and what to do.
pub(super) fn advice(path: &Path, error: &io::Error) -> String {
    // Asked only when a connect has failed, and the system has just looked at it.
    let is_socket = path.metadata().map_or(true, |found| found.file_type().is_socket());
    let path = path.display();
    match Errno::from_io_error(error) {
        Some(Errno::PROTOTYPE) => {
            return format!("the socket {path} is of another type: it has to be SOCK_STREAM");
        }
        Some(Errno::LOOP) => {
            return format!("the links at {path} lead round in a circle: correct the path");
        }
        Some(_) | None => (),
    }
    match error.kind() {
        io::ErrorKind::NotFound => {
            format!("there is no socket {path}: start the node, or correct the path")
        }
        io::ErrorKind::PermissionDenied => format!(
            "the user of this process may not use the socket {path}: permit it to write to the socket and \
             to search its directories, for example by a group"
        ),
        io::ErrorKind::ConnectionRefused if is_socket => format!(
            "nothing listens on the socket {path}, which an earlier process has left: start the node"
        ),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::NotADirectory => {
            format!("{path} is no socket: correct the path, or remove the file and start the node")
        }
        io::ErrorKind::TimedOut => format!("the socket {path} did not accept in time"),
        _ => format!("the socket {path} cannot be used"),
    }
}

/// How soon a connect is repeated for which there was no room: a busy process accepts within that time. Each
/// further one comes after twice as long.
const RETRY_AFTER: Duration = Duration::from_millis(5);

/// How soon at the latest.
const RETRY_AFTER_MAX: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use socket2::{Domain, SockAddr, Socket, Type};
    use tokio::net::UnixListener;

    use super::*;
    use crate::pool::options::ConnectOptions;
    use crate::upstream::{Endpoint, NodeSettings};

    const ENOUGH: Duration = Duration::from_secs(5);

    fn node_at(path: &Path) -> Node {
        Node::new(&NodeSettings::new("n1", Endpoint::Unix(path.into())))
    }

    async fn error_at(path: &Path, within: Duration) -> ConnectError {
        let node = node_at(path);
        let error = super::super::connect(&node, ConnectOptions::within(within)).await.unwrap_err();
        assert_eq!(node.is_avoided(Instant::now()), error.counts_against_node());
        assert!(error.counts_against_node(), "{error}");
        error
    }

    #[tokio::test]
    async fn a_socket_that_cannot_be_used_is_explained() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("1.sock");
        let error = error_at(&path, ENOUGH).await.to_string();
        assert!(error.ends_with("1.sock: start the node, or correct the path"), "{error}");
        drop(UnixListener::bind(&path).unwrap());
        let error = error_at(&path, ENOUGH).await.to_string();
        assert!(error.ends_with("which an earlier process has left: start the node"), "{error}");
        let denied = advice(&path, &io::ErrorKind::PermissionDenied.into());
        assert!(denied.contains("permit it to write to the socket"), "{denied}");
        let file = directory.path().join("2.sock");
        std::fs::write(&file, "").unwrap();
        for no_socket in [&file, &file.join("3.sock")] {
            let error = error_at(no_socket, ENOUGH).await.to_string();
            assert!(error.contains(" is no socket: "), "{error}");
        }
        let round = directory.path().join("4.sock");
        std::os::unix::fs::symlink(&round, &round).unwrap();
        let error = error_at(&round, ENOUGH).await.to_string();
        assert!(error.contains("round in a circle"), "{error}");
        let datagrams = directory.path().join("5.sock");
        let _socket = std::os::unix::net::UnixDatagram::bind(&datagrams).unwrap();
        let error = error_at(&datagrams, ENOUGH).await.to_string();
        assert!(error.contains("has to be SOCK_STREAM"), "{error}");
    }

    #[tokio::test]
    async fn a_full_queue_is_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("1.sock");
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        socket.bind(&SockAddr::unix(&path).unwrap()).unwrap();
        socket.listen(0).unwrap();
        let _queued = UnixStream::connect(&path).await.unwrap();
        let error = error_at(&path, Duration::from_millis(50)).await.to_string();
        assert!(error.ends_with("did not accept in time"), "{error}");

        let node = node_at(&path);
        let connected = super::super::connect(&node, ConnectOptions::within(ENOUGH));
        let accept = tokio::task::spawn_blocking(move || (socket.accept().unwrap(), socket));
        let (connected, _listening) = tokio::join!(connected, accept);
        assert!(connected.unwrap().tcp().is_none());
    }
}
