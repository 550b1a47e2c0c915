//! How a tunnel ends: its first cause, and what each side still gets.
//!
//! One set of rules for all ends, applied until nothing changes. Each side gets what the other side
//! sent before, including its Close frame; if we end the tunnel, our own Close frame between two
//! frames; then FIN, as soon as the other side has no more to send or this side has answered the
//! Close frame.
//!
//! If a side ends the tunnel, its end is passed on unchanged: a connection that ends without a
//! Close frame is FIN to the other side, because clients may treat an invented reason as final. A
//! reset is FIN, too, so that what came before it still arrives; over HTTP/2 it is RST_STREAM, behind
//! the data that came before (RFC 8441, section 5). A
//! client that broke a rule still gets the node's answers to everything before: our Close frame
//! replaces the node's, or follows after a second.
//!
//! Runs for every byte.

use super::end::{CloseStyle, EndFacts};
use super::flow::Flow;
use super::flow_state::{Ending, SourceState};
use super::gate::InsertPoint;
use super::tap::{FrameSender, Tap};
use super::{End, Side};

/// Both directions of a tunnel.
#[derive(Debug)]
pub(super) struct Flows {
    pub(super) from_client: Flow,
    pub(super) from_node: Flow,
    /// The code of the Close frame that we sent to the client; else of the one to the node.
    pub(super) own_close_code: Option<u16>,
    /// What the end of one direction is for the other one.
    pub(super) half_close: HalfClose,
}

/// What the end of one direction is for the other one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HalfClose {
    /// Its end, soon: a WebSocket has no use for half a connection.
    Ends,
    /// Nothing: it goes on. With the side whose direction has ended first.
    Kept(Option<Side>),
}

/// What an end waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Awaited {
    /// A side has to take the bytes that wait for it.
    Delivery,
    /// A side has to answer a Close frame.
    CloseReply,
    /// A side whose other side is gone has to send its rest.
    Remainder,
    /// A client for which bytes have waited has to read them, and the Close frame or FIN after
    /// them.
    SlowReader,
}

impl Flows {
    /// Shows the frames that pass from now on to `watcher`.
    pub(super) fn watch(&mut self, watcher: &FrameSender) {
        for side in Side::ALL {
            self.flows_of(side).0.gate.watch(Tap::new(side, watcher.clone()));
        }
    }

