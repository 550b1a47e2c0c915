//! Memory that grows, as far as it can be seen.
//!
//! Pure. Runs at start, at reload, or on a timer.

use super::{Fault, Finding, Party, State, finding, seconds, size};
use crate::doctor::measured::Memory;
use crate::doctor::observations::Observations;

/// Growth without more clients.
pub(super) fn findings(seen: &Observations) -> Vec<Finding> {
    let found = seen.memory.as_ref().and_then(|memory| {
        let (before, after) = memory.bytes?;
        let grown = after.saturating_sub(before);
        let is_much = grown >= GROWN_MIN && grown.saturating_mul(10) >= before;
        let (few, many) = memory.tunnels;
        (is_much && many <= few + few / 10 + 16).then(|| {
            let what = format!(
                "Sockeye took {} more within {}, and has as many tunnels ({many}) as before",
                size(grown),
                seconds(memory.between_ms)
            );
            finding(seen, Fault::MemoryGrows, Party::Proxy, what)
        })
    });
    found.into_iter().collect()
}

pub(super) fn without_finding(seen: &Observations) -> (State, String) {
    match &seen.memory {
        None => (State::NotLooked, "cannot be seen from here: use --admin with Sockeye".to_owned()),
        Some(Memory { failed: Some(why), .. }) => (State::Undecided, why.clone()),
        Some(Memory { bytes: None, .. }) => {
            (State::Undecided, "the system of Sockeye does not report it".to_owned())
        }
        Some(Memory { bytes: Some((before, after)), between_ms, .. }) => {
            let reason = format!(
                "Sockeye takes {}, {} ago it took {}; that of nodes cannot be seen from here",
                size(*after),
                seconds(*between_ms),
                size(*before)
            );
            (State::Sound, reason)
        }
    }
}

/// Less comes and goes.
const GROWN_MIN: u64 = 32_000_000;
