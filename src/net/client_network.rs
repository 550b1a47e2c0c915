//! The network of a client, by which clients are counted.
//!
//! Pure. Runs for every request.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An IPv4 address, or the /64 of an IPv6 address: a host chooses among all addresses of its /64
/// (RFC 8981), so that counting them would bound nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ClientNetwork {
    /// One address.
    V4([u8; 4]),
    /// The upper half of the address.
    V6([u8; 8]),
}

impl ClientNetwork {
    /// The network of a client at `address`. An IPv4-mapped IPv6 address counts as IPv4.
    pub(crate) fn new(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.octets()),
            IpAddr::V6(address) => {
                let [a, b, c, d, e, f, g, h, ..] = address.octets();
                Self::V6([a, b, c, d, e, f, g, h])
            }
        }
    }
}

impl fmt::Display for ClientNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(octets) => Ipv4Addr::from(*octets).fmt(f),
            Self::V6(upper) => {
                let bits = u128::from(u64::from_be_bytes(*upper)) << 64;
                write!(f, "{}/64", Ipv6Addr::from(bits))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_an_ipv4_address_or_the_64_of_an_ipv6_address() {
        let check = |address: &str, shown: &str| {
            let network = ClientNetwork::new(address.parse().unwrap());
            assert_eq!(network.to_string(), shown);
        };
        check("10.0.0.1", "10.0.0.1");
        check("::ffff:10.0.0.1", "10.0.0.1");
        check("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64");
        check("2001:db8:1:2:ffff::", "2001:db8:1:2::/64");
        check("2001:db8:1:3::", "2001:db8:1:3::/64");
    }
}
