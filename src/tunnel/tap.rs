//! Shows the frames of a tunnel to somebody who watches it. The tunnel never waits: a watcher that is slow
//! loses frames, and is told how many.
//!
//! Runs for every byte.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tokio::sync::mpsc;

use super::Side;
use crate::Instant;
use crate::websocket::{FrameReader, Opcode, ReadFrame};

/// Where a watcher gets its frames from; it ends with the tunnel.
#[derive(Debug)]
pub(crate) struct WatchedFrames {
    frames: mpsc::Receiver<WatchedFrame>,
    lost: Arc<AtomicU64>,
}

/// Where a tunnel puts them.
#[derive(Clone, Debug)]
pub(super) struct FrameSender {
    frames: mpsc::Sender<WatchedFrame>,
    lost: Arc<AtomicU64>,
}

/// A frame that has passed.
#[derive(Clone, Debug)]
pub(crate) struct WatchedFrame {
    /// When its last byte came.
    pub(crate) at: Instant,
    /// Who sent it.
    pub(crate) from: Side,
    /// What it carries.
    pub(crate) opcode: Opcode,
    /// Whether it is the last one of its message.
    pub(crate) is_last: bool,
    /// Whether its message is compressed; of continuations, not known.
    pub(crate) is_compressed: bool,
    /// The length of its payload, in bytes.
    pub(crate) bytes: u64,
    /// The beginning of its payload, at most [`PAYLOAD_BYTES_MAX`].
    pub(crate) payload: Vec<u8>,
}

/// A sender and its receiver.
pub(super) fn watch() -> (FrameSender, WatchedFrames) {
    let (sender, frames) = mpsc::channel(FRAMES_MAX);
    let lost = Arc::<AtomicU64>::default();
    (FrameSender { frames: sender, lost: lost.clone() }, WatchedFrames { frames, lost })
}

impl WatchedFrames {
    /// The next frame; `None` when the tunnel is over. Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<WatchedFrame> {
        self.frames.recv().await
    }

    /// How many frames were lost since the last call.
    pub(crate) fn take_lost(&self) -> u64 {
        self.lost.swap(0, Relaxed)
    }
}

/// Reads the frames of one direction for one watcher.
#[derive(Debug)]
pub(super) struct Tap {
    side: Side,
    sender: FrameSender,
    /// `None` until the first frame boundary.
    reader: Option<FrameReader>,
}

impl Tap {
    /// Of what `side` sends.
    pub(super) fn new(side: Side, sender: FrameSender) -> Self {
        Self { side, sender, reader: None }
    }

    /// Takes bytes that pass at `now`, which begin a frame if they come `at_boundary`.
    pub(super) fn push(&mut self, passing: &[u8], at_boundary: bool, now: Instant) {
        if self.reader.is_none() && at_boundary {
            self.reader = Some(FrameReader::new(PAYLOAD_BYTES_MAX));
        }
        let (Some(reader), side, sender) = (&mut self.reader, self.side, &self.sender) else {
            return;
        };
        reader.push(passing, |frame| sender.send(side, frame, now));
    }

    /// Whether nobody watches any more.
    pub(super) fn is_over(&self) -> bool {
        self.sender.frames.is_closed()
    }
}

impl FrameSender {
    fn send(&self, from: Side, ReadFrame { head, payload }: ReadFrame, at: Instant) {
        let frame = WatchedFrame {
            at,
            from,
            opcode: head.opcode,
            is_last: head.fin,
            is_compressed: head.rsv1,
            bytes: head.payload_bytes,
            payload,
        };
        if self.frames.try_send(frame).is_err() {
            self.lost.fetch_add(1, Relaxed);
        }
    }
}

/// How many frames wait for a watcher.
const FRAMES_MAX: usize = 256;

/// What a watcher sees of a payload. A compressed message that is longer cannot be inflated.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_watcher_that_is_slow_loses_frames_and_the_tunnel_does_not_wait() {
        let (sender, mut frames) = watch();
        let mut tap = Tap::new(Side::Node, sender);
        let now = Instant::now();
        tap.push(b"middle of a frame", false, now);
        for _ in 0..FRAMES_MAX + 3 {
            tap.push(b"\x81\x01a", true, now);
        }
        assert_eq!(frames.take_lost(), 3);
        assert!(!tap.is_over());
        drop(tap);
        let mut seen = 0;
        while let Some(frame) = frames.next().await {
            assert_eq!((frame.from, frame.bytes, &*frame.payload), (Side::Node, 1, &b"a"[..]));
            seen += 1;
        }
        assert_eq!((seen, frames.take_lost()), (FRAMES_MAX, 0));
    }

    #[test]
    fn a_tap_is_over_when_its_watcher_leaves() {
        let (sender, frames) = watch();
        let tap = Tap::new(Side::Client, sender);
        drop(frames);
        assert!(tap.is_over());
    }
}
