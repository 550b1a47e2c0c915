//! How far the upgrade of a session from polling gets: the first text frames of both sides, read as
//! they pass (Engine.IO: the client's `2probe`, the node's `3probe`, the client's `5`).
//!
//! Pure. Runs for every request.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use crate::Instant;
use crate::lag::NodeLag;
use crate::websocket::{Head, Opcode, Sender};

/// How far an upgrade got. A tunnel writes it while others may read it.
#[derive(Debug)]
pub struct UpgradeProgress {
    since: Instant,
    step: AtomicU8,
    millis: AtomicU64,
    /// Microseconds from `since` to the probe.
    probed_at: AtomicU64,
}

/// The steps of an upgrade, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum UpgradeStep {
    /// The node sent 101, and nothing was sent behind it.
    Switched,
    /// The client sent `2probe`.
    Probed,
    /// The node sent `3probe`.
    Answered,
    /// A frame is compressed, so the next steps cannot be read.
    Unreadable,
    /// The client sent `5`: the session uses the WebSocket.
    Upgraded,
}

impl UpgradeProgress {
    /// The upgrade of a session that was opened at `since`; no step was seen yet.
    pub fn new(since: Instant) -> Self {
        let step = AtomicU8::new(UpgradeStep::Switched as u8);
        Self { since, step, millis: AtomicU64::new(0), probed_at: AtomicU64::new(0) }
    }

    /// When the session was opened.
    pub(crate) fn since(&self) -> Instant {
        self.since
    }

    /// The last step that was seen.
    pub fn step(&self) -> UpgradeStep {
        let step = self.step.load(Ordering::Acquire);
        let mut steps = UpgradeStep::ALL.into_iter();
        steps.find(|known| *known as u8 == step).unwrap_or(UpgradeStep::Switched)
    }

    /// The time from the opening of the session to its upgrade; `None` while it is not upgraded.
    pub fn upgraded_after(&self) -> Option<Duration> {
        let is_upgraded = self.step() == UpgradeStep::Upgraded;
        is_upgraded.then(|| Duration::from_millis(self.millis.load(Ordering::Relaxed)))
    }

    /// Records a step; one before the last has no effect.
    pub(crate) fn advance(&self, step: UpgradeStep, now: Instant) {
        if step == UpgradeStep::Upgraded && self.step() != step {
            let after = now.saturating_duration_since(self.since);
            let millis = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
            self.millis.store(millis, Ordering::Relaxed);
        }
        if step == UpgradeStep::Probed {
            let after = now.saturating_duration_since(self.since).as_micros();
            self.probed_at.store(u64::try_from(after).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
        self.step.fetch_max(step as u8, Ordering::Release);
    }

    /// How long the node took for the answer to the probe that it sends at `now`; `None` if there was no
    /// probe, or an answer.
    fn answered_within(&self, now: Instant) -> Option<Duration> {
        let probed_at = Duration::from_micros(self.probed_at.load(Ordering::Relaxed));
        let is_due = self.step() == UpgradeStep::Probed;
        is_due.then(|| now.saturating_duration_since(self.since).saturating_sub(probed_at))
    }
}

impl UpgradeStep {
    const ALL: [Self; 5] =
        [Self::Switched, Self::Probed, Self::Answered, Self::Unreadable, Self::Upgraded];
}

/// Reads the first text frames of one side.
#[derive(Debug)]
pub(super) struct UpgradeReader {
    sender: Sender,
    progress: Arc<UpgradeProgress>,
    /// Of the node.
    lag: Arc<NodeLag>,
    collected: [u8; FRAME_BYTES_MAX],
    length: usize,
    is_over: bool,
}

impl UpgradeReader {
    /// Records in `progress` what `sender` sends, and in `lag` how long the node takes for its answer.
    pub(super) fn new(sender: Sender, progress: Arc<UpgradeProgress>, lag: Arc<NodeLag>) -> Self {
        Self { sender, progress, lag, collected: [0; FRAME_BYTES_MAX], length: 0, is_over: false }
    }

    /// Takes the next bytes of the stream, read at `now`.
    pub(super) fn push(&mut self, chunk: &[u8], now: Instant) {
        for byte in chunk {
            if self.is_over {
                return;
            }
            match self.collected.get_mut(self.length) {
                Some(slot) => *slot = *byte,
                None => return self.is_over = true,
            }
            self.length += 1;
            self.read(now);
        }
    }

    /// Whether nothing that matters can arrive any more.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    fn read(&mut self, now: Instant) {
        let stream = self.collected.get(..self.length).unwrap_or_default();
        let head = match Head::read(stream) {
            Ok(Some(head)) => head,
            Ok(None) => return,
            Err(_) => return self.is_over = true,
        };
        // Control frames are never compressed (RFC 7692, section 6.1).
        if head.rsv1 && head.opcode == Opcode::Text {
            self.progress.advance(UpgradeStep::Unreadable, now);
        }
        let is_plain = head.fin && !head.rsv1 && !head.rsv2_or_rsv3 && head.opcode == Opcode::Text;
        if !is_plain || head.payload_bytes > PAYLOAD_BYTES_MAX {
            return self.is_over = true;
        }
        let payload = stream.get(head.head_bytes..).unwrap_or_default();
        if (payload.len() as u64) < head.payload_bytes {
            return;
        }
        let key = head.mask.unwrap_or_default();
        let mut text = [0; PAYLOAD_BYTES_MAX as usize];
        for ((slot, byte), key) in text.iter_mut().zip(payload).zip(key.iter().cycle()) {
            *slot = byte ^ key;
        }
        let text = text.get(..payload.len()).unwrap_or_default();
        let step = step(self.sender, text);
        if step == Some(UpgradeStep::Answered)
            && let Some(took) = self.progress.answered_within(now)
        {
            self.lag.record(took, now);
        }
        if let Some(step) = step {
            self.progress.advance(step, now);
        }
        // After its probe, a client sends one more frame that matters.
        self.is_over = step != Some(UpgradeStep::Probed);
        self.length = 0;
    }
}

fn step(sender: Sender, text: &[u8]) -> Option<UpgradeStep> {
    match (sender, text) {
        (Sender::Client, b"2probe") => Some(UpgradeStep::Probed),
        (Sender::Node, b"3probe") => Some(UpgradeStep::Answered),
        (Sender::Client, b"5") => Some(UpgradeStep::Upgraded),
        (Sender::Client | Sender::Node, _) => None,
    }
}

/// `2probe` has six bytes.
const PAYLOAD_BYTES_MAX: u64 = 6;

/// The longest head; a probe with its own, which is masked, has 12 bytes.
const FRAME_BYTES_MAX: usize = 14;

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: &[u8] = b"\x81\x86\x01\x02\x03\x043rqkcg";
    const FINISH: &[u8] = b"\x81\x81\0\0\0\x005";
    const NODE: &[u8] = b"\x81\x063probe";

