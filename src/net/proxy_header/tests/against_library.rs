//! Headers of the independent crate `proxy-header` mean the same to us, and ours to it.

use std::net::IpAddr;

use ::proxy_header::{ParseConfig, ProxiedAddress, ProxyHeader as Theirs, Tlv};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn endpoints() -> impl Strategy<Value = (SocketAddr, SocketAddr)> {
    let v4 =
        || (any::<[u8; 4]>(), any::<u16>()).prop_map(|(ip, port)| (IpAddr::from(ip), port).into());
    let v6 =
        || (any::<[u8; 16]>(), any::<u16>()).prop_map(|(ip, port)| (IpAddr::from(ip), port).into());
    prop_oneof![(v4(), v4()), (v6(), v6())]
}

fn theirs(bytes: &[u8]) -> Option<(Option<ProxiedAddress>, usize)> {
    let (header, length) = Theirs::parse(bytes, ParseConfig::default()).ok()?;
    Some((header.proxied_address().cloned(), length))
}

fn origin_of(address: Option<ProxiedAddress>) -> Option<Origin> {
    let ProxiedAddress { source, destination, .. } = address?;
    Some(Origin::Client { source: canonical(source), destination: canonical(destination) })
}

fn origin_in(bytes: &[u8]) -> Option<(Option<Origin>, usize)> {
    match parse(bytes) {
        Ok(Parsed::Header { header, length }) => {
            let origin = Some(header.origin);
            Some((origin.filter(|origin| matches!(origin, Origin::Client { .. })), length))
        }
        Ok(Parsed::NeedMore | Parsed::Absent) | Err(_) => None,
    }
}

/// Beginnings of headers, with bytes that do not fit more often than they would by chance.
fn nearly_headers() -> impl Strategy<Value = Vec<u8>> {
    let binary =
        (any::<u8>(), any::<u8>(), vec(any::<u8>(), 0..300)).prop_map(|(command, family, rest)| {
            let (command, family) = (0x20 | command & 1, family & 0x33);
            let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
            [v2::SIGNATURE, &[command, family], &length, &rest].concat()
        });
    let text = "PROXY (TCP4|TCP6|UNKNOWN)( [0-9a-f.:]{1,9}){0,2}( [0-9]{1,5}){0,2} ?\r\n";
    prop_oneof![binary, text.prop_map(String::into_bytes)]
}

proptest! {
    #[test]
    fn the_library_reads_what_we_write((source, destination) in endpoints()) {
        for version in [Version::V1, Version::V2] {
            let bytes = version.for_client(source, destination);
            let (address, length) = theirs(&bytes).unwrap();
            prop_assert_eq!(length, bytes.len());
            prop_assert_eq!(origin_of(address), Some(Origin::Client {
                source: canonical(source),
                destination: canonical(destination),
            }));
        }
        prop_assert_eq!(theirs(&Version::V2.for_own(source, destination)), Some((None, 16)));
    }

    #[test]
    fn we_read_what_the_library_writes(
        (source, destination) in endpoints(),
        authority in "[a-z.]{1,60}",
        id in vec(any::<u8>(), 0..=128),
    ) {
        let address = ProxiedAddress::stream(source, destination);
        let mut header = Theirs::with_address(address.clone());
        let mut text = Vec::new();
        header.encode_v1(&mut text).unwrap();
        header.append_tlv(Tlv::Authority(authority.as_str().into()));
        header.append_tlv(Tlv::UniqueId(id.as_slice().into()));
        let mut binary = Vec::new();
        header.encode_v2(&mut binary).unwrap();

        prop_assert_eq!(Some(read(&text).origin), origin_of(Some(address.clone())));
        let read = read(&binary);
        prop_assert_eq!(Some(read.origin), origin_of(Some(address)));
        prop_assert_eq!(read.details.authority.unwrap().to_string(), authority);
        prop_assert_eq!(read.details.unique_id.unwrap().to_string(), id.escape_ascii().to_string());
    }

    /// The library is more lenient in places (leading zeros of ports, anything behind `UNKNOWN`), and
    /// stricter in others (an unspecified transport).
    #[test]
    fn what_both_accept_means_the_same(bytes in nearly_headers()) {
        if let (Some(ours), Some((address, length))) = (origin_in(&bytes), theirs(&bytes)) {
            prop_assert_eq!(ours, (origin_of(address), length));
        }
    }

    #[test]
    fn no_bytes_panic_or_need_more_than_the_longest_header(
        bytes in nearly_headers(),
        filler in vec(any::<u8>(), LENGTH_MAX),
        at in any::<proptest::sample::Index>(),
    ) {
        let bytes = [&bytes[..at.index(bytes.len() + 1)], &filler].concat();
        prop_assert!(parse(&bytes) != Ok(Parsed::NeedMore));
    }
}
