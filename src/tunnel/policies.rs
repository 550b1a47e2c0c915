//! The rules for a tunnel's sides: which side is quiet, sends no messages, or does not read.
//!
//! A rule that is off has no state and costs one comparison with a null pointer.
//!
//! Runs for every byte.

use std::sync::Arc;
use std::time::Duration;

use super::ack_timeout::{AckTimeout, SideActivity};
use super::close_rules::Flows;
use super::closing::progress_bytes;
use super::deadlines::{Deadlines, Timer};
use super::flow::Flow;
use super::flow_state::FlowStep;
use super::keepalive::{Demand, KeepaliveAction, KeepaliveMonitor};
use super::{Limits, Protocol, Side, Stream};
use crate::Instant;
use crate::lag::NodeLag;

/// The rules of one tunnel.
#[derive(Debug)]
pub(super) struct Policies {
    keepalive: Option<Box<KeepaliveState>>,
    idle_messages: Option<Box<IdleMessages>>,
    /// In milliseconds, at most 49 days.
    stalled_client: u32,
    /// Bytes waited for a side at the last check.
    has_waited: bool,
}

/// The state of a tunnel whose quiet sides get Pings.
#[derive(Debug)]
struct KeepaliveState {
    keepalive: KeepaliveMonitor,
    /// Of the node.
    lag: Arc<NodeLag>,
    /// Those of the client and of the node; `None` if the sides themselves have to answer.
    ack_timeouts: Option<[AckTimeout; 2]>,
}

/// The timeout for messages.
#[derive(Debug)]
struct IdleMessages {
    timeout: Duration,
    /// Whether Engine.IO's ping and pong are no messages.
    discounts_heartbeats: bool,
    /// Messages of both sides that were counted.
    seen: u64,
}

impl Policies {
    /// The rules of a tunnel that begins at `now`; sets their timers. Pongs of the node show its `lag`.
    pub(super) fn new(
        limits: &Limits,
        protocol: &Protocol,
        lag: &Arc<NodeLag>,
        deadlines: &mut Deadlines,
        now: Instant,
    ) -> Self {
        let keepalive = limits.keepalive(protocol).map(|times| {
            deadlines.set(Timer::Keepalive, now.checked_add(times.every));
            let payload = fastrand::u64(..).to_be_bytes();
            let demand = limits.demand();
            let ack_timeouts = || Side::ALL.map(|side| AckTimeout::new(side, limits));
            let ack_timeouts = (demand == Demand::Acknowledge).then(ack_timeouts);
            let keepalive = KeepaliveMonitor::new(times, demand, payload, now);
            Box::new(KeepaliveState { keepalive, lag: lag.clone(), ack_timeouts })
        });
        let idle_messages = match protocol {
            Protocol::Plain | Protocol::EngineIo { .. } => limits.idle_messages,
            // It has no messages.
            Protocol::Unknown => None,
        };
        let idle_messages = idle_messages.map(|timeout| {
            deadlines.set(Timer::IdleMessages, now.checked_add(timeout));
            let discounts_heartbeats = matches!(protocol, Protocol::EngineIo { .. });
            Box::new(IdleMessages { timeout, discounts_heartbeats, seen: 0 })
        });
        if let Some(max_age) = limits.max_age {
            // Tunnels that began together, for example after a restart, should not end together.
            let early = (max_age / 10).mul_f64(fastrand::f64());
            deadlines.set(Timer::MaxAge, now.checked_add(max_age.saturating_sub(early)));
        }
        let stalled_client =
            u32::try_from(limits.stalled_client(protocol).as_millis()).unwrap_or(u32::MAX);
        Self { keepalive, idle_messages, stalled_client, has_waited: false }
    }

    /// Applies the rules to what both flows did: `up` from the client, `down` from the node.
    /// Returns whether waiting bytes were taken: that shows life, too, while one side reads slowly
    /// and the other is not read.
    #[inline]
    pub(super) fn on_traffic(
        &mut self,
        (up, down): (FlowStep, FlowStep),
        flows: &mut Flows,
        deadlines: &mut Deadlines,
        now: Instant,
    ) -> bool {
        if let Some(KeepaliveState { keepalive, lag, .. }) = self.keepalive.as_deref_mut() {
            for (side, step, flow) in [
                (Side::Client, up, &mut flows.from_client),
                (Side::Node, down, &mut flows.from_node),
            ] {
                if step.arrived {
                    let seen = flow.gate.take_control_seen();
                    if side == Side::Node
                        && let Some(took) = keepalive.answered_within(side, seen, now)
                    {
                        lag.record(took, now);
                    }
                    keepalive.heard(side, now);
                    keepalive.saw_control_frames(side, seen, now);
                }
            }
        }
        if let Some(idle_messages) = &mut self.idle_messages
            && (up.arrived || down.arrived)
            && idle_messages.has_new_messages(flows)
        {
            deadlines.set(Timer::IdleMessages, now.checked_add(idle_messages.timeout));
        }
        (up.waits || down.waits || self.has_waited)
            && self.update_stall_timers(flows, deadlines, now)
    }

