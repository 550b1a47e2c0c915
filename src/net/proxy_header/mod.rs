//! The PROXY protocol, versions 1 and 2: which client a relayed connection belongs to.
//!
//! A balancer that relays TCP without reading HTTP writes one header before the first byte of each
//! connection. The specification is HAProxy's `doc/proxy-protocol.txt`; section numbers refer to it.
//! Anyone who writes a header can name any client, so it may be read from trusted proxies only.
//!
//! Pure. Runs for every request.

mod fault;
#[cfg(test)]
mod tests;
mod tlv;
mod v1;
mod v2;

use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};

pub use fault::{Fault, Side};
pub use tlv::{Details, Text, TlsDetails};

/// What a header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyHeader {
    /// For whom the connection was opened.
    pub origin: Origin,
    /// What else the balancer knows. Empty in version 1.
    pub details: Details,
}

/// For whom a balancer opened a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// For itself, mostly for a health check (`LOCAL`): the addresses are those of the socket.
    Balancer,
    /// For a client without an IP address (`UNKNOWN`, `UNSPEC`, a UNIX socket).
    Unknown,
    /// For the client at `source`, which had connected to `destination`. IPv4-mapped IPv6 addresses
    /// are given as IPv4.
    Client {
        /// The client's address.
        source: SocketAddr,
        /// The balancer's address that the client connected to.
        destination: SocketAddr,
    },
}

/// What the first bytes of a connection are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// A whole header.
    Header {
        /// The header.
        header: Box<ProxyHeader>,
        /// Its length in bytes; what follows belongs to the relayed connection.
        length: usize,
    },
    /// The beginning of a header, or nothing.
    NeedMore,
    /// No header.
    Absent,
}

/// A version of the protocol, for headers that we write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// A line of text (section 2.1).
    V1,
    /// Binary (section 2.2).
    V2,
}

/// Reads a header from the first bytes of a connection. Call it again with more bytes, from the first
/// one on, as long as it needs more: this is never the case for [`LENGTH_MAX`] bytes.
///
/// # Errors
///
/// The bytes begin as a header does, and are none. The fault is reported as early as it can be seen.
pub fn parse(bytes: &[u8]) -> Result<Parsed, Fault> {
    if is_beginning(bytes, v2::SIGNATURE) {
        v2::parse(bytes)
    } else if is_beginning(bytes, v1::SIGNATURE) {
        v1::parse(bytes)
    } else {
        Ok(Parsed::Absent)
    }
}

/// Whether `bytes` begin with `signature`, as far as both go.
fn is_beginning(bytes: &[u8], signature: &[u8]) -> bool {
    bytes.iter().zip(signature).all(|(byte, expected)| byte == expected)
}

impl Version {
    /// The header of a connection that is opened for the client at `source`. The protocol knows no pair
    /// of two families: if only one address is IPv6, the other is written as IPv4-mapped IPv6.
    pub fn for_client(self, source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
        let pair = Pair::new(source, destination);
        match self {
            Self::V1 => v1::encode(pair),
            Self::V2 => v2::encode(pair),
        }
    }

    /// The header of a connection of our own between these addresses of its socket, for instance a
    /// health check. Version 1 has no word for it; the addresses say it (section 2.1).
    pub fn for_own(self, source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
        match self {
            Self::V1 => v1::encode(Pair::new(source, destination)),
            Self::V2 => v2::encode_local(),
        }
    }

    /// The header of a connection of our own between sockets without IP addresses.
    pub fn for_nobody(self) -> Vec<u8> {
        match self {
            Self::V1 => v1::UNKNOWN.to_vec(),
            Self::V2 => v2::encode_local(),
        }
    }
}

/// Two addresses of one family.
#[derive(Clone, Copy, Debug)]
enum Pair {
    V4([SocketAddrV4; 2]),
    V6([SocketAddrV6; 2]),
}

impl Pair {
    fn new(source: SocketAddr, destination: SocketAddr) -> Self {
        match (canonical(source), canonical(destination)) {
            (SocketAddr::V4(source), SocketAddr::V4(destination)) => {
                Self::V4([source, destination])
            }
            (source, destination) => Self::V6([source, destination].map(mapped)),
        }
    }
}

/// The address as IPv4 if it is IPv4-mapped IPv6, without flow and scope.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

fn mapped(address: SocketAddr) -> SocketAddrV6 {
    match address {
        SocketAddr::V4(address) => {
            SocketAddrV6::new(address.ip().to_ipv6_mapped(), address.port(), 0, 0)
        }
        SocketAddr::V6(address) => address,
    }
}

/// The longest header in bytes, as in nginx. The specification asks senders to stay below 536, but a
/// chain of extensions (a host name, an id, names of a certificate) can be longer.
pub const LENGTH_MAX: usize = 4096;
