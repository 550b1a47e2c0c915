//! What waits in one direction of a tunnel: bytes for the sink, the incomplete head of a frame, a
//! Ping of ours. An idle flow has none of them and allocates nothing.
//!
//! Runs for every byte.

use bytes::Bytes;

use super::Side;
use super::scratch_buffer::PartialHead;
use crate::websocket::PingPayload;

/// What waits in a flow; `None` while nothing does.
#[derive(Debug, Default)]
pub(super) struct Backlog(Option<Box<Contents>>);

#[derive(Debug, Default)]
struct Contents {
    /// Bytes that the sink has not taken yet.
    unsent: Bytes,
    /// The incomplete head at the end of the last read.
    partial_head: PartialHead,
    /// A Ping to this side that waits for the end of a frame.
    ping: Option<(Side, PingPayload)>,
}

impl Backlog {
    /// Whether bytes wait for the sink.
    #[inline]
    pub(super) fn has_unsent(&self) -> bool {
        self.0.as_ref().is_some_and(|contents| !contents.unsent.is_empty())
    }

    /// Takes the bytes that wait for the sink. The caller has to call
    /// [`set_unsent`](Self::set_unsent) with the rest, even if it is empty.
    #[inline]
    pub(super) fn take_unsent(&mut self) -> Bytes {
        self.0.as_mut().map(|contents| std::mem::take(&mut contents.unsent)).unwrap_or_default()
    }

    /// Replaces the bytes that wait for the sink.
    pub(super) fn set_unsent(&mut self, bytes: Bytes) {
        self.change(|contents| contents.unsent = bytes);
    }

    /// Appends `bytes` to those that wait for the sink.
    pub(super) fn push_unsent(&mut self, bytes: &[u8]) {
        self.change(|contents| {
            contents.unsent = if contents.unsent.is_empty() {
                Bytes::copy_from_slice(bytes)
            } else {
                [&contents.unsent[..], bytes].concat().into()
            };
        });
    }

    /// Keeps the incomplete head for the next read; see [`PartialHead::set`].
    pub(super) fn set_partial_head(&mut self, bytes: &[u8]) {
        self.change(|contents| contents.partial_head.set(bytes));
    }

    /// Moves the incomplete head to the end of `before`; see [`PartialHead::move_to_end`].
    #[inline]
    pub(super) fn take_partial_head(&mut self, before: &mut [u8]) -> usize {
        if self.0.is_none() {
            return 0;
        }
        let mut length = 0;
        self.change(|contents| length = contents.partial_head.move_to_end(before));
        length
    }

    /// Whether a Ping waits.
    #[inline]
    pub(super) fn has_ping(&self) -> bool {
        self.0.as_ref().is_some_and(|contents| contents.ping.is_some())
    }

    /// Takes the Ping that waits.
    pub(super) fn take_ping(&mut self) -> Option<(Side, PingPayload)> {
        let ping = self.0.as_mut()?.ping.take();
        self.change(|_| ());
        ping
    }

    /// Sets the Ping that waits.
    pub(super) fn set_ping(&mut self, ping: Option<(Side, PingPayload)>) {
        self.change(|contents| contents.ping = ping);
    }

    /// Allocates for a change, and frees the memory if nothing waits afterwards.
    fn change(&mut self, change: impl FnOnce(&mut Contents)) {
        let contents = self.0.get_or_insert_default();
        change(contents);
        let Contents { unsent, partial_head, ping } = &**contents;
        if unsent.is_empty() && partial_head.is_empty() && ping.is_none() {
            self.0 = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_held_only_while_something_waits() {
        let mut backlog = Backlog::default();
        let is_allocated = |backlog: &Backlog| backlog.0.is_some();
        backlog.push_unsent(b"ab");
        backlog.push_unsent(b"c");
        backlog.set_partial_head(b"d");
        backlog.set_ping(Some((Side::Node, [7; 8])));
        assert!(backlog.has_unsent() && backlog.has_ping());

        let unsent = backlog.take_unsent();
        assert_eq!(unsent, "abc");
        backlog.set_unsent(unsent.slice(3..));
        assert!(!backlog.has_unsent() && is_allocated(&backlog));
        let mut before = [0; 3];
        assert_eq!((backlog.take_partial_head(&mut before), before), (1, *b"\0\0d"));
        assert!(is_allocated(&backlog));
        assert_eq!(backlog.take_ping(), Some((Side::Node, [7; 8])));
        assert!(!is_allocated(&backlog));
        assert_eq!(backlog.take_partial_head(&mut before), 0);
        assert!(!is_allocated(&backlog) && backlog.take_unsent().is_empty());
    }
}
