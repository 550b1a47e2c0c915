//! The first bytes of a connection: however many of them have come, the same is read or wrong; a header
//! ends where it says, and what we write about its client is read back.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sockeye::internal::proxy_header::{LENGTH_MAX, Origin, Parsed, Version, parse};

fuzz_target!(|bytes: &[u8]| {
    let whole = parse(bytes);
    assert!(bytes.len() < LENGTH_MAX || whole != Ok(Parsed::NeedMore));
    let decided = (0..=bytes.len()).find(|end| parse(&bytes[..*end]) != Ok(Parsed::NeedMore));
    let Some(end) = decided else { return };
    assert_eq!(parse(&bytes[..end]), whole, "{}", bytes.escape_ascii());
    let Ok(Parsed::Header { header, length }) = whole else { return };
    assert_eq!(length, end, "it needs no byte that is not its own");

    if let Origin::Client { source, destination } = header.origin {
        for version in [Version::V1, Version::V2] {
            let written = version.for_client(source, destination);
            let Ok(Parsed::Header { header: again, length }) = parse(&written) else {
                panic!("{}", written.escape_ascii());
            };
            assert_eq!((again.origin, length), (header.origin, written.len()));
        }
    }
});
