//! The raw bytes of requests: however they are cut into reads, the same of them is clean and the
//! same is wrong with them.

#![no_main]

use fuzz::{pieces, single_bytes};
use libfuzzer_sys::fuzz_target;
use sockeye::listener::head_guard::{Fault, HeadGuard, Stage};

fuzz_target!(|bytes: &[u8]| {
    let whole = verdict(&[bytes]);
    for reads in [pieces(bytes), single_bytes(bytes)] {
        assert_eq!(verdict(&reads), whole, "{}", bytes.escape_ascii());
    }
});

#[derive(Debug, PartialEq, Eq)]
struct Verdict {
    fault: Option<Fault>,
    /// Where a fault is found inside a line depends on the reads; that a line without its end does
    /// not reach hyper does not.
    clean_lines: usize,
    stage: Stage,
    heads: u32,
}

fn verdict(reads: &[&[u8]]) -> Verdict {
    let mut guard = HeadGuard::default();
    let mut clean = Vec::new();
    for read in reads {
        match guard.inspect(read) {
            Ok(()) => clean.extend_from_slice(read),
            Err(refusal) => {
                clean.extend_from_slice(&read[..refusal.clean]);
                assert_eq!(guard.fault(), Some(refusal.fault));
                assert!(guard.inspect(b"x").is_err_and(|again| again.clean == 0));
                break;
            }
        }
    }
    let clean_lines = clean.iter().filter(|byte| **byte == b'\n').count();
    Verdict { fault: guard.fault(), clean_lines, stage: guard.stage(), heads: guard.heads() }
}
