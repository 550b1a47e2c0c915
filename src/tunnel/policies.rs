//! The rules of a tunnel that look at its sides: who is quiet, who sends nothing that counts, who
//! does not read.
//!
//! A rule that is off has no state, and costs a look at a pointer that is null.
//!
//! Runs for every byte.

use std::time::Duration;

use super::closing::progress_bytes;
use super::deadlines::{Deadlines, Timer};
use super::ending::Flows;
use super::host::{Contact, Host};
use super::keepalive::{Demand, Due, Keepalive};
use super::relay::Flow;
use super::wake_up::Step;
use super::{Kind, Limits, Side, Stream};
use crate::Instant;

/// The rules of one tunnel.
#[derive(Debug)]
pub(super) struct Policies {
    keepalive: Option<Box<SignsOfLife>>,
    idle_messages: Option<Box<IdleMessages>>,
    /// Milliseconds; what is longer is cut to 49 days.
    stalled_client: u32,
    /// Bytes waited for a side when somebody last looked.
    has_waited: bool,
}

/// What a tunnel whose quiet sides get Pings knows of them.
#[derive(Debug)]
struct SignsOfLife {
    keepalive: Keepalive,
    /// Of the client and of the node, unless a side must answer itself.
    hosts: Option<[Host; 2]>,
}

/// The timeout of messages.
#[derive(Debug)]
struct IdleMessages {
    timeout: Duration,
    /// Whether Engine.IO's ping and pong are no messages.
    discounts_heartbeats: bool,
    seen: u64,
}

impl Policies {
    /// The rules of a tunnel that begins at `now`; sets their timers.
    pub(super) fn new(
        limits: &Limits,
        kind: &Kind,
        deadlines: &mut Deadlines,
        now: Instant,
    ) -> Self {
        let keepalive = limits.keepalive(kind).map(|times| {
            deadlines.set(Timer::Keepalive, now.checked_add(times.every));
            let payload = fastrand::u64(..).to_be_bytes();
            let demand = limits.demand();
            let hosts = || Side::ALL.map(|side| Host::new(side, limits));
            let hosts = (demand == Demand::Acknowledge).then(hosts);
            let keepalive = Keepalive::new(times, demand, payload, now);
            Box::new(SignsOfLife { keepalive, hosts })
        });
        let idle_messages = limits.idle_messages.map(|timeout| {
            deadlines.set(Timer::IdleMessages, now.checked_add(timeout));
            let discounts_heartbeats = matches!(kind, Kind::EngineIo { .. });
            Box::new(IdleMessages { timeout, discounts_heartbeats, seen: 0 })
        });
        if let Some(max_age) = limits.max_age {
            // Tunnels that began together, as after a restart, are not to end together.
            let early = (max_age / 10).mul_f64(fastrand::f64());
            deadlines.set(Timer::MaxAge, now.checked_add(max_age.saturating_sub(early)));
        }
        let stalled_client =
            u32::try_from(limits.stalled_client(kind).as_millis()).unwrap_or(u32::MAX);
        Self { keepalive, idle_messages, stalled_client, has_waited: false }
    }

    /// Takes note of what both flows did: `up` from the client, `down` from the node. Says whether
    /// bytes that waited have moved on: that is life too, while a side reads slowly and the other
    /// is not read.
    #[inline]
    pub(super) fn note(
        &mut self,
        (up, down): (Step, Step),
        flows: &mut Flows,
        deadlines: &mut Deadlines,
        now: Instant,
    ) -> bool {
        if let Some(SignsOfLife { keepalive, .. }) = self.keepalive.as_deref_mut() {
            for (side, step, flow) in [
                (Side::Client, up, &mut flows.from_client),
                (Side::Node, down, &mut flows.from_node),
            ] {
                if step.arrived {
                    keepalive.heard(side, now);
                    keepalive.saw(side, flow.gate.take_control_seen(), now);
                }
            }
        }
        if let Some(idle_messages) = &mut self.idle_messages
            && (up.arrived || down.arrived)
            && idle_messages.sees_more(flows)
        {
            deadlines.set(Timer::IdleMessages, now.checked_add(idle_messages.timeout));
        }
        (up.waits || down.waits || self.has_waited) && self.note_waiting(flows, deadlines, now)
    }

