//! How a client's socket gets from the HTTP server to its tunnel.
//!
//! Runs for every request.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{ConnectionPermit, NetStream, SocketOptions};
use bytes::Bytes;

/// Hands the socket of a connection to a tunnel when the 101 is written. Clones share it.
///
/// The listener puts it into the extensions of each request that asks for an upgrade. Other HTTP
/// servers do not; with them the socket comes through hyper's
/// [`OnUpgrade`](hyper::upgrade::OnUpgrade).
#[derive(Clone, Default)]
pub(crate) struct UpgradeHandoff(Arc<Mutex<Option<SocketReceiver>>>);

/// Receives a socket. It is dropped uncalled if the client leaves before the 101 is written.
pub(crate) type SocketReceiver = Box<dyn FnOnce(RawSocket) + Send>;

impl UpgradeHandoff {
    /// Hands the socket to `receiver` when the 101 is written.
    pub(crate) fn hand_to(&self, receiver: SocketReceiver) {
        *self.receiver() = Some(receiver);
    }

    /// Takes the receiver. `None` if none was set, or if it was taken before.
    pub(crate) fn take_receiver(&self) -> Option<SocketReceiver> {
        self.receiver().take()
    }

    fn receiver(&self) -> MutexGuard<'_, Option<SocketReceiver>> {
        // No code under the lock panics.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for UpgradeHandoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("UpgradeHandoff").field(&self.receiver().is_some()).finish()
    }
}

/// A client's socket without HTTP.
#[derive(Debug)]
pub(crate) struct RawSocket {
    /// The socket, and the TLS in it.
    pub stream: NetStream,
    /// Bytes that were read from the stream already. They come before those that are still to be read.
    pub read_ahead: Bytes,
    /// Must be kept as long as the socket.
    pub permit: ConnectionPermit,
    /// The options that are set on the socket, if known.
    pub options: Option<SocketOptions>,
}
