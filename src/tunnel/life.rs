//! The life of a tunnel: bytes go both ways until something ends it.
//!
//! Each wait has a deadline: idleness, a drain's turn, the end of a frame, the end of the end. The
//! clock is read once for each wake-up.
//!
//! Runs for every byte.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use super::alarm::Alarms;
use super::closing::{ANSWER_TIMEOUT, Closing};
use super::deadlines::{Deadlines, Due, Timer};
use super::ending::Flows;
use super::gate::{Gate, Reading, Strictness};
use super::opening::Opening;
use super::policies::Policies;
use super::probe::Probe;
use super::relay::Flow;
use super::scratch::with_scratch;
use super::tally::Tally;
use super::wake_up::{Step, WakeUp};
use super::{End, IdleTimeout, Kind, Occupant, Report, Setup, Stream};
use crate::Instant;
use crate::websocket::{Scanner, Sender, SenderLimits};

/// A tunnel and its two streams.
#[derive(Debug)]
pub(super) struct Tunnel<C, N> {
    client: C,
    node: N,
    flows: Flows,
    deadlines: Deadlines,
    policies: Policies,
    idle_timeout: Option<Duration>,
    /// Whether the open packet sets the idle timeout.
    is_idle_auto: bool,
    tally: Tally,
    occupant: Occupant,
    closing: Option<Closing>,
    is_cut: bool,
}

