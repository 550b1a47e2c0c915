//! Version 2: the families, commands and extensions of section 2.2, and what is wrong with others.

use super::super::tlv::crc32c;
use super::*;

const SIGNATURE: [u8; 12] =
    [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a];

const V4: [u8; 12] = [203, 0, 113, 9, 192, 0, 2, 1, 0x12, 0x67, 0x01, 0xbb];

fn header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [&SIGNATURE, &[command, family][..], &length, rest].concat()
}

/// The header of a client by TCP over IPv4 with these extensions.
fn extended(extensions: &[Vec<u8>]) -> Vec<u8> {
    header(0x21, 0x11, &[&V4[..], &extensions.concat()].concat())
}

fn extension(kind: u8, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).unwrap().to_be_bytes();
    [&[kind], &length[..], value].concat()
}

fn shown(text: Option<&Text>) -> Option<String> {
    text.map(ToString::to_string)
}

#[test]
fn clients_of_every_family_are_read() {
    let v6: Vec<u8> = [
        "2001:db8::9".parse::<std::net::Ipv6Addr>().unwrap().octets(),
        "2001:db8::1".parse::<std::net::Ipv6Addr>().unwrap().octets(),
    ]
    .concat();
    let v6 = [&v6[..], &V4[8..]].concat();
    let mapped = [[0; 10].as_slice(), &[0xff, 0xff], &V4[..4]].concat();
    let mapped = [&mapped[..], &mapped, &[0, 1, 0, 2]].concat();
    let v4_client = client("203.0.113.9:4711", "192.0.2.1:443");
    let v6_client = client("[2001:db8::9]:4711", "[2001:db8::1]:443");
    for (family, rest, origin) in [
        (0x11, &V4[..], v4_client),
        (0x12, &V4, v4_client),
        (0x21, &v6, v6_client),
        (0x22, &v6, v6_client),
        (0x21, &mapped, client("203.0.113.9:1", "203.0.113.9:2")),
        (0x31, &[b'/'; 216], Origin::Unknown),
        (0x32, &[b'/'; 216], Origin::Unknown),
        (0x00, &[], Origin::Unknown),
        (0x00, &[1, 2, 3], Origin::Unknown),
        (0x01, &[], Origin::Unknown),
        (0x10, &V4, Origin::Unknown),
        (0x30, &[], Origin::Unknown),
    ] {
        let header = read(&header(0x21, family, rest));
        assert_eq!(header, ProxyHeader { origin, details: Details::default() }, "{family:#x}");
    }
}

#[test]
fn a_balancers_own_connection_has_its_own_address_whatever_else_is_in_the_header() {
    for (family, rest) in
        [(0, &[][..]), (0x11, &V4), (0x11, &[1]), (0xff, b"anything"), (0, &[9; 300])]
    {
        assert_eq!(read(&header(0x20, family, rest)).origin, Origin::Balancer);
    }
}

#[test]
fn a_wrong_fixed_part_is_refused_by_its_first_wrong_byte() {
    for (command, family, expected, shows) in [
        (0x11, 0x11, Fault::Version(1), 13),
        (0x31, 0x11, Fault::Version(3), 13),
        (0x22, 0x11, Fault::Command(2), 13),
        (0x2f, 0x11, Fault::Command(15), 13),
        (0x21, 0x41, Fault::Family(4), 14),
        (0x21, 0xf0, Fault::Family(15), 14),
        (0x21, 0x13, Fault::Transport(3), 14),
        (0x21, 0x0f, Fault::Transport(15), 14),
    ] {
        assert_eq!(fault(&header(command, family, &V4)), (expected, shows));
    }
}

#[test]
fn a_length_that_cannot_be_is_refused_before_the_rest_has_come() {
    for (family, needed) in [(0x11, 12), (0x12, 12), (0x21, 36), (0x22, 36), (0x31, 216)] {
        let short = vec![0; needed - 1];
        let too_short = Fault::TooShort { length: needed - 1, needed };
        assert_eq!(fault(&header(0x21, family, &short)), (too_short, 16));
    }
    let noop = |length: usize| extension(0x04, &vec![0; length - 16 - V4.len() - 3]);
    read(&extended(&[noop(LENGTH_MAX)]));
    let too_long = Fault::TooLong(LENGTH_MAX + 1);
    assert_eq!(fault(&extended(&[noop(LENGTH_MAX + 1)])), (too_long, 16));
    let longest = [&SIGNATURE[..], &[0x20, 0, 0xff, 0xff]].concat();
    assert_eq!(fault(&longest), (Fault::TooLong(16 + 0xffff), 16));
}

