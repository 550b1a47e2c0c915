//! Version 1: the lines of section 2.1, and what is not one.

use super::*;

#[test]
fn the_lines_of_the_specification_are_read() {
    for (line, origin) in [
        (
            "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n",
            client("192.168.0.1:56324", "192.168.0.11:443"),
        ),
        (
            "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
            client("255.255.255.255:65535", "255.255.255.255:65535"),
        ),
        (
            "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff \
             FFFF:FFFF:FFFF:FFFF:FFFF:FFFF:FFFF:FFFF 65535 65535\r\n",
            client(
                "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
                "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
            ),
        ),
        ("PROXY TCP6 ::1 2001:db8::1 0 80\r\n", client("[::1]:0", "[2001:db8::1]:80")),
        ("PROXY TCP6 ::ffff:10.0.0.9 ::ffff:a00:1 1 80\r\n", client("10.0.0.9:1", "10.0.0.1:80")),
        ("PROXY UNKNOWN\r\n", Origin::Unknown),
        ("PROXY UNKNOWN \r\n", Origin::Unknown),
        ("PROXY UNKNOWN what \0 ever\r\n", Origin::Unknown),
        (
            "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff \
             ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
            Origin::Unknown,
        ),
    ] {
        assert_eq!(read(line.as_bytes()).origin, origin, "{line:?}");
    }
}

#[test]
fn the_longest_line_has_107_bytes() {
    let line = |length: usize| format!("PROXY UNKNOWN {}\r\n", "x".repeat(length - 16));
    assert_eq!(read(line(107).as_bytes()).origin, Origin::Unknown);
    let too_long = Fault::LineTooLong { max: 107 };
    assert_eq!(fault(line(108).as_bytes()), (too_long, 107));
    assert_eq!(fault(&line(200).as_bytes()[..107]), (too_long, 107));
}

#[test]
fn a_line_ends_in_crlf() {
    for line in
        ["PROXY UNKNOWN\n", "PROXY UNKNOWN\rX", "PROXY TCP4 10.0.0.9 10.0.0.1 1 80\n\r", "PROXY\n"]
    {
        assert_eq!(fault(line.as_bytes()).0, Fault::LineEnd, "{line:?}");
    }
}

#[test]
fn a_line_names_a_protocol_that_exists() {
    for protocol in ["TCP5", "UDP4", "tcp4", "UNKNOWNS", "", " TCP4", "UNIX"] {
        let line = format!("PROXY {protocol} 10.0.0.9 10.0.0.1 1 80\r\n");
        assert_eq!(fault(line.as_bytes()).0, Fault::Protocol, "{line:?}");
    }
    for line in ["PROXY\r\n", "PROXY \r\n", "PROXYTCP4 1.1.1.1 1.1.1.1 1 1\r\n"] {
        assert_eq!(fault(line.as_bytes()).0, Fault::Protocol, "{line:?}");
    }
}

#[test]
fn a_line_has_two_addresses_and_two_ports() {
    for rest in ["", " 10.0.0.9", " 10.0.0.9 10.0.0.1 1", " 10.0.0.9 10.0.0.1 1 80 ", " 1 2 3 4 5"]
    {
        let line = format!("PROXY TCP4{rest}\r\n");
        assert_eq!(fault(line.as_bytes()).0, Fault::Fields, "{line:?}");
    }
}

#[test]
fn addresses_are_of_the_family_that_the_line_names() {
    for (family, protocol, good, bad) in [
        (
            "IPv4",
            "TCP4",
            "10.0.0.1",
            &[
                "::1",
                "10.0.0",
                "10.0.0.256",
                "010.0.0.1",
                "10.0.0.1/8",
                "",
                "localhost",
                "10.0.0.1\t",
            ][..],
        ),
        (
            "IPv6",
            "TCP6",
            "::1",
            &["10.0.0.1", "[::1]", "::1%eth0", ":::", "1:2:3:4:5:6:7", "12345::", "", "\u{b9}::1"],
        ),
    ] {
        for bad in bad {
            let line = format!("PROXY {protocol} {bad} {good} 1 80\r\n");
            let expected = Fault::Address { side: Side::Source, family };
            assert_eq!(fault(line.as_bytes()).0, expected, "{line:?}");
            let line = format!("PROXY {protocol} {good} {bad} 1 80\r\n");
            let expected = Fault::Address { side: Side::Destination, family };
            assert_eq!(fault(line.as_bytes()).0, expected, "{line:?}");
        }
    }
}

#[test]
fn ports_are_decimal_numbers_of_16_bits() {
    for bad in ["65536", "080", "00", "+80", "-1", "", "8o", "0x50", "99999999999", "\u{661}"] {
        let line = format!("PROXY TCP4 10.0.0.9 10.0.0.1 {bad} 80\r\n");
        assert_eq!(fault(line.as_bytes()).0, Fault::Port(Side::Source), "{line:?}");
        let line = format!("PROXY TCP4 10.0.0.9 10.0.0.1 80 {bad}\r\n");
        assert_eq!(fault(line.as_bytes()).0, Fault::Port(Side::Destination), "{line:?}");
    }
}
