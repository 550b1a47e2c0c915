//! Addresses on which one process cannot listen at the same time.
//!
//! The system would refuse the second of them at the start, so the file is refused first.
//!
//! Pure. Runs at start, at reload, or on a timer.

use crate::yaml::{Diagnostic, KeyPath, Report};
use std::net::{IpAddr, SocketAddr};

/// An address and the path of its key.
pub(super) type Bind = (KeyPath, SocketAddr);

/// Refuses each of `binds` that conflicts with an earlier one.
pub(super) fn refuse_overlaps(binds: &[Bind], report: &mut Report<'_>) {
    for (index, (path, address)) in binds.iter().enumerate() {
        if report.is_full() {
            return;
        }
        let earlier = binds.iter().take(index);
        let Some((first, taken)) = earlier.into_iter().find(|(_, other)| overlap(*other, *address))
        else {
            continue;
        };
        let first = report.locate(first);
        let diagnostic = if taken == address {
            Diagnostic::new(format!("is the same as {first}")).help("remove one of the two")
        } else {
            let (wider, other) = if covers(taken.ip(), address.ip()) {
                (taken.ip(), address.ip())
            } else {
                (address.ip(), taken.ip())
            };
            let help = format!("{wider} includes {other}: remove one of the two");
            Diagnostic::new(format!("overlaps with {first}")).help(help)
        };
        report.refuse(path, diagnostic);
    }
}

/// Whether the two conflict. Port 0 is another port each time.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let is_same_port = one.port() == other.port() && one.port() != 0;
    is_same_port
        && scopes_meet(one, other)
        && (covers(one.ip(), other.ip()) || covers(other.ip(), one.ip()))
}

/// A link-local address is a different one on each interface.
fn scopes_meet(one: SocketAddr, other: SocketAddr) -> bool {
    match (one, other) {
        (SocketAddr::V6(one), SocketAddr::V6(other)) => {
            one.ip().is_unspecified()
                || other.ip().is_unspecified()
                || one.scope_id() == other.scope_id()
        }
        (SocketAddr::V4(_) | SocketAddr::V6(_), _) => true,
    }
}

/// Whether a socket on `wide` gets the connections to `narrow`. Our sockets on `[::]` accept IPv4
/// too.
fn covers(wide: IpAddr, narrow: IpAddr) -> bool {
    let (wide, narrow) = (wide.to_canonical(), narrow.to_canonical());
    match wide {
        IpAddr::V6(wide) if wide.is_unspecified() => true,
        IpAddr::V4(wide) if wide.is_unspecified() => narrow.is_ipv4(),
        IpAddr::V4(_) | IpAddr::V6(_) => wide == narrow,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_cannot_be_had_together_overlap() {
        let check = |one: &str, other: &str, expected: bool| {
            let [one, other] = [one, other].map(|text| text.parse().unwrap());
            assert_eq!(overlap(one, other), expected, "{one} {other}");
            assert_eq!(overlap(other, one), expected, "{other} {one}");
        };
        check("127.0.0.1:80", "127.0.0.1:80", true);
        check("127.0.0.1:80", "127.0.0.1:81", false);
        check("127.0.0.1:0", "127.0.0.1:0", false);
        check("127.0.0.1:80", "127.0.0.2:80", false);
        check("0.0.0.0:80", "127.0.0.1:80", true);
        check("0.0.0.0:80", "[::1]:80", false);
        check("[::]:80", "127.0.0.1:80", true);
        check("[::]:80", "0.0.0.0:80", true);
        check("[::]:80", "[::1]:80", true);
        check("[::ffff:127.0.0.1]:80", "127.0.0.1:80", true);
        check("[fe80::1%1]:80", "[fe80::1%2]:80", false);
        check("[fe80::1%1]:80", "[fe80::1%1]:80", true);
        check("[fe80::1%1]:80", "[::]:80", true);
    }
}