    /// Tells the kernel how long the hosts of both sides may acknowledge nothing, of what was done:
    /// `up` from the client, `down` from the node.
    #[inline]
    pub(super) fn tend_hosts(
        &mut self,
        (up, down): (Step, Step),
        flows: &Flows,
        (client, node): (&impl Stream, &impl Stream),
    ) {
        let Some(hosts) = self.keepalive.as_deref_mut().and_then(|signs| signs.hosts.as_mut())
        else {
            return;
        };
        let contact = |from: Step, to: Step, flow: &Flow| Contact {
            heard: from.arrived,
            wrote: to.wrote,
            waits: to.waits || flow.has_ping(),
        };
        let [of_client, of_node] = hosts;
        of_client.note(contact(up, down, &flows.from_node), client);
        of_node.note(contact(down, up, &flows.from_client), node);
    }

    /// Pings the sides that were quiet for too long; says which is lost, if one is.
    pub(super) fn tend_keepalive(
        &mut self,
        flows: &mut Flows,
        deadlines: &mut Deadlines,
        now: Instant,
    ) -> Option<Side> {
        let SignsOfLife { keepalive, hosts } = self.keepalive.as_deref_mut()?;
        for side in Side::ALL {
            let (from, to) = flows.of(side);
            // Nor is anybody heard who is not read, since the other side reads slowly.
            if !to.can_be_pinged() || from.is_waiting() {
                keepalive.excuse(side, now);
            }
        }
        for side in Side::ALL {
            let (from, to) = flows.of(side);
            match keepalive.due(side, now) {
                Due::Wait(until) => deadlines.hasten(Timer::Keepalive, until),
                Due::Ping(until) => {
                    from.drop_pongs(keepalive.payload());
                    from.gate.expect_pongs(1);
                    to.ping_with(side, keepalive.payload());
                    if let Some(hosts) = hosts {
                        hosts[side as usize].pinged();
                    }
                    deadlines.hasten(Timer::Keepalive, until);
                }
                Due::Lost => return Some(side),
            }
        }
        None
    }

    /// Sets and stops the timers of the sides for which bytes wait. Says whether some moved on.
    fn note_waiting(&mut self, flows: &mut Flows, deadlines: &mut Deadlines, now: Instant) -> bool {
        self.has_waited = false;
        let stalled_client = Duration::from_millis(self.stalled_client.into());
        let mut have_moved = false;
        for (flow, timer, patience) in [
            (&mut flows.from_node, Timer::StalledClient, stalled_client),
            (&mut flows.from_client, Timer::StalledNode, Limits::STALLED_NODE),
        ] {
            if !flow.is_waiting() {
                deadlines.set(timer, None);
                continue;
            }
            self.has_waited = true;
            let has_moved = flow.take_progress(progress_bytes(patience));
            have_moved |= has_moved;
            if has_moved || !deadlines.is_set(timer) {
                flow.forget_moved();
                deadlines.set(timer, now.checked_add(patience));
            }
        }
        have_moved
    }
}

impl IdleMessages {
    /// Whether messages that count came since the last call.
    fn sees_more(&mut self, flows: &Flows) -> bool {
        let counted = [&flows.from_client, &flows.from_node].map(|flow| {
            let heartbeats = if self.discounts_heartbeats { flow.gate.heartbeats() } else { 0 };
            flow.gate.counts().messages.saturating_sub(heartbeats.into())
        });
        let seen = counted.iter().sum();
        std::mem::replace(&mut self.seen, seen) != seen
    }
}
