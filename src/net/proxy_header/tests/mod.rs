//! Headers of both versions.

mod against_library;
mod binary;
mod text;

use super::*;

fn client(source: &str, destination: &str) -> Origin {
    Origin::Client { source: source.parse().unwrap(), destination: destination.parse().unwrap() }
}

/// Reads `bytes`, which are one header, also in pieces and with more bytes behind it.
fn read(bytes: &[u8]) -> ProxyHeader {
    for end in 0..bytes.len() {
        assert_eq!(parse(&bytes[..end]), Ok(Parsed::NeedMore), "{}", bytes.escape_ascii());
    }
    let whole = parse(bytes);
    let longer = [bytes, b"GET / HTTP/1.1\r\n"].concat();
    assert_eq!(parse(&longer), whole);
    match whole {
        Ok(Parsed::Header { header, length }) if length == bytes.len() => *header,
        other => panic!("{}: {other:?}", bytes.escape_ascii()),
    }
}

/// The fault of `bytes`, which stays the same with more bytes, and the number of bytes that show it.
fn fault(bytes: &[u8]) -> (Fault, usize) {
    let shows = (0..=bytes.len()).find(|end| parse(&bytes[..*end]) != Ok(Parsed::NeedMore));
    let shows = shows.unwrap_or_else(|| panic!("{} is a beginning", bytes.escape_ascii()));
    let fault = parse(&bytes[..shows]).expect_err("a fault");
    assert_eq!(parse(bytes), Err(fault), "{}", bytes.escape_ascii());
    (fault, shows)
}

#[test]
fn what_begins_otherwise_is_no_header() {
    for bytes in [
        "GET / HTTP/1.1\r\n\r\n",
        "POST / HTTP/1.1\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "PUT",
        "\r\nGET / HTTP/1.1",
        "\r\n\r\n\r\n",
        "\r\n\r\n\0\r\nQUIT\r",
        "\x16\x03\x01",
        "proxy TCP4",
        " PROXY TCP4",
    ] {
        assert_eq!(parse(bytes.as_bytes()), Ok(Parsed::Absent), "{bytes:?}");
    }
}

#[test]
fn what_may_become_a_header_or_a_request_needs_more() {
    for bytes in ["", "P", "PR", "PROX", "\r\n", "\r\n\r\n", "\r\n\r\n\0\r\nQUIT"] {
        assert_eq!(parse(bytes.as_bytes()), Ok(Parsed::NeedMore), "{bytes:?}");
    }
}

#[test]
fn our_own_headers_are_read_as_they_were_meant() {
    for (source, destination, as_read) in [
        ("203.0.113.9:4711", "192.0.2.1:443", client("203.0.113.9:4711", "192.0.2.1:443")),
        (
            "[2001:db8::9]:1",
            "[2001:db8::1]:65535",
            client("[2001:db8::9]:1", "[2001:db8::1]:65535"),
        ),
        ("203.0.113.9:0", "[2001:db8::1]:443", client("203.0.113.9:0", "[2001:db8::1]:443")),
        ("[2001:db8::9]:1", "192.0.2.1:443", client("[2001:db8::9]:1", "192.0.2.1:443")),
        ("[::ffff:203.0.113.9]:1", "192.0.2.1:443", client("203.0.113.9:1", "192.0.2.1:443")),
    ] {
        let (source, destination) = (source.parse().unwrap(), destination.parse().unwrap());
        for version in [Version::V1, Version::V2] {
            let header = read(&version.for_client(source, destination));
            assert_eq!(header, ProxyHeader { origin: as_read, details: Details::default() });
        }
        assert_eq!(read(&Version::V1.for_own(source, destination)).origin, as_read);
        assert_eq!(read(&Version::V2.for_own(source, destination)).origin, Origin::Balancer);
    }
}

#[test]
fn our_own_headers_fit_into_the_smallest_segment() {
    let longest = "[1111:2222:3333:4444:5555:6666:7777:8888]:65535".parse().unwrap();
    for version in [Version::V1, Version::V2] {
        assert!(version.for_client(longest, longest).len() <= 536);
    }
    assert_eq!(
        Version::V1
            .for_client("192.168.0.1:56324".parse().unwrap(), "192.168.0.11:443".parse().unwrap()),
        b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n",
        "the example of section 2.1"
    );
}

#[test]
fn a_fault_is_a_sentence() {
    let sentence = Fault::Address { side: Side::Source, family: "IPv4" }.to_string();
    assert_eq!(sentence, "the source address is not an IPv4 address");
    let sentence = Fault::Port(Side::Destination).to_string();
    assert_eq!(
        sentence,
        "the destination port is not a number from 0 to 65535 without leading zeros"
    );
}
