//! A tunnel: bytes go both ways until something ends it.
//!
//! Each wait has a deadline: for bytes, for the tunnel's time slot in a shutdown, for the end of a
//! frame, and for the end itself. The clock is read once per wake-up.
//!
//! Runs for every byte.

use std::num::NonZeroU32;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use super::close_rules::{Flows, HalfClose};
use super::closing::{Closing, shutdown_slot};
use super::deadlines::{Deadlines, Due, Timer, in_millis};
use super::flow::Flow;
use super::flow_state::{FlowStep, PollContext, SourceState};
use super::gate::{Gate, Strictness};
use super::open_packet::OpenPacketReader;
use super::policies::Policies;
use super::readers::FirstFrames;
use super::scratch_buffer::with_scratch;
use super::traffic_metrics::TrafficMetrics;
use super::upgrade_progress::UpgradeReader;
use super::wakeups::Wakeups;
use super::{
    End, Evidence, IdleTimeout, Inspection, LastFrames, Protocol, Report, RosterGuard, Setup, Side,
    Stream,
};
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
    /// In milliseconds; one of more than 49 days is none.
    idle_timeout: Option<NonZeroU32>,
    /// Whether the open packet sets the idle timeout.
    is_idle_auto: bool,
    traffic_metrics: TrafficMetrics,
    roster_guard: RosterGuard,
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
        let client_limits = SenderLimits::new(
            limits.message_bytes_max(),
            limits.messages_per_second,
            limits.control_frames_per_second,
            now,
        );
        let flow = |gate, read_ahead| Flow::new(gate, read_ahead, limits.buffer_bytes, now);
        let (half_close, from_client, from_node) = match setup.protocol {
            Protocol::Unknown => {
                setup.roster_guard.set_busy();
                let [client, node] = [Sender::Client, Sender::Node].map(Scanner::unframed);
                (HalfClose::Kept(None), client, node)
            }
            Protocol::Plain | Protocol::EngineIo { .. } => {
                let scanner = |sender, limits| Scanner::new(sender, setup.extensions, limits);
                let client = scanner(Sender::Client, Some(Box::new(client_limits)));
                (HalfClose::Ends, client, scanner(Sender::Node, None))
            }
        };
        let mut deadlines = Deadlines::new(now);
        deadlines.set(Timer::Expired, setup.expires_at);
        let lag = setup.roster_guard.lag();
        let policies = Policies::new(&limits, &setup.protocol, lag, &mut deadlines, now);
        let idle_timeout = limits.idle_timeout(&setup.protocol).and_then(in_millis);
        let open_packet = match setup.protocol {
            Protocol::Plain | Protocol::Unknown => None,
            Protocol::EngineIo { silence_max: _, open } => open.map(OpenPacketReader::new),
        };
        let upgrade = |sender| {
            let progress = setup.upgrade_progress.clone();
            let reader = |progress| UpgradeReader::new(sender, progress, lag.clone());
            progress.map(|progress| FirstFrames::Upgrade(reader(progress)))
        };
        let of_node = open_packet.map(FirstFrames::OpenPacket).or_else(|| upgrade(Sender::Node));
        let from_client = Gate::new(from_client, Strictness::Strict, upgrade(Sender::Client));
        let from_node = Gate::new(from_node, Strictness::Lenient, of_node);
        let flows = Flows {
            from_client: flow(from_client, &setup.client_read_ahead),
            from_node: flow(from_node, &setup.node_read_ahead),
            own_close_code: None,
            half_close,
        };
        let mut tunnel = Self {
            client,
            node,
            flows,
            deadlines,
            policies,
            idle_timeout,
            is_idle_auto: limits.idle_timeout == IdleTimeout::Auto,
            traffic_metrics: TrafficMetrics::new(setup.counts),
            roster_guard: setup.roster_guard,
            closing: None,
            is_cut: false,
        };
        tunnel.restart_idle_timer(now);
        tunnel
    }

    /// Runs until there is nothing to do; ready with the report when the tunnel is over.
    pub(super) fn poll(
        &mut self,
        mut wakeups: Pin<&mut Wakeups>,
        cx: &mut Context<'_>,
    ) -> Poll<Report> {
        let now = Instant::now();
        let mut was_notified = wakeups.as_mut().was_notified(cx, &self.roster_guard);
        with_scratch(|scratch| {
            let mut context = PollContext { now, scratch, cx };
            loop {
                let (up, down) = self.relay(&mut context);
                self.policies.update_ack_timeouts(
                    (up, down),
                    &self.flows,
                    (&self.client, &self.node),
                );
                let arrived = up.arrived || down.arrived;
                if self.apply_policies((up, down), now) || arrived {
                    self.restart_idle_timer(now);
                }
                self.update_roster((up, down), now);
                self.note_vitals((up, down), now);
                if let Some(end) = self.finished() {
                    self.flush_counts();
                    return Poll::Ready(self.report(end, now));
                }
                let mut changed = self.advance_close(now);
                if std::mem::take(&mut was_notified) {
                    self.flush_counts();
                    changed |= self.on_wake(wakeups.as_mut().take_shutdown_deadline(), now);
                }
                if changed {
                    continue;
                }
                if up.more || down.more {
                    context.cx.waker().wake_by_ref();
                }
                wakeups.as_mut().arm(self.deadlines.next(), &self.roster_guard);
                return Poll::Pending;
            }
        })
    }

    /// The report of a tunnel that is cut at `now`.
    pub(super) fn cut(mut self, now: Instant) -> Report {
        self.flush_counts();
        self.report(self.closing.map_or(End::Shutdown, |closing| closing.end), now)
    }

    /// Moves bytes both ways. Returns what came from the client, and what from the node.
    #[inline]
    fn relay(&mut self, context: &mut PollContext<'_, '_>) -> (FlowStep, FlowStep) {
        let Flows { from_client, from_node, .. } = &mut self.flows;
        let up = from_client.poll(&mut self.client, &mut self.node, context);
        let down = from_node.poll(&mut self.node, &mut self.client, context);
        let pings = from_node.gate.take_pings();
        if pings > 0 {
            from_client.gate.expect_pongs(pings);
        }
        if let (true, Some(closing)) = (down.waits, &mut self.closing) {
            closing.set_client_slow();
        }
        (up, down)
    }

    /// Applies the rules to what was moved. Returns whether the tunnel is alive although no bytes
    /// arrived.
    #[inline]
    fn apply_policies(&mut self, steps: (FlowStep, FlowStep), now: Instant) -> bool {
        let (flows, deadlines) = (&mut self.flows, &mut self.deadlines);
        self.closing.is_none() && self.policies.on_traffic(steps, flows, deadlines, now)
    }

    /// Updates the time since which the tunnel is quiet. The flows do not report when the last
    /// waiting bytes were taken, so the roster entry remembers that there were any.
    #[inline]
    fn update_roster(&self, (up, down): (FlowStep, FlowStep), now: Instant) {
        if self.flows.half_close != HalfClose::Ends {
            // It is never moved, and a drain ends it last: its client may not be able to connect again.
        } else if up.waits || down.waits {
            self.roster_guard.set_busy();
        } else if up.arrived || down.arrived || self.roster_guard.is_busy() {
            self.roster_guard.set_active(now);
        }
    }

    fn idle_timeout(&self) -> Option<Duration> {
        self.idle_timeout.map(|millis| Duration::from_millis(millis.get().into()))
    }

    /// Notes what the sides did, and keeps the metrics of a tunnel in use at most a second behind.
    #[inline]
    fn note_vitals(&mut self, steps: (FlowStep, FlowStep), now: Instant) {
        let Flows { from_client, from_node, .. } = &self.flows;
        if steps.0.arrived || steps.1.arrived {
            self.roster_guard.set_traffic(from_client.gate.counts(), from_node.gate.counts());
        }
        let heartbeats = [from_client.gate.heartbeats(), from_node.gate.heartbeats()];
        let times = (self.deadlines.begun_at(), now);
        if self.roster_guard.vitals().note(steps, heartbeats, times) {
            self.flush_counts();
        }
    }

    /// Restarts the idle timer, with the timeout of the open packet if that has arrived.
    #[inline]
    fn restart_idle_timer(&mut self, now: Instant) {
        if let Some(silence_max) = self.flows.from_node.gate.take_silence_max()
            && self.is_idle_auto
        {
            self.idle_timeout = in_millis(silence_max);
        }
        if let (None, Some(idle_timeout)) = (&self.closing, self.idle_timeout()) {
            self.deadlines.set(Timer::Idle, now.checked_add(idle_timeout));
        }
    }

    /// Finds the cause of an end; from then on, advances the close of both sides. Returns whether
    /// there is something to write.
    #[inline]
    fn advance_close(&mut self, now: Instant) -> bool {
        let begins = self.closing.is_none();
        if begins {
            let passed = self.flows.pass_half_close();
            if passed {
                self.deadlines.set_earlier(Timer::Keepalive, now + RESET_CHECK_EVERY);
            }
            let Some(end) = self.flows.cause() else { return passed };
            self.begin_close(end, now);
        }
        // `begin_close` may have inserted Close frames.
        self.apply_close_rules(now) || begins
    }

    fn apply_close_rules(&mut self, now: Instant) -> bool {
        let Some(closing) = &mut self.closing else { return false };
        let changed = self.flows.advance_close(closing.end);
        closing.update_deadlines(&mut self.flows, &mut self.deadlines, now);
        changed
    }

    fn begin_close(&mut self, end: End, now: Instant) {
        self.roster_guard.vitals().freeze(self.deadlines.begun_at(), now);
        // Asking the kernel costs four system calls, and only a client that is still to answer is
        // waited for.
        let is_awaited = !self.flows.from_client.is_source_done();
        let is_client_slow =
            self.flows.from_node.has_backlog() || is_awaited && self.client.has_unsent();
        let mut closing = Closing::begin(end, &mut self.flows, &mut self.deadlines, now);
        if is_client_slow {
            closing.set_client_slow();
        }
        self.closing = Some(closing);
    }

    /// Handles the shutdown, the roster and the timers. Returns whether there is something to
    /// write.
    fn on_wake(&mut self, shutdown_deadline: Option<Instant>, now: Instant) -> bool {
        if let (Some(deadline), None) = (shutdown_deadline, &self.closing) {
            let share = match self.flows.half_close {
                HalfClose::Ends => fastrand::f64(),
                // It may not be able to connect again, so it has all the time that there is.
                HalfClose::Kept(_) => 1.0,
            };
            self.deadlines.set(Timer::ShutdownSlot, Some(shutdown_slot(now, deadline, share)));
        }
        self.obey_orders(now);
        let mut changed = false;
        if let (Some(dismissal), None) = (self.roster_guard.dismissal(), &self.closing) {
            self.begin_close(dismissal.end(), now);
            changed = true;
        }
        loop {
            let Due::Now(timer) = self.deadlines.poll(now) else { return changed };
            match (timer, self.closing) {
                (Timer::Idle | Timer::Cut, Some(closing)) => {
                    self.flows.cut(closing.end);
                    self.is_cut = true;
                }
                (Timer::Idle, None) => self.begin_close(End::Idle, now),
                (Timer::IdleMessages, _) => self.begin_close(End::IdleMessages, now),
                (Timer::MaxAge, _) => self.begin_close(End::MaxAge, now),
                (Timer::Expired, _) => self.begin_close(End::Expired, now),
                (Timer::StalledClient, _) => self.begin_close(End::StalledClient, now),
                (Timer::StalledNode, _) => self.begin_close(End::StalledNode, now),
                (Timer::ShutdownSlot, _) => self.begin_close(End::Shutdown, now),
                (Timer::Keepalive, _) if self.flows.half_close != HalfClose::Ends => {
                    self.check_resets(now);
                }
                (Timer::Keepalive, _) => self.check_keepalive(now),
                (Timer::CloseFrame, _) => {
                    Closing::on_close_frame_timeout(&mut self.flows, &mut self.deadlines, now);
                }
                (Timer::Cut, None) => debug_assert!(false, "a cut without a cause"),
            }
            changed = true;
        }
    }

    /// Tells those who asked what is known, and frees what nobody needs any more.
    fn obey_orders(&mut self, now: Instant) {
        for flow in [&mut self.flows.from_client, &mut self.flows.from_node] {
            flow.gate.forget_stale_frames(now);
        }
        let Some(orders) = self.roster_guard.take_orders() else { return };
        orders.watchers.iter().for_each(|watcher| self.flows.watch(watcher));
        for asked in orders.inspections {
            // Who asked may have gone.
            let _ =
                asked.send(Inspection { evidence: self.evidence(now), frames: self.last_frames() });
        }
    }

    fn last_frames(&self) -> LastFrames {
        let Flows { from_client, from_node, .. } = &self.flows;
        LastFrames::new([from_client.gate.trail(), from_node.gate.trail()])
    }

    fn evidence(&self, now: Instant) -> Evidence {
        let Flows { from_client, from_node, .. } = &self.flows;
        let is_silent =
            |from: &Flow, to: &Flow| from.source() == SourceState::Silent || to.is_sink_silent();
        Evidence {
            silence_max: self.idle_timeout().filter(|_| self.is_idle_auto),
            is_unacknowledged: [
                is_silent(from_client, from_node),
                is_silent(from_node, from_client),
            ],
            ..self.roster_guard.vitals().evidence(self.deadlines.begun_at(), now)
        }
    }

    /// Finds out whether a side is gone from which nothing more is read.
    fn check_resets(&mut self, now: Instant) {
        let is_reset = [self.client.is_reset(), self.node.is_reset()];
        for (side, is_reset) in [Side::Client, Side::Node].into_iter().zip(is_reset) {
            let (from, to) = self.flows.flows_of(side);
            if is_reset && from.source() == SourceState::Ended && !to.is_sink_done() {
                to.fail_sink();
            }
        }
        if self.closing.is_none() {
            self.deadlines.set(Timer::Keepalive, Some(now + RESET_CHECK_EVERY));
        }
    }

    fn check_keepalive(&mut self, now: Instant) {
        let lost = self.policies.check_keepalive(&mut self.flows, &mut self.deadlines, now);
        if let Some(side) = lost {
            self.begin_close(End::KeepaliveLost(side), now);
        }
    }

    /// The cause of the end, when the end is complete.
    #[inline]
    fn finished(&self) -> Option<End> {
        let closing = self.closing.filter(|_| self.is_cut || self.flows.are_over());
        closing.map(|closing| closing.end)
    }

    fn flush_counts(&mut self) {
        let Flows { from_client, from_node, .. } = &self.flows;
        self.traffic_metrics.update(from_client.gate.counts(), from_node.gate.counts());
    }

    fn report(&self, end: End, now: Instant) -> Report {
        let Flows { from_client, from_node, .. } = &self.flows;
        let has_ended = [from_client.is_source_done(), from_node.is_source_done()];
        Report {
            evidence: Evidence { has_ended, ..self.evidence(now) },
            frames: self.last_frames(),
            end,
            from_client: self.flows.from_client.gate.counts(),
            from_node: self.flows.from_node.gate.counts(),
            close_code: end.received_code().or(self.flows.own_close_code),
            duration: now.saturating_duration_since(self.deadlines.begun_at()),
        }
    }
}

/// How often a side is looked at whose direction has ended while the other one goes on.
const RESET_CHECK_EVERY: Duration = Duration::from_secs(5);