    /// How far is it after these bytes of the client and of the node, however they are split?
    fn check(from_client: &[&[u8]], from_node: &[u8], expected: UpgradeStep) {
        let from_client = from_client.concat();
        for i in 0..=from_client.len() {
            let since = Instant::now();
            let now = since + Duration::from_millis(70);
            let progress = Arc::new(UpgradeProgress::new(since));
            let lag = Arc::new(NodeLag::new(since));
            let mut client = UpgradeReader::new(Sender::Client, progress.clone(), lag.clone());
            let mut node = UpgradeReader::new(Sender::Node, progress.clone(), lag);
            let (first, second) = from_client.split_at(i);
            client.push(first, now);
            from_node.iter().for_each(|byte| node.push(&[*byte], now));
            client.push(second, now);
            assert_eq!(progress.step(), expected, "{from_client:02x?} {from_node:02x?} {i}");
            let after = (expected == UpgradeStep::Upgraded).then_some(now - since);
            assert_eq!(progress.upgraded_after(), after);
        }
    }

    #[test]
    fn an_upgrade_is_followed_step_by_step() {
        check(&[], b"", UpgradeStep::Switched);
        check(&[&CLIENT[..11]], b"", UpgradeStep::Switched);
        check(&[CLIENT], b"", UpgradeStep::Probed);
        check(&[CLIENT], &NODE[..7], UpgradeStep::Probed);
        check(&[CLIENT], NODE, UpgradeStep::Answered);
        check(&[CLIENT, FINISH], NODE, UpgradeStep::Upgraded);
        check(&[FINISH], b"", UpgradeStep::Upgraded);
        check(&[CLIENT, FINISH, CLIENT, &[0; 999]], NODE, UpgradeStep::Upgraded);
    }

    #[test]
    fn what_is_no_step_ends_the_watch() {
        let hello = b"\x81\x81\0\0\0\x004";
        check(&[hello, CLIENT, FINISH], b"", UpgradeStep::Switched);
        check(&[CLIENT, hello, FINISH], b"", UpgradeStep::Probed);
        check(&[CLIENT, b"\x88\x80\0\0\0\0", FINISH], NODE, UpgradeStep::Answered);
        check(&[CLIENT], b"\x81\x064probe", UpgradeStep::Probed);
        check(&[CLIENT], b"HTTP/1.1 400 Bad Request\r\n", UpgradeStep::Probed);
        check(&[b"\x82\x81\0\0\0\x005", FINISH], b"", UpgradeStep::Switched);
        check(&[b"\x81\xff\0\0\0\0\0\x01\0\0", &[0; 40], FINISH], b"", UpgradeStep::Switched);
        check(&[b"\x81\x80\0\0\0\0", FINISH], b"", UpgradeStep::Switched);
    }

    #[test]
    fn the_time_from_probe_to_answer_is_the_lag_of_the_node() {
        let since = Instant::now();
        let at = |millis| since + Duration::from_millis(millis);
        let progress = Arc::new(UpgradeProgress::new(since));
        let lag = Arc::new(NodeLag::new(since));
        let mut client = UpgradeReader::new(Sender::Client, progress.clone(), lag.clone());
        let mut node = UpgradeReader::new(Sender::Node, progress, lag.clone());
        client.push(CLIENT, at(100));
        node.push(NODE, at(350));
        assert_eq!(lag.summary(at(350)).unwrap().base, Duration::from_millis(250));
        node.push(NODE, at(900));
        assert_eq!(lag.summary(at(900)).unwrap().samples, 1);
    }

    #[test]
    fn compressed_frames_cannot_be_read() {
        check(&[b"\xc1\x86\x01\x02\x03\x043rqkcg", FINISH], NODE, UpgradeStep::Unreadable);
        check(&[CLIENT], b"\xc1\x063probe", UpgradeStep::Unreadable);
        check(&[CLIENT, FINISH], b"\xc1\x063probe", UpgradeStep::Upgraded);
    }
}
