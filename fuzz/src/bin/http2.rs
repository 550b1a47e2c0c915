//! HTTP/2: however the bytes of frames are cut into reads, they are the same frames. Whatever head is
//! accepted has one host and a target that begins with a slash, also as an extended CONNECT.

#![no_main]

use fuzz::{pieces, single_bytes};
use http::{HeaderName, HeaderValue, Request};
use libfuzzer_sys::fuzz_target;
use sockeye::internal::http2::{follow_frames, prepare};

fuzz_target!(|bytes: &[u8]| {
    let whole = follow_frames(&[bytes]);
    for reads in [pieces(bytes), single_bytes(bytes)] {
        assert_eq!(follow_frames(&reads), whole, "{}", bytes.escape_ascii());
    }
    check_head(bytes);
});

/// Takes lines: the method, the target, whether it is an extended CONNECT, then fields.
fn check_head(bytes: &[u8]) {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let (Some(method), Some(uri), Some(protocol)) = (lines.next(), lines.next(), lines.next())
    else {
        return;
    };
    let Ok(request) = Request::builder().method(method).uri(uri).body(()) else { return };
    let mut head = request.into_parts().0;
    if protocol == b"websocket" {
        head.extensions.insert(h2::ext::Protocol::from_static("websocket"));
    }
    for line in lines {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = (HeaderName::from_lowercase(&line[..colon]), &line[colon + 1..]);
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value)) {
            head.headers.append(name, value);
        }
    }
    let is_connect = head.method == "CONNECT" && protocol != b"websocket";
    if prepare(&mut head, false).is_err() {
        return;
    }
    assert!(head.headers.get_all("cookie").iter().count() <= 1);
    assert!(head.headers.get_all("host").iter().count() <= 1);
    assert!(head.headers.get_all("content-length").iter().count() <= 1);
    let target = head.uri.path_and_query().map_or("", |target| target.as_str());
    assert!(is_connect || target.starts_with('/') || target == "*", "{target}");
    assert!(is_connect || !target.contains(['"', '<', '>', '#', ' ']), "{target}");
    let accepted = head.uri.clone();
    assert_eq!(prepare(&mut head, false), Ok(()), "what is accepted stays so");
    assert_eq!(head.uri, accepted);
}
