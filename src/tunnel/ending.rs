//! How a tunnel ends: what the first cause is, and what either side still gets.
//!
//! One set of rules for all ends, applied until nothing changes. To each side: what the other side
//! sent before, its Close frame too; at an end of ours our own Close frame if the stream stands
//! between two frames; then FIN, as soon as the other side has no more to send, or this side has
//! answered the Close frame. An end that a side made is passed on as it was: a connection that ends
//! without a Close frame is FIN to the other side, for a client that is told a reason which nobody
//! gave may take it for final. A client that broke a rule has a right to what the node says to all
//! before: so our Close frame takes the place of the node's, or comes after a second.
//!
//! Runs for every byte.

use super::end::{CloseStyle, EndFacts};
use super::gate::Gap;
use super::relay::Flow;
use super::wake_up::Source;
use super::{End, Side};

/// Both directions of a tunnel.
#[derive(Debug)]
pub(super) struct Flows {
    pub(super) from_client: Flow,
    pub(super) from_node: Flow,
    /// The code of the Close frame that we put in for the client; else for the node.
    pub(super) own_close_code: Option<u16>,
}

/// What an end waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Awaited {
    /// A side is to take what waits for it.
    Taking,
    /// A side is to answer a Close frame.
    Answer,
    /// The rest of what is said by a side of which the other is gone.
    Rest,
    /// A client for which bytes have waited is to read them, and the Close frame or FIN behind them.
    SlowReader,
}

impl Flows {
    /// What has ended the tunnel. What a client did wrong comes first, for nothing passed from
    /// there on; a Close frame says more than the FIN or error that came with
    /// it, and an error more than a FIN: the kernel tells of a reset once, on whichever call comes
    /// first, and pretends a FIN to the next.
    #[inline]
    pub(super) fn cause(&self) -> Option<End> {
        let (up, down) = (&self.from_client, &self.from_node);
        if let Some(offence) = up.gate.offence() {
            return Some(offence);
        }
        if let Some(code) = up.gate.close_seen() {
            return Some(End::ClientClosed(code));
        }
        if let Some(code) = down.gate.close_seen() {
            return Some(End::NodeClosed(code));
        }
        if up.source() == Source::Silent || down.is_sink_silent() {
            return Some(End::KeepaliveLost(Side::Client));
        }
        if down.source() == Source::Silent || up.is_sink_silent() {
            return Some(End::KeepaliveLost(Side::Node));
        }
        if up.source() == Source::Failed || down.is_broken() {
            return Some(End::ClientReset);
        }
        if down.source() == Source::Failed || up.is_broken() {
            return Some(End::NodeReset);
        }
        match (up.source(), down.source()) {
            (Source::Ended, _) => Some(End::ClientLeft),
            (_, Source::Ended) => Some(End::NodeLeft),
            (
                Source::Flowing | Source::Failed | Source::Silent,
                Source::Flowing | Source::Failed | Source::Silent,
            ) => None,
        }
    }

    /// What comes from `side`, and what goes to it.
    pub(super) fn of(&mut self, side: Side) -> (&mut Flow, &mut Flow) {
        match side {
            Side::Client => (&mut self.from_client, &mut self.from_node),
            Side::Node => (&mut self.from_node, &mut self.from_client),
        }
    }

    /// Whether both sides got FIN and both have said their last.
    pub(super) fn are_over(&self) -> bool {
        [&self.from_client, &self.from_node]
            .iter()
            .all(|flow| flow.is_over() && flow.has_said_its_last())
    }

    /// Whether a Close frame of ours waits for its place.
    pub(super) fn wait_for_gap(&self) -> bool {
        self.from_client.waits_for_gap() || self.from_node.waits_for_gap()
    }

    /// What `end` waits for.
    pub(super) fn awaited(&self, end: End) -> Awaited {
        let (up, down) = (&self.from_client, &self.from_node);
        let EndFacts { style, gone, .. } = end.facts();
        let is_lost = |side| style == CloseStyle::AtOnce && gone == Some(side);
        let is_rest = gone.is_some_and(|side| {
            let from_gone = match side {
                Side::Client => up,
                Side::Node => down,
            };
            is_lost(side) || from_gone.is_over()
        });
        if (up.is_waiting() && !is_lost(Side::Node))
            || (down.is_waiting() && !is_lost(Side::Client))
        {
            Awaited::Taking
        } else if is_rest {
            Awaited::Rest
        } else {
            Awaited::Answer
        }
    }

    /// Applies the rules for `end`; says whether there is something to write.
    pub(super) fn settle(&mut self, end: End) -> bool {
        let client_is_done = self.from_client.will_not_answer();
        let node_is_done = self.from_node.will_not_answer();
        let facts = end.facts();
        if let (CloseStyle::AtOnce, Some(side)) = (facts.style, facts.gone)
            && facts.close_to(side).is_none()
        {
            self.flow(side).break_off();
        }
        break_if_failed(&self.from_client, &mut self.from_node);
        break_if_failed(&self.from_node, &mut self.from_client);
        let to_client = self.settle_one(Side::Client, end, client_is_done);
        let to_node = self.settle_one(Side::Node, end, node_is_done);
        to_client || to_node
    }

    /// Ends what has not ended: a Close frame where one fits at once, and FIN.
    pub(super) fn cut(&mut self, end: End) {
        for to in Side::ALL {
            self.put_close(to, end);
            self.flow(to).finish();
        }
    }

    /// Ends the flows whose Close frame has found no place.
    pub(super) fn give_gaps_up(&mut self) {
        for flow in [&mut self.from_client, &mut self.from_node] {
            if flow.waits_for_gap() {
                flow.finish();
            }
        }
    }

    fn settle_one(&mut self, to: Side, end: End, is_answered: bool) -> bool {
        let flow = self.flow(to);
        if flow.is_finishing() || flow.awaits_close() {
            return false;
        }
        let source_is_over = flow.source() != Source::Flowing;
        let wants_close = !flow.gate.is_closed() && end.facts().style != CloseStyle::PassedOn;
        let gap = wants_close.then(|| self.put_close(to, end));

        let flow = self.flow(to);
        let finishes = match gap {
            Some(Gap::Here) | None => source_is_over || (flow.gate.is_closed() && is_answered),
            Some(Gap::Ahead) => false,
            Some(Gap::Nowhere) => true,
        };
        if finishes {
            flow.finish();
        }
        finishes || gap == Some(Gap::Here)
    }

    /// Puts our Close frame in if there is a place for it now.
    fn put_close(&mut self, to: Side, end: End) -> Gap {
        let flow = self.flow(to);
        let Some(message) = end.facts().close_to(to).filter(|_| !flow.is_finishing()) else {
            return Gap::Nowhere;
        };
        let gap = flow.find_gap();
        if gap == Gap::Here {
            // The mask keeps a client's text from being read as HTTP by a cache on the way
            // (RFC 6455, section 10.3). This text is ours, so any key will do.
            flow.close_with(match to {
                Side::Client => message.unmasked(),
                Side::Node => message.masked(fastrand::u32(..).to_be_bytes()),
            });
            self.own_close_code = match to {
                Side::Client => Some(message.code),
                Side::Node => self.own_close_code.or(Some(message.code)),
            };
        }
        gap
    }

    fn flow(&mut self, to: Side) -> &mut Flow {
        self.of(to).1
    }
}

/// A connection on which reading failed takes no bytes either.
fn break_if_failed(from: &Flow, to: &mut Flow) {
    if matches!(from.source(), Source::Failed | Source::Silent) && !to.is_over() {
        to.break_off();
    }
}
