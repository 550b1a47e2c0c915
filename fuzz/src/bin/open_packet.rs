//! The open packet in a handshake's answer: it is found the same however much has come, and a tag
//! behind its sid changes nothing but the sid.

#![no_main]

use fuzz::pieces;
use libfuzzer_sys::fuzz_target;
use sockeye::internal::engineio::{OpenPacket, Scan, Sid};

fuzz_target!(|body: &[u8]| {
    let whole = OpenPacket::scan(body);
    comes_in_pieces(body, &whole);
    if let Scan::Open(open) = &whole {
        takes_a_tag(body, open);
    }
    if let Some(open) = OpenPacket::parse(body)
        && body.len() <= OpenPacket::HEAD_BYTES_MAX
    {
        assert_eq!(whole, Scan::Open(open));
    }
});

/// What was said of a part holds for the whole.
fn comes_in_pieces(body: &[u8], whole: &Scan) {
    let mut end = 0;
    for piece in pieces(body) {
        end += piece.len();
        match OpenPacket::scan(&body[..end]) {
            Scan::NeedMore => assert!(end < OpenPacket::HEAD_BYTES_MAX),
            early @ (Scan::Open(_) | Scan::NotOpen) => assert_eq!(early, *whole, "at {end}"),
        }
    }
}

fn takes_a_tag(body: &[u8], open: &OpenPacket) {
    let Some(sid) = Sid::new(&format!("{}{TAG}", open.sid.as_str())) else { return };
    let tagged = open.with_tag(body, TAG);
    if tagged.len() > OpenPacket::HEAD_BYTES_MAX {
        return;
    }
    let Scan::Open(found) = OpenPacket::scan(&tagged) else {
        panic!("no open packet any more: {}", tagged.escape_ascii());
    };
    assert!(found.sid == sid, "{}", tagged.escape_ascii());
    assert_eq!((found.timings, found.form), (open.timings, open.form), "{}", tagged.escape_ascii(),);
}

const TAG: &str = ".V3jipD_8";
