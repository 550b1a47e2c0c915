//! The raw bytes of requests: however they are cut into reads, the same of them is clean, is passed on
//! in the same form, and the same is wrong with them. What is passed on needs no second encoding.

#![no_main]

use fuzz::{pieces, single_bytes};
use libfuzzer_sys::fuzz_target;
use sockeye::internal::head_guard::{Fault, HeadGuard, Stage, encode};

fuzz_target!(|bytes: &[u8]| {
    let whole = verdict(&[bytes]);
    for reads in [pieces(bytes), single_bytes(bytes)] {
        assert_eq!(verdict(&reads), whole, "{}", bytes.escape_ascii());
    }
    assert_eq!(verdict(&[&whole.passed]).passed, whole.passed, "{}", bytes.escape_ascii());
});

#[derive(Debug, PartialEq, Eq)]
struct Verdict {
    fault: Option<Fault>,
    /// Up to the last line end: where a fault is found inside a line depends on the reads; that a
    /// line without its end does not reach hyper does not.
    passed: Vec<u8>,
    stage: Stage,
    heads: u32,
}

fn verdict(reads: &[&[u8]]) -> Verdict {
    let mut guard = HeadGuard::default();
    let mut passed = Vec::new();
    for read in reads {
        let refusal = guard.inspect(read).err();
        let clean = refusal.map_or(read.len(), |refusal| refusal.clean);
        let places = guard.to_encode().iter().copied().filter(|place| *place < clean);
        passed.extend(encode(&read[..clean], &places.collect::<Vec<_>>()));
        if let Some(refusal) = refusal {
            assert_eq!(guard.fault(), Some(refusal.fault));
            assert!(guard.inspect(b"x").is_err_and(|again| again.clean == 0));
            break;
        }
    }
    let lines_end = passed.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    passed.truncate(lines_end);
    Verdict { fault: guard.fault(), passed, stage: guard.stage(), heads: guard.heads() }
}
