//! Version 1 of the PROXY protocol: one line of text (section 2.1).
//!
//! Pure. Runs for every request.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::{FromStr, from_utf8};

use memchr::memchr2;

use super::{Details, Fault, Origin, Pair, Parsed, ProxyHeader, Side, canonical};

/// The first bytes of a header.
pub(super) const SIGNATURE: &[u8] = b"PROXY";

/// The longest line, with its CRLF.
pub(super) const LENGTH_MAX: usize = 107;

/// Reads a line that begins with [`SIGNATURE`], as far as it goes.
pub(super) fn parse(bytes: &[u8]) -> Result<Parsed, Fault> {
    let too_long = Fault::LineTooLong { max: LENGTH_MAX };
    let line = &bytes[..bytes.len().min(LENGTH_MAX)];
    let Some(end) = memchr2(b'\r', b'\n', line) else {
        return if line.len() < LENGTH_MAX { Ok(Parsed::NeedMore) } else { Err(too_long) };
    };
    match &line[end..] {
        [b'\r', b'\n', ..] => {
            let origin = origin(line[..end].get(SIGNATURE.len()..).unwrap_or_default())?;
            let header = Box::new(ProxyHeader { origin, details: Details::default() });
            Ok(Parsed::Header { header, length: end + 2 })
        }
        [b'\r'] if line.len() < LENGTH_MAX => Ok(Parsed::NeedMore),
        [b'\r'] => Err(too_long),
        _ => Err(Fault::LineEnd),
    }
}

/// What stands between the signature and the CRLF.
fn origin(line: &[u8]) -> Result<Origin, Fault> {
    let mut fields = line.split(|byte| *byte == b' ');
    // There is nothing before the first space.
    let (Some([]), Some(protocol)) = (fields.next(), fields.next()) else {
        return Err(Fault::Protocol);
    };
    let (address, family): (ParseAddress, _) = match protocol {
        b"TCP4" => (address::<Ipv4Addr>, "IPv4"),
        b"TCP6" => (address::<Ipv6Addr>, "IPv6"),
        // What follows must be ignored.
        b"UNKNOWN" => return Ok(Origin::Unknown),
        _ => return Err(Fault::Protocol),
    };
    let mut field = || fields.next().ok_or(Fault::Fields);
    let [source, destination, source_port, destination_port] =
        [field()?, field()?, field()?, field()?];
    if fields.next().is_some() {
        return Err(Fault::Fields);
    }
    let endpoint = |side, text, port_text| {
        let address = address(text).ok_or(Fault::Address { side, family })?;
        let port = port(port_text).ok_or(Fault::Port(side))?;
        Ok(canonical(SocketAddr::new(address, port)))
    };
    Ok(Origin::Client {
        source: endpoint(Side::Source, source, source_port)?,
        destination: endpoint(Side::Destination, destination, destination_port)?,
    })
}

/// Parses an address of one family.
type ParseAddress = fn(&[u8]) -> Option<IpAddr>;

fn address<A: FromStr + Into<IpAddr>>(text: &[u8]) -> Option<IpAddr> {
    Some(from_utf8(text).ok()?.parse::<A>().ok()?.into())
}

fn port(text: &[u8]) -> Option<u16> {
    let is_number = text.iter().all(u8::is_ascii_digit);
    let has_leading_zero = text.len() > 1 && text.starts_with(b"0");
    if !is_number || has_leading_zero {
        return None;
    }
    from_utf8(text).ok()?.parse().ok()
}

/// The line of a connection of which no addresses are known.
pub(super) const UNKNOWN: &[u8] = b"PROXY UNKNOWN\r\n";

/// The line of a connection between two addresses.
pub(super) fn encode(pair: Pair) -> Vec<u8> {
    let line = match pair {
        Pair::V4([source, destination]) => {
            let (from, to) = (source.ip(), destination.ip());
            format!("PROXY TCP4 {from} {to} {} {}\r\n", source.port(), destination.port())
        }
        Pair::V6([source, destination]) => {
            let (from, to) = (source.ip(), destination.ip());
            format!("PROXY TCP6 {from} {to} {} {}\r\n", source.port(), destination.port())
        }
    };
    line.into_bytes()
}