    /// What has ended the tunnel. An offence of the client comes first, because nothing passes
    /// after it. A Close frame says more than the FIN or error that came with it, and an error more
    /// than a FIN: the kernel reports a reset once, to the first call, and a FIN to the next.
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
        if up.source() == SourceState::Silent || down.is_sink_silent() {
            return Some(End::KeepaliveLost(Side::Client));
        }
        if down.source() == SourceState::Silent || up.is_sink_silent() {
            return Some(End::KeepaliveLost(Side::Node));
        }
        if up.source() == SourceState::Failed || down.is_sink_failed() {
            return Some(End::ClientReset);
        }
        if down.source() == SourceState::Failed || up.is_sink_failed() {
            return Some(End::NodeReset);
        }
        if let HalfClose::Kept(first) = self.half_close {
            let both_ended = [up, down].iter().all(|flow| flow.source() == SourceState::Ended);
            return first.filter(|_| both_ended).map(|first| match first {
                Side::Client => End::ClientLeft,
                Side::Node => End::NodeLeft,
            });
        }
        match (up.source(), down.source()) {
            (SourceState::Ended, _) => Some(End::ClientLeft),
            (_, SourceState::Ended) => Some(End::NodeLeft),
            (
                SourceState::Flowing | SourceState::Failed | SourceState::Silent,
                SourceState::Flowing | SourceState::Failed | SourceState::Silent,
            ) => None,
        }
    }

    /// Passes the end of a direction on while the other one goes on, if it may. Returns whether there is
    /// something to write.
    #[inline]
    pub(super) fn pass_half_close(&mut self) -> bool {
        let HalfClose::Kept(mut first) = self.half_close else { return false };
        let mut passed = false;
        for side in Side::ALL {
            let from = self.flows_of(side).0;
            if from.source() == SourceState::Ended && !from.is_finishing() {
                from.finish(Ending::Fin);
                first = first.or(Some(side));
                passed = true;
            }
        }
        self.half_close = HalfClose::Kept(first);
        passed
    }

    /// The flow from `side`, and the flow to it.
    pub(super) fn flows_of(&mut self, side: Side) -> (&mut Flow, &mut Flow) {
        match side {
            Side::Client => (&mut self.from_client, &mut self.from_node),
            Side::Node => (&mut self.from_node, &mut self.from_client),
        }
    }

    /// Whether both sides got FIN and neither has anything more to send.
    pub(super) fn are_over(&self) -> bool {
        [&self.from_client, &self.from_node]
            .iter()
            .all(|flow| flow.is_sink_done() && flow.is_source_done())
    }

    /// Whether a Close frame of ours waits for an insert point.
    pub(super) fn await_insert_point(&self) -> bool {
        self.from_client.awaits_insert_point() || self.from_node.awaits_insert_point()
    }

    /// What `end` waits for.
    pub(super) fn awaited(&self, end: End) -> Awaited {
        let (up, down) = (&self.from_client, &self.from_node);
        let EndFacts { style, gone, .. } = end.facts();
        let is_lost = |side| style == CloseStyle::AtOnce && gone == Some(side);
        let is_remainder = gone.is_some_and(|side| {
            let from_gone = match side {
                Side::Client => up,
                Side::Node => down,
            };
            is_lost(side) || from_gone.is_sink_done()
        });
        if (up.has_backlog() && !is_lost(Side::Node))
            || (down.has_backlog() && !is_lost(Side::Client))
        {
            Awaited::Delivery
        } else if is_remainder {
            Awaited::Remainder
        } else {
            Awaited::CloseReply
        }
    }

    /// Applies the rules for `end`. Returns whether there is something to write.
    pub(super) fn advance_close(&mut self, end: End) -> bool {
        let client_is_done = self.from_client.will_not_answer();
        let node_is_done = self.from_node.will_not_answer();
        let facts = end.facts();
        if let (CloseStyle::AtOnce, Some(side)) = (facts.style, facts.gone)
            && facts.close_to(side).is_none()
        {
            self.flow_to(side).fail_sink();
        }
        fail_sink_of_failed_source(&self.from_client, &mut self.from_node);
        fail_sink_of_failed_source(&self.from_node, &mut self.from_client);
        let to_client = self.advance_close_to(Side::Client, end, client_is_done);
        let to_node = self.advance_close_to(Side::Node, end, node_is_done);
        to_client || to_node
    }

    /// Ends both flows: a Close frame where it can be inserted now, and FIN.
    pub(super) fn cut(&mut self, end: End) {
        for to in Side::ALL {
            self.put_close(to, end);
            self.flow_to(to).finish(Ending::Fin);
        }
    }

    /// Ends the flows whose Close frame still waits for an insert point.
    pub(super) fn abandon_close_frames(&mut self) {
        for flow in [&mut self.from_client, &mut self.from_node] {
            if flow.awaits_insert_point() {
                flow.finish(Ending::Fin);
            }
        }
    }

    fn advance_close_to(&mut self, to: Side, end: End, is_answered: bool) -> bool {
        let flow = self.flow_to(to);
        if flow.is_finishing() || flow.awaits_close() {
            return false;
        }
        let source_is_over = flow.source() != SourceState::Flowing;
        let wants_close = !flow.gate.is_closed() && end.facts().style != CloseStyle::PassedOn;
        let insert_point = wants_close.then(|| self.put_close(to, end));

        let flow = self.flow_to(to);
        let finishes = match insert_point {
            Some(InsertPoint::Here) | None => {
                source_is_over || (flow.gate.is_closed() && is_answered)
            }
            Some(InsertPoint::AfterFrame) => false,
            Some(InsertPoint::Nowhere) => true,
        };
        if finishes {
            let is_reset = matches!(end, End::ClientReset | End::NodeReset);
            flow.finish(if is_reset { Ending::Reset } else { Ending::Fin });
        }
        finishes || insert_point == Some(InsertPoint::Here)
    }

    /// Inserts our Close frame if there is an insert point now.
    fn put_close(&mut self, to: Side, end: End) -> InsertPoint {
        let flow = self.flow_to(to);
        let Some(message) = end.facts().close_to(to).filter(|_| !flow.is_finishing()) else {
            return InsertPoint::Nowhere;
        };
        let insert_point = flow.find_insert_point();
        if insert_point == InsertPoint::Here {
            // The mask prevents that a cache on the way reads a client's text as HTTP (RFC 6455,
            // section 10.3). This text is ours, so any key will do.
            flow.put_close_frame(match to {
                Side::Client => message.unmasked(),
                Side::Node => message.masked(fastrand::u32(..).to_be_bytes()),
            });
            self.own_close_code = match to {
                Side::Client => Some(message.code),
                Side::Node => self.own_close_code.or(Some(message.code)),
            };
        }
        insert_point
    }

    fn flow_to(&mut self, to: Side) -> &mut Flow {
        self.flows_of(to).1
    }
}

/// A connection on which reading failed takes no bytes either.
fn fail_sink_of_failed_source(from: &Flow, to: &mut Flow) {
    if matches!(from.source(), SourceState::Failed | SourceState::Silent) && !to.is_sink_done() {
        to.fail_sink();
    }
}
