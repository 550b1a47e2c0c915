//! TCP connections, below HTTP: their clients, their number, their sockets.
//!
//! Runs for every request.

mod client;
mod handoff;
mod permits;
pub mod socket;

pub use client::{ClientInfo, Scheme, is_in};
pub use handoff::{RawSocket, SocketReceiver, UpgradeHandoff};
pub use permits::{ConnectionLimit, ConnectionPermit};
pub use socket::SocketOptions;
