//! The scanner as our own benchmarks and fuzz targets see it, through `crate::internal`. Not a public
//! interface.
//!
//! Pure. Runs for every byte.

use super::extensions::Extensions;
use super::limits::{Bounds, Breach};
use super::scanner::{Scanner, rest_of};
use super::stream::{ControlSeen, Counts, Position, Sender, Until};
use crate::Instant;

/// All that is known of a stream where its last chunk ends, or before the frame that ends its
/// tunnel. Two of them are equal if no side could tell the streams apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// What the other side gets.
    pub passed: Vec<u8>,
    /// What waits for the rest of its head.
    pub held: Vec<u8>,
    position: Position,
    breach: Option<Breach>,
    counts: Counts,
    heartbeats: u32,
    seen: ControlSeen,
}

/// What is known of a client's stream that comes in `chunks` at `now`, with at most
/// `message_bytes_max` for each message; Pongs that carry `own_ping` are answers to our own Ping.
pub fn client_facts<'a>(
    chunks: impl IntoIterator<Item = &'a [u8]>,
    message_bytes_max: u64,
    own_ping: [u8; 8],
    now: Instant,
) -> Facts {
    let bounds = Bounds::new(message_bytes_max, None, Some(200), now);
    let mut scanner = Scanner::new(Sender::Client, Extensions::None, Some(Box::new(bounds)));
    scanner.drop_pongs(own_ping);
    facts(scanner, chunks, now)
}

/// What is known of a node's stream that comes in `chunks` at `now`; permessage-deflate was agreed
/// upon.
pub fn node_facts<'a>(chunks: impl IntoIterator<Item = &'a [u8]>, now: Instant) -> Facts {
    facts(Scanner::new(Sender::Node, Extensions::Deflate, None), chunks, now)
}

/// Follows what a client sends, in `chunks` as they come at `now`, and counts it.
pub fn scan_client_frames<'a>(chunks: impl IntoIterator<Item = &'a [u8]>, now: Instant) -> Counts {
    let bounds = Bounds::new(u64::MAX, None, Some(200), now);
    let mut scanner = Scanner::new(Sender::Client, Extensions::None, Some(Box::new(bounds)));
    let mut held = Vec::new();
    for chunk in chunks {
        let joined = if held.is_empty() { Vec::new() } else { [&held, chunk].concat() };
        let chunk = if joined.is_empty() { chunk } else { &joined };
        let followed = scanner.scan(chunk, Until::Close, now);
        held = rest_of(chunk, followed.passed).to_vec();
    }
    scanner.counts()
}

fn facts<'a>(
    mut scanner: Scanner,
    chunks: impl IntoIterator<Item = &'a [u8]>,
    now: Instant,
) -> Facts {
    let (mut passed, mut held) = (Vec::new(), Vec::new());
    for chunk in chunks {
        held.extend_from_slice(chunk);
        while goes_on(&scanner) {
            let followed = scanner.scan(&held, Until::Close, now);
            passed.extend(held.drain(..followed.passed));
            held.drain(..followed.dropped);
            if followed.passed + followed.dropped == 0 {
                break;
            }
        }
    }
    Facts {
        passed,
        held,
        position: scanner.position(),
        breach: scanner.breach(),
        counts: scanner.counts(),
        heartbeats: scanner.heartbeats(),
        seen: scanner.take_seen(),
    }
}

/// Whether its tunnel would.
fn goes_on(scanner: &Scanner) -> bool {
    match scanner.position() {
        Position::Boundary | Position::Frame => scanner.breach().is_none(),
        Position::Closed(_) | Position::Lost(_) => false,
    }
}
