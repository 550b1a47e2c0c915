//! The frames of a WebSocket: however a stream is cut into reads, the same is known of it and the
//! same of it passes.

#![no_main]

use fuzz::{pieces, single_bytes};
use libfuzzer_sys::fuzz_target;
use sockeye::internal::{Facts, client_facts, node_facts};
use tokio::time::Instant;

fuzz_target!(|stream: &[u8]| {
    let now = Instant::now();
    check(stream, |chunks| client_facts(chunks, MESSAGE_BYTES_MAX, OWN_PING, now));
    check(stream, |chunks| node_facts(chunks, now));
});

fn check<'a>(stream: &'a [u8], facts: impl Fn(Vec<&'a [u8]>) -> Facts) {
    let whole = facts(vec![stream]);
    assert!(whole.passed.len() + whole.held.len() <= stream.len());
    for chunks in [pieces(stream), single_bytes(stream)] {
        assert_eq!(facts(chunks), whole, "{stream:02x?}");
    }
}

/// Small, so that it is broken in a stream that is small too.
const MESSAGE_BYTES_MAX: u64 = 1024;

const OWN_PING: [u8; 8] = *b"own ping";