#[test]
fn extensions_are_kept_for_the_log() {
    let tls = [
        &[0x07, 0, 0, 0, 0][..],
        &extension(0x21, b"TLSv1.3"),
        &extension(0x22, b"alice"),
        &extension(0x23, b"TLS_AES_128_GCM_SHA256"),
        &extension(0x24, b"RSA-SHA256"),
        &extension(0x25, b"RSA2048"),
    ];
    let details = read(&extended(&[
        extension(0x01, b"h2"),
        extension(0x02, b"chat.example.com"),
        extension(0x04, b""),
        extension(0x05, b"\x01\xffid"),
        extension(0x20, &tls.concat()),
        extension(0x30, b"blue"),
        extension(0xea, b"\x01vpce-08d2bf15fac5001c9"),
        extension(0xea, b"\x02other"),
        extension(0xee, b"\x01\0\0\0\x07"),
    ]))
    .details;
    assert_eq!(shown(details.authority.as_ref()).unwrap(), "chat.example.com");
    assert_eq!(shown(details.unique_id.as_ref()).unwrap(), r"\x01\xffid");
    assert_eq!(shown(details.aws_vpc_endpoint.as_ref()).unwrap(), "vpce-08d2bf15fac5001c9");
    let tls = details.tls.unwrap();
    assert_eq!(shown(tls.version.as_ref()).unwrap(), "TLSv1.3");
    assert_eq!(shown(tls.common_name.as_ref()).unwrap(), "alice");
    assert_eq!(shown(tls.cipher.as_ref()).unwrap(), "TLS_AES_128_GCM_SHA256");
    assert!(tls.is_client_verified);
}

#[test]
fn a_client_is_verified_only_with_a_certificate_that_was_checked() {
    let tls = |value: &[u8]| read(&extended(&[extension(0x20, value)])).details.tls;
    for (value, expected) in [
        ([0x00, 0, 0, 0, 0], None),
        ([0x06, 0, 0, 0, 0], None),
        ([0x01, 0, 0, 0, 0], Some(false)),
        ([0x03, 0, 0, 0, 1], Some(false)),
        ([0x03, 1, 0, 0, 0], Some(false)),
        ([0x03, 0, 0, 0, 0], Some(true)),
        ([0x05, 0, 0, 0, 0], Some(true)),
    ] {
        assert_eq!(tls(&value).map(|tls| tls.is_client_verified), expected, "{value:?}");
    }
}

#[test]
fn extensions_that_do_not_fit_are_refused() {
    for rest in [&[0x04][..], &[0x04, 0], &[0x04, 0, 1], &[0x02, 0xff, 0xff, 1]] {
        assert_eq!(fault(&extended(&[rest.to_vec()])).0, Fault::ExtensionTruncated);
    }
    let inner = [&[1, 0, 0, 0, 0][..], &[0x21, 0, 9, b'x']].concat();
    assert_eq!(fault(&extended(&[extension(0x20, &inner)])).0, Fault::ExtensionTruncated);
    for (kind, length, fits) in [
        (0x02, 256, Some(255)),
        (0x05, 129, Some(128)),
        (0x03, 3, None),
        (0x03, 5, None),
        (0x20, 4, Some(5)),
    ] {
        let wrong = extended(&[extension(kind, &vec![0; length])]);
        assert_eq!(fault(&wrong).0, Fault::ExtensionLength { kind, length });
        if let Some(length) = fits {
            read(&extended(&[extension(kind, &vec![0; length])]));
        }
    }
}

#[test]
fn a_checksum_is_that_of_the_whole_header() {
    let mut header = extended(&[
        extension(0x02, b"chat.example.com"),
        extension(0x03, &[0; 4]),
        extension(0x05, b"id"),
    ]);
    let checksum = crc32c(header.iter().copied()).to_be_bytes();
    let at = header.len() - 5 - 4;
    header[at..at + 4].copy_from_slice(&checksum);
    read(&header);
    // Of another type, it would be no checksum.
    let kind = at - 3;
    for changed in (16..header.len()).filter(|changed| *changed != kind) {
        let mut header = header.clone();
        header[changed] ^= 0x10;
        assert!(parse(&header).is_err(), "byte {changed}");
    }
    header[at] ^= 1;
    assert_eq!(fault(&header).0, Fault::Checksum);
}
