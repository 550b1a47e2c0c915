//! Connections of clients: who they are, their number, their sockets, and the TLS and the streams in
//! them.
//!
//! Runs for every request.

mod client;
mod client_body;
mod client_network;
mod handoff;
mod http2_stream;
mod network_counts;
mod peek;
mod permits;
pub(crate) mod proxy_header;
mod read_ahead;
pub(crate) mod socket;
mod stream;

pub(crate) use client::is_in;
pub use client::{ClientCertificate, ClientInfo, Scheme};
pub(crate) use client_body::{Awaited, ClientBody, Http2Body};
pub(crate) use client_network::ClientNetwork;
pub(crate) use handoff::{RawSocket, RawStream, SocketReceiver, StreamHandoff, UpgradeHandoff};
pub(crate) use http2_stream::{Http2Stream, StreamOwner};
pub(crate) use peek::peek_more;
pub(crate) use permits::{ConnectionLimit, ConnectionPermit};
pub(crate) use read_ahead::ReadAhead;
pub(crate) use socket::SocketOptions;
pub(crate) use stream::NetStream;
