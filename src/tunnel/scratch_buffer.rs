//! The read buffer that all tunnels of a thread share, lent for one poll and never across an await;
//! and the few bytes that go from one read to the next.
//!
//! Runs for every byte.

use std::cell::Cell;

/// Lends the thread's scratch buffer to one poll.
pub(super) fn with_scratch<T>(poll: impl FnOnce(&mut [u8]) -> T) -> T {
    let allocate = || vec![0; PARTIAL_HEAD_BYTES_MAX + SCRATCH_BYTES].into_boxed_slice();
    let mut scratch = SCRATCH.take().unwrap_or_else(allocate);
    let polled = poll(&mut scratch);
    SCRATCH.set(Some(scratch));
    polled
}

thread_local! {
    /// Taken out while it is lent, so that a stream that polls another tunnel gets its own buffer.
    static SCRATCH: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
}

/// The beginning of a frame head, of which the rest has not arrived.
#[derive(Debug, Default)]
pub(super) struct PartialHead {
    bytes: [u8; PARTIAL_HEAD_BYTES_MAX],
    length: u8,
}

impl PartialHead {
    /// Keeps `bytes`, at most [`PARTIAL_HEAD_BYTES_MAX`], for the next read.
    pub(super) fn set(&mut self, bytes: &[u8]) {
        debug_assert!(bytes.len() <= PARTIAL_HEAD_BYTES_MAX, "{} bytes of a head", bytes.len());
        for (slot, byte) in self.bytes.iter_mut().zip(bytes) {
            *slot = *byte;
        }
        self.length = bytes.len().min(PARTIAL_HEAD_BYTES_MAX) as u8;
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Moves the bytes to the end of `space`, which has [`PARTIAL_HEAD_BYTES_MAX`] bytes, and
    /// returns their number.
    #[inline]
    pub(super) fn move_to_end(&mut self, space: &mut [u8]) -> usize {
        let length = usize::from(std::mem::take(&mut self.length));
        let at = space.len().saturating_sub(length);
        for (slot, byte) in space.split_at_mut(at).1.iter_mut().zip(&self.bytes) {
            *slot = *byte;
        }
        length
    }
}

/// The longest beginning that is kept: less than the longest head, or than a Pong with the payload
/// of our Pings. The scratch buffer has as much space before what is read.
pub(super) const PARTIAL_HEAD_BYTES_MAX: usize = 14;

/// One read takes at most this much.
const SCRATCH_BYTES: usize = 64 * 1024;
