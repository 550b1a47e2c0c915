//! How what is left of a client's connection gets from the HTTP server to its tunnel.
//!
//! Runs for every request.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::{ConnectionPermit, Http2Stream, NetStream, SocketOptions};

/// Hands a client's side of a tunnel over when its handshake is answered. Clones share it.
///
/// The listener puts it into the extensions of each request that asks for a tunnel. Other HTTP
/// servers do not; with them the socket comes through hyper's
/// [`OnUpgrade`](hyper::upgrade::OnUpgrade).
pub(crate) struct Handoff<T>(Arc<Mutex<Option<Receiver<T>>>>);

/// Hands over the socket of an HTTP/1.1 connection when the 101 is written.
pub(crate) type UpgradeHandoff = Handoff<RawSocket>;

/// Hands over a stream of an HTTP/2 connection when its 200 is written.
pub(crate) type StreamHandoff = Handoff<RawStream>;

/// Receives what is handed over. It is dropped uncalled if the client leaves before.
type Receiver<T> = Box<dyn FnOnce(T) + Send>;

/// Receives a socket.
pub(crate) type SocketReceiver = Receiver<RawSocket>;

impl<T> Handoff<T> {
    /// Hands the client's side to `receiver` when the handshake is answered.
    pub(crate) fn hand_to(&self, receiver: Receiver<T>) {
        *self.receiver() = Some(receiver);
    }

    /// Takes the receiver. `None` if none was set, or if it was taken before.
    pub(crate) fn take_receiver(&self) -> Option<Receiver<T>> {
        self.receiver().take()
    }

    fn receiver(&self) -> MutexGuard<'_, Option<Receiver<T>>> {
        // No code under the lock panics.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Default for Handoff<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> Clone for Handoff<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> fmt::Debug for Handoff<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Handoff").field(&self.receiver().is_some()).finish()
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

/// A client's HTTP/2 stream as a tunnel.
#[derive(Debug)]
pub(crate) struct RawStream {
    /// The stream.
    pub stream: Http2Stream,
    /// Must be kept as long as the stream.
    pub permit: ConnectionPermit,
}
