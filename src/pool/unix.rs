//! A connection to a node on a Unix socket.
//!
//! Runs for every request.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

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
        loop {
            match UnixStream::connect(path).await {
                // The queue of the socket is full. A connect to TCP would wait in the kernel.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep(RETRY_AFTER).await,
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
    let path = path.display();
    match error.kind() {
        io::ErrorKind::NotFound => {
            format!("there is no socket {path}: start the node, or correct the path")
        }
        io::ErrorKind::PermissionDenied => format!(
            "the user of this process may not use the socket {path}: permit it to write to the socket and \
             to search its directories, for example by a group"
        ),
        io::ErrorKind::ConnectionRefused => format!(
            "nothing listens on the socket {path}, which an earlier process has left: start the node"
        ),
        io::ErrorKind::TimedOut => format!("the socket {path} did not accept in time"),
        _ => format!("the socket {path} cannot be used"),
    }
}

/// Whether the node or its operator is to blame: no request can be sent to it.
pub(super) fn counts_against_node(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::TimedOut
    )
}

/// How soon a connect is repeated for which there was no room: a busy process accepts within that time.
const RETRY_AFTER: Duration = Duration::from_millis(5);

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
        // A file, and no socket.
        let file = directory.path().join("2.sock");
        std::fs::write(&file, "").unwrap();
        error_at(&file, ENOUGH).await;
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
