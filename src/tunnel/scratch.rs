//! A buffer that all tunnels of a thread share, lent for one poll and never across an await; and
//! the few bytes that go from one poll to the next.
//!
//! Runs for every byte.

use std::cell::Cell;

/// Lends the thread's scratch buffer to one poll.
pub(super) fn with_scratch<T>(poll: impl FnOnce(&mut [u8]) -> T) -> T {
    let fresh = || vec![0; HELD_BYTES_MAX + SCRATCH_BYTES].into_boxed_slice();
    let mut scratch = SCRATCH.take().unwrap_or_else(fresh);
    let polled = poll(&mut scratch);
    SCRATCH.set(Some(scratch));
    polled
}

thread_local! {
    /// Taken out while it is lent, so that a stream that polls another tunnel gets one of its own.
    static SCRATCH: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
}

/// The beginning of a frame, for which the rest has yet to come.
#[derive(Debug, Default)]
pub(super) struct Held {
    bytes: [u8; HELD_BYTES_MAX],
    length: u8,
}

impl Held {
    /// Keeps `bytes`, at most [`HELD_BYTES_MAX`], for the next read.
    pub(super) fn keep(&mut self, bytes: &[u8]) {
        debug_assert!(bytes.len() <= HELD_BYTES_MAX, "{} bytes held", bytes.len());
        for (place, byte) in self.bytes.iter_mut().zip(bytes) {
            *place = *byte;
        }
        self.length = bytes.len().min(HELD_BYTES_MAX) as u8;
    }

    /// Whether nothing is held.
    pub(super) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Moves what is held to the end of `room`, which has [`HELD_BYTES_MAX`] bytes, and says how
    /// much that was.
    #[inline]
    pub(super) fn release(&mut self, room: &mut [u8]) -> usize {
        let length = usize::from(std::mem::take(&mut self.length));
        let at = room.len().saturating_sub(length);
        for (place, byte) in room.split_at_mut(at).1.iter_mut().zip(&self.bytes) {
            *place = *byte;
        }
        length
    }
}

/// The longest beginning of a frame that is held: less than the longest head, or than a Pong with
/// the payload of our Pings. It has a place before what is read.
pub(super) const HELD_BYTES_MAX: usize = 14;

/// One read takes at most this much.
const SCRATCH_BYTES: usize = 64 * 1024;