impl<C, N> Tunnel<C, N>
where
    C: Stream,
    N: Stream,
{
    /// A tunnel that begins at `now`.
    pub(super) fn new(client: C, node: N, setup: Setup, now: Instant) -> Self {
        let limits = setup.limits;
        let bounds = SenderLimits::new(
            limits.message_bytes_max(),
            limits.messages_per_second,
            limits.control_frames_per_second,
            now,
        );
        let flow = |gate, read_ahead| Flow::new(gate, read_ahead, limits.buffer_bytes, now);
        let scanner = |sender, bounds| Scanner::new(sender, setup.extensions, bounds);
        let from_client = scanner(Sender::Client, Some(Box::new(bounds)));
        let from_node = scanner(Sender::Node, None);
        let mut deadlines = Deadlines::new(now);
        let policies = Policies::new(&limits, &setup.kind, &mut deadlines, now);
        let idle_timeout = limits.idle_timeout(&setup.kind);
        let opening = match setup.kind {
            Kind::Plain => None,
            Kind::EngineIo { silence_max: _, open } => open.map(Opening::new),
        };
        let probe = |sender| {
            let upgrading = setup.upgrading.clone();
            upgrading.map(|upgrading| Reading::Probe(Probe::new(sender, upgrading)))
        };
        let opening = opening.map(Reading::Opening).or_else(|| probe(Sender::Node));
        let from_client = Gate::new(from_client, Strictness::Strict, probe(Sender::Client));
        let from_node = Gate::new(from_node, Strictness::Lenient, opening);
        let flows = Flows {
            from_client: flow(from_client, &setup.client_read_ahead),
            from_node: flow(from_node, &setup.node_read_ahead),
            own_close_code: None,
        };
        let mut tunnel = Self {
            client,
            node,
            flows,
            deadlines,
            policies,
            idle_timeout,
            is_idle_auto: limits.idle_timeout == IdleTimeout::Auto,
            tally: Tally::new(setup.counts),
            occupant: setup.occupant,
            closing: None,
            is_cut: false,
        };
        tunnel.note_life(now);
        tunnel
    }

    /// Lives until there is nothing to do, and says what became of it when it is over.
    pub(super) fn poll(
        &mut self,
        mut alarms: Pin<&mut Alarms>,
        cx: &mut Context<'_>,
    ) -> Poll<Report> {
        let now = Instant::now();
        let mut have_rung = alarms.as_mut().have_rung(cx, &self.occupant);
        with_scratch(|scratch| {
            let mut wake_up = WakeUp { now, scratch, cx };
            loop {
                let (up, down) = self.relay(&mut wake_up);
                self.policies.tend_hosts((up, down), &self.flows, (&self.client, &self.node));
                let arrived = up.arrived || down.arrived;
                if self.note_policies((up, down), now) || arrived {
                    self.note_life(now);
                }
                self.note_occupancy((up, down), now);
                if let Some(end) = self.over() {
                    self.tell_counts();
                    return Poll::Ready(self.report(end, now));
                }
                let mut changed = self.settle(now);
                if std::mem::take(&mut have_rung) {
                    self.tell_counts();
                    changed |= self.heed(alarms.as_mut().take_drain(), now);
                }
                if changed {
                    continue;
                }
                if up.more || down.more {
                    wake_up.cx.waker().wake_by_ref();
                }
                alarms.as_mut().arm(self.deadlines.next(), &self.occupant);
                return Poll::Pending;
            }
        })
    }

    /// The report of a tunnel that is cut at `now`.
    pub(super) fn cut(mut self, now: Instant) -> Report {
        self.tell_counts();
        self.report(self.closing.map_or(End::Drained, |closing| closing.end), now)
    }

    /// Moves bytes both ways: from the client, from the node.
    #[inline]
    fn relay(&mut self, wake_up: &mut WakeUp<'_, '_>) -> (Step, Step) {
        let Flows { from_client, from_node, .. } = &mut self.flows;
        let up = from_client.poll(&mut self.client, &mut self.node, wake_up);
        let down = from_node.poll(&mut self.node, &mut self.client, wake_up);
        let pings = from_node.gate.take_pings();
        if pings > 0 {
            from_client.gate.expect_pongs(pings);
        }
        if let (true, Some(closing)) = (down.waits, &mut self.closing) {
            closing.note_slow_client();
        }
        (up, down)
    }

    /// Lets the rules see what was moved; says whether there was life that nobody sent.
    #[inline]
    fn note_policies(&mut self, steps: (Step, Step), now: Instant) -> bool {
        let (flows, deadlines) = (&mut self.flows, &mut self.deadlines);
        self.closing.is_none() && self.policies.note(steps, flows, deadlines, now)
    }

    /// Lets the roster see whether the tunnel is quiet. The relay does not say so when the last of
    /// what waited has moved on, so the place itself remembers it.
    #[inline]
    fn note_occupancy(&self, (up, down): (Step, Step), now: Instant) {
        if up.waits || down.waits {
            self.occupant.note_waiting();
        } else if up.arrived || down.arrived || self.occupant.is_waiting() {
            self.occupant.note_active(now);
        }
    }

    /// Puts the idle timeout off, and takes it from the open packet when that has come.
    #[inline]
    fn note_life(&mut self, now: Instant) {
        if let Some(silence_max) = self.flows.from_node.gate.take_silence_max()
            && self.is_idle_auto
        {
            self.idle_timeout = Some(silence_max);
        }
        if let (None, Some(idle_timeout)) = (&self.closing, self.idle_timeout) {
            self.deadlines.set(Timer::Idle, now.checked_add(idle_timeout));
        }
    }

    /// Finds the cause of an end, and after it does what each side is to get next. Says whether
    /// there is something to write.
    #[inline]
    fn settle(&mut self, now: Instant) -> bool {
        let begins = self.closing.is_none();
        if begins {
            let Some(end) = self.flows.cause() else { return false };
            self.begin_end(end, now);
        }
        // An end that begins may have put Close frames in by itself.
        self.settle_end(now) || begins
    }

    fn settle_end(&mut self, now: Instant) -> bool {
        let Some(closing) = &mut self.closing else { return false };
        let changed = self.flows.settle(closing.end);
        closing.tend(&mut self.flows, &mut self.deadlines, now);
        changed
    }

    fn begin_end(&mut self, end: End, now: Instant) {
        let is_read_slowly = self.flows.from_node.is_waiting() || self.client.has_unsent();
        let mut closing = Closing::begin(end, &mut self.flows, &mut self.deadlines, now);
        if is_read_slowly {
            closing.note_slow_client();
        }
        self.closing = Some(closing);
    }

    /// Does what the time, the drain and the roster ask for. Says whether there is something to write.
    fn heed(&mut self, drained_until: Option<Instant>, now: Instant) -> bool {
        if let (Some(until), None) = (drained_until, &self.closing) {
            self.deadlines.set(Timer::Turn, Some(turn(now, until)));
        }
        let mut changed = false;
        if let (Some(dismissal), None) = (self.occupant.dismissal(), &self.closing) {
            self.begin_end(dismissal.end(), now);
            changed = true;
        }
        loop {
            let Due::Now(timer) = self.deadlines.poll(now) else { return changed };
            match (timer, self.closing) {
                (Timer::Idle | Timer::Cut, Some(closing)) => {
                    self.flows.cut(closing.end);
                    self.is_cut = true;
                }
                (Timer::Idle, None) => self.begin_end(End::Idle, now),
                (Timer::IdleMessages, _) => self.begin_end(End::IdleMessages, now),
                (Timer::MaxAge, _) => self.begin_end(End::MaxAge, now),
                (Timer::StalledClient, _) => self.begin_end(End::StalledClient, now),
                (Timer::StalledNode, _) => self.begin_end(End::StalledNode, now),
                (Timer::Turn, _) => self.begin_end(End::Drained, now),
                (Timer::Keepalive, _) => self.tend_keepalive(now),
                (Timer::Boundary, _) => {
                    Closing::give_way(&mut self.flows, &mut self.deadlines, now);
                }
                (Timer::Cut, None) => debug_assert!(false, "a cut without a cause"),
            }
            changed = true;
        }
    }

    fn tend_keepalive(&mut self, now: Instant) {
        let lost = self.policies.tend_keepalive(&mut self.flows, &mut self.deadlines, now);
        if let Some(side) = lost {
            self.begin_end(End::KeepaliveLost(side), now);
        }
    }

    /// The end, when it is complete.
    #[inline]
    fn over(&self) -> Option<End> {
        let closing = self.closing.filter(|_| self.is_cut || self.flows.are_over());
        closing.map(|closing| closing.end)
    }

    fn tell_counts(&mut self) {
        let Flows { from_client, from_node, .. } = &self.flows;
        self.tally.tell(from_client.gate.counts(), from_node.gate.counts());
    }

    fn report(&self, end: End, now: Instant) -> Report {
        Report {
            end,
            from_client: self.flows.from_client.gate.counts(),
            from_node: self.flows.from_node.gate.counts(),
            close_code: end.received_code().or(self.flows.own_close_code),
            duration: now.saturating_duration_since(self.deadlines.begun_at()),
        }
    }
}

/// A random moment of a drain that ends at `until`, early enough that the side that is told last
/// still can answer.
fn turn(now: Instant, until: Instant) -> Instant {
    let window = until.saturating_duration_since(now);
    let for_the_answer = ANSWER_TIMEOUT.min(window / 4);
    now + (window - for_the_answer).mul_f64(fastrand::f64())
}
