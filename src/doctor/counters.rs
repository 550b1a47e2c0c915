//! How many processes made some session ids.
//!
//! The servers on Node.js and Python end each id with a counter of the process, 24 bits in the last four
//! characters. Ids of one process, asked for one after the other, have counters that grow by little.
//!
//! Pure. Runs at start, at reload, or on a timer.

/// The least number of processes that can have made these ids in this order. `None` if the ids have no
/// counter.
pub(super) fn processes_min<'a>(sids: impl Iterator<Item = &'a str>) -> Option<usize> {
    let counters: Vec<u32> = sids.map(counter).collect::<Option<_>>()?;
    // For each process its last counter.
    let mut last = Vec::<u32>::new();
    for counter in &counters {
        let before = last.iter_mut().filter(|last| **last < *counter);
        match before.max_by_key(|last| **last).filter(|last| counter - **last <= STEP_MAX) {
            Some(last) => *last = *counter,
            None => last.push(*counter),
        }
    }
    // Random ids hardly ever follow each other.
    (counters.len() >= COUNTERS_MIN && last.len() * 2 <= counters.len()).then_some(last.len())
}

fn counter(sid: &str) -> Option<u32> {
    let own = sid.get(..SID_CHARS).filter(|_| sid.len() == SID_CHARS || is_tagged(sid))?;
    let characters = own.bytes().skip(SID_CHARS - 4);
    characters.map(sextet).try_fold(0, |sum, value| Some(sum << 6 | value?))
}

/// Whether something is added behind the id, as Sockeye does.
fn is_tagged(sid: &str) -> bool {
    sid.as_bytes().get(SID_CHARS).is_some_and(|byte| matches!(byte, b'.' | b'~'))
}

fn sextet(character: u8) -> Option<u32> {
    Some(u32::from(match character {
        b'A'..=b'Z' => character - b'A',
        b'a'..=b'z' => character - b'a' + 26,
        b'0'..=b'9' => character - b'0' + 52,
        b'-' => 62,
        b'_' => 63,
        _ => return None,
    }))
}

/// 15 bytes in base64.
const SID_CHARS: usize = 20;

/// More than a process makes between two of our handshakes.
const STEP_MAX: u32 = 10_000;

/// Fewer say nothing.
const COUNTERS_MIN: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn sid(counter: u32, tag: &str) -> String {
        const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let tail =
            [18, 12, 6, 0].map(|shift| char::from(ALPHABET[(counter >> shift) as usize % 64]));
        format!("lv_VI97HAXpY6yYW{}{tag}", tail.iter().collect::<String>())
    }

    #[test]
    fn processes_are_told_apart_by_their_counters() {
        let check = |counters: &[u32], expected: Option<usize>| {
            for tag in ["", ".k3v0x9CSeQf"] {
                let sids: Vec<String> = counters.iter().map(|counter| sid(*counter, tag)).collect();
                assert_eq!(
                    processes_min(sids.iter().map(String::as_str)),
                    expected,
                    "{counters:?}"
                );
            }
        };
        check(&[1, 3, 5, 7, 9, 11, 13, 15], Some(1));
        check(&[100, 3, 102, 5, 104, 7], Some(2));
        check(&[7, 7, 9, 9, 11, 11, 13, 13], Some(2));
        check(&[500_000, 20, 900_000, 500_002, 23, 900_007, 500_003, 24], Some(3));
        check(&[1, 2, 3], None);
        // Random.
        check(&[9_000_000, 34_567, 12_345_678, 700_000, 5_000_000, 2_500_000], None);
    }

    #[test]
    fn ids_of_applications_have_no_counter() {
        assert_eq!(counter("abc"), None);
        assert_eq!(counter("lv_VI97HAXpY6yYWAAA!"), None);
        assert_eq!(counter("lv_VI97HAXpY6yYWAAABx"), None);
        assert_eq!(counter("lv_VI97HAXpY6yYWAAAB"), Some(1));
        assert_eq!(counter("\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}"), None);
    }
}
