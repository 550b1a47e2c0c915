//! The scanner as our own benchmarks and fuzz targets see it, through `crate::internal`. Not a
//! public interface.
//!
//! Pure. Runs for every byte.

use super::extensions::Extensions;
use super::limits::{Breach, SenderLimits};
use super::scanner::{Scanner, rest_of};
use super::stream::{ControlSeen, Counts, Position, Sender, Until};
use crate::Instant;

/// The state after a stream's last chunk, or before the frame that ends its tunnel. Two of them are
/// equal if neither side could tell the streams apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// What is passed to the other side.
    pub passed: Vec<u8>,
    /// An incomplete head, of which the rest has not arrived.
    pub held: Vec<u8>,
    position: Position,
    breach: Option<Breach>,
    counts: Counts,
    heartbeats: u32,
    seen: ControlSeen,
}

/// Scans a client's stream that arrives in `chunks` at `now`, with at most `message_bytes_max`
/// bytes per message; Pongs that carry `own_ping` answer our own Ping.
pub fn client_facts<'a>(
    chunks: impl IntoIterator<Item = &'a [u8]>,
    message_bytes_max: u64,
    own_ping: [u8; 8],
    now: Instant,
) -> Facts {
    let limits = SenderLimits::new(message_bytes_max, None, Some(200), now);
    let mut scanner = Scanner::new(Sender::Client, Extensions::None, Some(Box::new(limits)));
    scanner.drop_pongs(own_ping);
    facts(scanner, chunks, now)
}

/// Scans a node's stream that arrives in `chunks` at `now`, with permessage-deflate.
pub fn node_facts<'a>(chunks: impl IntoIterator<Item = &'a [u8]>, now: Instant) -> Facts {
    facts(Scanner::new(Sender::Node, Extensions::Deflate, None), chunks, now)
}

/// Scans a client's stream that arrives in `chunks` at `now`, and counts its frames.
pub fn scan_client_frames<'a>(chunks: impl IntoIterator<Item = &'a [u8]>, now: Instant) -> Counts {
    let limits = SenderLimits::new(u64::MAX, None, Some(200), now);
    let mut scanner = Scanner::new(Sender::Client, Extensions::None, Some(Box::new(limits)));
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
        while continues(&scanner) {
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
        seen: scanner.take_control_seen(),
    }
}

/// Whether the stream's tunnel would continue.
fn continues(scanner: &Scanner) -> bool {
    match scanner.position() {
        Position::Boundary | Position::Frame => scanner.breach().is_none(),
        Position::Closed(_) | Position::Unparsable(_) | Position::Unframed => false,
    }
}
