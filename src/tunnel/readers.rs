//! What reads the frames of one direction as they pass: the first frames of a session, and the taps of those
//! who watch it. Most tunnels have none.
//!
//! Pure. Runs for every byte.

use std::time::Duration;

use super::open_packet::{FirstFrame, OpenPacketReader};
use super::tap::Tap;
use super::upgrade_progress::UpgradeReader;
use crate::Instant;

/// The readers of one direction.
#[derive(Debug, Default)]
pub(super) struct Readers {
    /// `None` when that is done.
    first_frames: Option<FirstFrames>,
    /// For those who watch the session.
    taps: Vec<Tap>,
}

/// What is read at the beginning of a stream.
#[derive(Debug)]
pub(super) enum FirstFrames {
    /// The open packet.
    OpenPacket(OpenPacketReader),
    /// The steps of an upgrade.
    Upgrade(UpgradeReader),
}

impl Readers {
    /// Those of a stream that begins.
    pub(super) fn new(first_frames: FirstFrames) -> Self {
        Self { first_frames: Some(first_frames), taps: Vec::new() }
    }

    /// Shows the frames from now on to somebody.
    pub(super) fn add(&mut self, tap: Tap) {
        self.taps.push(tap);
    }

    /// Reads what passes at `now`, which begins a frame if it comes `at_boundary`. Returns whether all are
    /// done.
    pub(super) fn read(&mut self, passing: &[u8], at_boundary: bool, now: Instant) -> bool {
        match &mut self.first_frames {
            None => (),
            Some(FirstFrames::OpenPacket(reader)) => reader.push(passing),
            Some(FirstFrames::Upgrade(reader)) => {
                reader.push(passing, now);
                if reader.is_over() {
                    self.first_frames = None;
                }
            }
        }
        for tap in &mut self.taps {
            tap.push(passing, at_boundary, now);
        }
        self.taps.retain(|tap| !tap.is_over());
        self.are_done()
    }

    /// How long the session may be silent by its open packet; only once.
    pub(super) fn take_silence_max(&mut self) -> Option<Duration> {
        let Some(FirstFrames::OpenPacket(reader)) = &self.first_frames else { return None };
        let silence_max = match reader.first_frame() {
            FirstFrame::Incomplete => return None,
            FirstFrame::Opened(silence_max) => Some(silence_max),
            FirstFrame::Unreadable => None,
        };
        self.first_frames = None;
        silence_max
    }

    /// Whether nothing more is to be read.
    pub(super) fn are_done(&self) -> bool {
        self.first_frames.is_none() && self.taps.is_empty()
    }
}
