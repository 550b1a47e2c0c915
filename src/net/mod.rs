//! TCP connections, below HTTP: their clients, their number, their sockets, and TLS in them.
//!
//! Runs for every request.

mod client;
mod handoff;
mod permits;
pub(crate) mod socket;
mod stream;

pub(crate) use client::is_in;
pub use client::{ClientInfo, Scheme};
pub(crate) use handoff::{RawSocket, SocketReceiver, UpgradeHandoff};
pub(crate) use permits::{ConnectionLimit, ConnectionPermit};
pub(crate) use socket::SocketOptions;
pub(crate) use stream::NetStream;
