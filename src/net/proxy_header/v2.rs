//! Version 2 of the PROXY protocol: binary, with extensions (section 2.2).
//!
//! Pure. Runs for every request.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Details, Fault, LENGTH_MAX, Origin, Pair, Parsed, ProxyHeader, canonical};

/// The first bytes of a header.
pub(super) const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// The part with the same form in all headers: signature, version and command, family and transport,
/// and the length of the rest.
const FIXED_LENGTH: usize = 16;

/// Reads a header that begins with [`SIGNATURE`], as far as it goes.
pub(super) fn parse(bytes: &[u8]) -> Result<Parsed, Fault> {
    let command = match bytes.get(12) {
        None => return Ok(Parsed::NeedMore),
        Some(byte) => command(*byte)?,
    };
    let family = match (command, bytes.get(13)) {
        (_, None) => return Ok(Parsed::NeedMore),
        // Whatever stands there must be ignored.
        (Command::Local, Some(_)) => Family::Unspecified,
        (Command::Proxy, Some(byte)) => family(*byte)?,
    };
    let Some([high, low]) = bytes.get(14..FIXED_LENGTH) else { return Ok(Parsed::NeedMore) };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    let (whole, needed) = (FIXED_LENGTH + length, family.addresses_length());
    if whole > LENGTH_MAX {
        return Err(Fault::TooLong(whole));
    }
    if length < needed {
        return Err(Fault::TooShort { length, needed });
    }
    let Some(bytes) = bytes.get(..whole) else { return Ok(Parsed::NeedMore) };
    let origin = match command {
        Command::Local => Origin::Balancer,
        Command::Proxy => family.origin(&bytes[FIXED_LENGTH..]),
    };
    let details = match family {
        // Where the extensions begin is not known.
        Family::Unspecified => Details::default(),
        Family::V4 | Family::V6 | Family::Unix => Details::parse(bytes, FIXED_LENGTH + needed)?,
    };
    let header = Box::new(ProxyHeader { origin, details });
    Ok(Parsed::Header { header, length: whole })
}

#[derive(Clone, Copy, Debug)]
enum Command {
    Local,
    Proxy,
}

fn command(byte: u8) -> Result<Command, Fault> {
    match (byte >> 4, byte & 0xf) {
        (2, 0) => Ok(Command::Local),
        (2, 1) => Ok(Command::Proxy),
        (2, command) => Err(Fault::Command(command)),
        (version, _) => Err(Fault::Version(version)),
    }
}

/// The form of the addresses.
#[derive(Clone, Copy, Debug)]
enum Family {
    Unspecified,
    V4,
    V6,
    Unix,
}

/// A client of another transport than TCP has its addresses too: a balancer may accept HTTP/3 by UDP.
fn family(byte: u8) -> Result<Family, Fault> {
    match (byte >> 4, byte & 0xf) {
        (0..=3, 0) | (0, 1 | 2) => Ok(Family::Unspecified),
        (1, 1 | 2) => Ok(Family::V4),
        (2, 1 | 2) => Ok(Family::V6),
        (3, 1 | 2) => Ok(Family::Unix),
        (0..=3, transport) => Err(Fault::Transport(transport)),
        (family, _) => Err(Fault::Family(family)),
    }
}

impl Family {
    fn addresses_length(self) -> usize {
        match self {
            Self::Unspecified => 0,
            Self::V4 => 2 * 4 + 2 * 2,
            Self::V6 => 2 * 16 + 2 * 2,
            Self::Unix => 2 * 108,
        }
    }

    /// `rest` is all that follows the fixed part.
    fn origin(self, rest: &[u8]) -> Origin {
        let addresses = match self {
            Self::Unspecified | Self::Unix => None,
            Self::V4 => pair(rest, |bytes: [u8; 4]| Ipv4Addr::from(bytes).into()),
            Self::V6 => pair(rest, |bytes: [u8; 16]| Ipv6Addr::from(bytes).into()),
        };
        match addresses {
            Some([source, destination]) => Origin::Client { source, destination },
            None => Origin::Unknown,
        }
    }
}

/// Two addresses of `N` bytes and their ports.
fn pair<const N: usize>(
    rest: &[u8],
    address: impl Fn([u8; N]) -> IpAddr,
) -> Option<[SocketAddr; 2]> {
    let (source, rest) = rest.split_first_chunk::<N>()?;
    let (destination, rest) = rest.split_first_chunk::<N>()?;
    let (source_port, rest) = rest.split_first_chunk::<2>()?;
    let destination_port = rest.first_chunk::<2>()?;
    let endpoint = |bytes: &[u8; N], port: &[u8; 2]| {
        canonical(SocketAddr::new(address(*bytes), u16::from_be_bytes(*port)))
    };
    Some([endpoint(source, source_port), endpoint(destination, destination_port)])
}

/// The header of a connection between two addresses.
pub(super) fn encode(pair: Pair) -> Vec<u8> {
    match pair {
        Pair::V4([source, destination]) => {
            let addresses = [source.ip().octets(), destination.ip().octets()].concat();
            encode_proxy(TCP4, &addresses, [source.port(), destination.port()])
        }
        Pair::V6([source, destination]) => {
            let addresses = [source.ip().octets(), destination.ip().octets()].concat();
            encode_proxy(TCP6, &addresses, [source.port(), destination.port()])
        }
    }
}

fn encode_proxy(family: u8, addresses: &[u8], ports: [u16; 2]) -> Vec<u8> {
    let length = u8::try_from(addresses.len() + 2 * 2).unwrap_or(u8::MAX);
    let ports = ports.map(u16::to_be_bytes).concat();
    [SIGNATURE, &[0x21, family, 0, length], addresses, &ports].concat()
}

/// The header of a connection that is opened for nobody else. It has no addresses.
pub(super) fn encode_local() -> Vec<u8> {
    [SIGNATURE, &[0x20, 0, 0, 0]].concat()
}

const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;