    /// Updates how long both hosts may acknowledge nothing, by what the flows did: `up` from the
    /// client, `down` from the node.
    #[inline]
    pub(super) fn update_ack_timeouts(
        &mut self,
        (up, down): (FlowStep, FlowStep),
        flows: &Flows,
        (client, node): (&impl Stream, &impl Stream),
    ) {
        let Some(ack_timeouts) =
            self.keepalive.as_deref_mut().and_then(|state| state.ack_timeouts.as_mut())
        else {
            return;
        };
        let activity = |from: FlowStep, to: FlowStep, flow: &Flow| SideActivity {
            arrived: from.arrived,
            wrote: to.wrote,
            waits: to.waits || flow.has_ping(),
        };
        let [of_client, of_node] = ack_timeouts;
        of_client.update(activity(up, down, &flows.from_node), client);
        of_node.update(activity(down, up, &flows.from_client), node);
    }

    /// Sends Pings to the sides that were quiet for too long. Returns the side that is lost, if
    /// any.
    pub(super) fn check_keepalive(
        &mut self,
        flows: &mut Flows,
        deadlines: &mut Deadlines,
        now: Instant,
    ) -> Option<Side> {
        let KeepaliveState { keepalive, lag: _, ack_timeouts } = self.keepalive.as_deref_mut()?;
        for side in Side::ALL {
            let (from, to) = flows.flows_of(side);
            // A side that is not read, because the other one reads slowly, cannot be heard either.
            if !to.can_be_pinged() || from.has_backlog() {
                keepalive.excuse(side, now);
            }
        }
        for side in Side::ALL {
            let (from, to) = flows.flows_of(side);
            match keepalive.due(side, now) {
                KeepaliveAction::Wait(until) => deadlines.set_earlier(Timer::Keepalive, until),
                KeepaliveAction::Ping(until) => {
                    from.drop_pongs(keepalive.payload());
                    from.gate.expect_pongs(1);
                    to.queue_ping(side, keepalive.payload());
                    if let Some(ack_timeouts) = ack_timeouts {
                        ack_timeouts[side as usize].set_pinged();
                    }
                    deadlines.set_earlier(Timer::Keepalive, until);
                }
                KeepaliveAction::Lost => return Some(side),
            }
        }
        None
    }

    /// Sets and stops the timers of the sides for which bytes wait. Returns whether some were
    /// taken.
    fn update_stall_timers(
        &mut self,
        flows: &mut Flows,
        deadlines: &mut Deadlines,
        now: Instant,
    ) -> bool {
        self.has_waited = false;
        let stalled_client = Duration::from_millis(self.stalled_client.into());
        let mut were_taken = false;
        for (flow, timer, timeout) in [
            (&mut flows.from_node, Timer::StalledClient, stalled_client),
            (&mut flows.from_client, Timer::StalledNode, Limits::STALLED_NODE),
        ] {
            if !flow.has_backlog() {
                deadlines.set(timer, None);
                continue;
            }
            self.has_waited = true;
            let was_taken = flow.take_progress(progress_bytes(timeout));
            were_taken |= was_taken;
            if was_taken || !deadlines.is_set(timer) {
                flow.reset_progress();
                deadlines.set(timer, now.checked_add(timeout));
            }
        }
        were_taken
    }
}

impl IdleMessages {
    /// Whether messages that count arrived since the last call.
    fn has_new_messages(&mut self, flows: &Flows) -> bool {
        let counted = [&flows.from_client, &flows.from_node].map(|flow| {
            let heartbeats = if self.discounts_heartbeats { flow.gate.heartbeats() } else { 0 };
            flow.gate.counts().messages.saturating_sub(heartbeats.into())
        });
        let seen = counted.iter().sum();
        std::mem::replace(&mut self.seen, seen) != seen
    }
}
