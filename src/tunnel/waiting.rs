//! What waits in one direction of a tunnel: bytes for the sink, the beginning of a frame, a Ping of
//! ours. An idle flow has none of it, and no room for it either.
//!
//! Runs for every byte.

use bytes::Bytes;

use super::Side;
use super::scratch::Held;
use crate::websocket::PingPayload;

/// What waits in a flow.
#[derive(Debug, Default)]
pub(super) struct Waiting(Option<Box<Room>>);

#[derive(Debug, Default)]
struct Room {
    /// What the sink has yet to take.
    kept: Bytes,
    /// The beginning of a frame that cannot be followed yet.
    held: Held,
    /// A Ping to this side that waits for the end of a frame.
    ping: Option<(Side, PingPayload)>,
}

impl Waiting {
    /// Whether bytes are kept for the sink.
    #[inline]
    pub(super) fn has_kept(&self) -> bool {
        self.0.as_ref().is_some_and(|room| !room.kept.is_empty())
    }

    /// What is kept for the sink. Whoever takes it puts back with [`set_kept`](Self::set_kept) what
    /// is left, be it nothing.
    #[inline]
    pub(super) fn take_kept(&mut self) -> Bytes {
        self.0.as_mut().map(|room| std::mem::take(&mut room.kept)).unwrap_or_default()
    }

    /// Keeps `bytes` and nothing else.
    pub(super) fn set_kept(&mut self, bytes: Bytes) {
        self.change(|room| room.kept = bytes);
    }

    /// Keeps `bytes` behind what is kept already.
    pub(super) fn keep(&mut self, bytes: &[u8]) {
        self.change(|room| {
            room.kept = if room.kept.is_empty() {
                Bytes::copy_from_slice(bytes)
            } else {
                [&room.kept[..], bytes].concat().into()
            };
        });
    }

    /// Holds `bytes` for the next read; see [`Held::keep`].
    pub(super) fn hold(&mut self, bytes: &[u8]) {
        self.change(|room| room.held.keep(bytes));
    }

    /// Moves what is held to the end of `before`; see [`Held::release`].
    #[inline]
    pub(super) fn release(&mut self, before: &mut [u8]) -> usize {
        if self.0.is_none() {
            return 0;
        }
        let mut length = 0;
        self.change(|room| length = room.held.release(before));
        length
    }

    /// Whether a Ping waits.
    #[inline]
    pub(super) fn has_ping(&self) -> bool {
        self.0.as_ref().is_some_and(|room| room.ping.is_some())
    }

    /// The Ping, which waits no longer.
    pub(super) fn take_ping(&mut self) -> Option<(Side, PingPayload)> {
        let ping = self.0.as_mut()?.ping.take();
        self.change(|_| ());
        ping
    }

    /// Makes `ping` wait.
    pub(super) fn set_ping(&mut self, ping: Option<(Side, PingPayload)>) {
        self.change(|room| room.ping = ping);
    }

    /// Makes room for a change, and gives it back if nothing waits behind it.
    fn change(&mut self, change: impl FnOnce(&mut Room)) {
        let room = self.0.get_or_insert_default();
        change(room);
        if room.kept.is_empty() && room.held.is_empty() && room.ping.is_none() {
            self.0 = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_only_while_something_waits() {
        let mut waiting = Waiting::default();
        let has_room = |waiting: &Waiting| waiting.0.is_some();
        waiting.keep(b"ab");
        waiting.keep(b"c");
        waiting.hold(b"d");
        waiting.set_ping(Some((Side::Node, [7; 8])));
        assert!(waiting.has_kept() && waiting.has_ping());

        let kept = waiting.take_kept();
        assert_eq!(kept, "abc");
        waiting.set_kept(kept.slice(3..));
        assert!(!waiting.has_kept() && has_room(&waiting));
        let mut before = [0; 3];
        assert_eq!((waiting.release(&mut before), before), (1, *b"\0\0d"));
        assert!(has_room(&waiting));
        assert_eq!(waiting.take_ping(), Some((Side::Node, [7; 8])));
        assert!(!has_room(&waiting));
        assert_eq!(waiting.release(&mut before), 0);
        assert!(!has_room(&waiting) && waiting.take_kept().is_empty());
    }
}
