//! When a quiet side gets a Ping, and when it is lost.
//!
//! Any byte shows that a side is alive. A side that was quiet gets a Ping of ours, but not while a
//! Ping of the other side is unanswered: a peer may answer only the latest of several (RFC 6455,
//! section 5.5.3).
//!
//! Pure. Runs for every byte.

use std::time::Duration;

use super::{KeepaliveTimes, Side};
use crate::Instant;
use crate::websocket::{ControlSeen, PingPayload};

/// Monitors both sides of a tunnel.
#[derive(Debug)]
pub(super) struct KeepaliveMonitor {
    times: KeepaliveTimes,
    demand: Demand,
    payload: PingPayload,
    client: SideState,
    node: SideState,
}

/// The state of one side.
#[derive(Debug)]
struct SideState {
    heard_at: Instant,
    /// When our Ping was sent, if the side has been quiet since.
    pinged_at: Option<Instant>,
    /// When the other side's first Ping since this side's last Pong was sent.
    foreign_ping_at: Option<Instant>,
}

/// What a side must do after a Ping of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Demand {
    /// Send something.
    Answer,
    /// Nothing: its host acknowledges the Ping, or else the kernel fails the connection.
    Acknowledge,
}

/// What to do with a side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeepaliveAction {
    /// Nothing before this time.
    Wait(Instant),
    /// Send it a Ping, and check again at this time.
    Ping(Instant),
    /// Give it up.
    Lost,
}

impl KeepaliveMonitor {
    /// Both sides are alive at `now`; our Pings carry `payload`.
    pub(super) fn new(
        times: KeepaliveTimes,
        demand: Demand,
        payload: PingPayload,
        now: Instant,
    ) -> Self {
        let times = KeepaliveTimes {
            every: times.every.min(LONGEST),
            lost_after: times.lost_after.min(LONGEST),
        };
        Self { times, demand, payload, client: SideState::new(now), node: SideState::new(now) }
    }

    /// The payload of our Pings.
    pub(super) fn payload(&self) -> PingPayload {
        self.payload
    }

    /// How long `side` took for the Pong to our Ping, if it is among the control frames that arrived at
    /// `now`: it is not if the side has sent anything between.
    #[inline]
    pub(super) fn answered_within(
        &mut self,
        side: Side,
        seen: ControlSeen,
        now: Instant,
    ) -> Option<Duration> {
        let pinged_at = self.side_state(side).pinged_at.filter(|_| seen.own_pong)?;
        Some(now.saturating_duration_since(pinged_at))
    }

    /// Bytes arrived from `side`.
    #[inline]
    pub(super) fn heard(&mut self, side: Side, now: Instant) {
        let side_state = self.side_state(side);
        side_state.heard_at = now;
        side_state.pinged_at = None;
    }

    /// Control frames arrived from `side`. Its Pong counts before its Ping, because it answers an
    /// earlier Ping.
    #[inline]
    pub(super) fn saw_control_frames(&mut self, side: Side, seen: ControlSeen, now: Instant) {
        if seen.pong {
            self.side_state(side).foreign_ping_at = None;
        }
        if seen.ping {
            self.side_state(side.other()).foreign_ping_at.get_or_insert(now);
        }
    }

    /// Nothing can be expected of `side` now: it cannot be pinged, or its answer cannot be read.
    pub(super) fn excuse(&mut self, side: Side, now: Instant) {
        let side_state = self.side_state(side);
        match &mut side_state.pinged_at {
            Some(pinged_at) => *pinged_at = now,
            None => side_state.heard_at = now,
        }
    }

    /// What to do with `side`.
    pub(super) fn due(&mut self, side: Side, now: Instant) -> KeepaliveAction {
        let (KeepaliveTimes { every, lost_after }, demand) = (self.times, self.demand);
        let side_state = self.side_state(side);
        if let Some(pinged_at) = side_state.pinged_at {
            let lost_at = pinged_at + lost_after;
            if now < lost_at {
                return KeepaliveAction::Wait(lost_at);
            }
            if demand == Demand::Answer {
                return KeepaliveAction::Lost;
            }
            side_state.pinged_at = Some(now);
            return KeepaliveAction::Ping(now + lost_after);
        }
        let quiet_until = side_state.heard_at + every;
        // After that time an answer to our Ping is as likely as one to the other side's.
        let foreign_until = side_state.foreign_ping_at.map(|at| at + lost_after);
        let ping_at = foreign_until.map_or(quiet_until, |until| until.max(quiet_until));
        if now < ping_at {
            return KeepaliveAction::Wait(ping_at);
        }
        side_state.pinged_at = Some(now);
        KeepaliveAction::Ping(now + lost_after)
    }

    fn side_state(&mut self, side: Side) -> &mut SideState {
        match side {
            Side::Client => &mut self.client,
            Side::Node => &mut self.node,
        }
    }
}

impl SideState {
    fn new(now: Instant) -> Self {
        Self { heard_at: now, pinged_at: None, foreign_ping_at: None }
    }
}

/// The longest wait, so that no addition overflows.
const LONGEST: Duration = Duration::from_hours(24 * 365);

#[cfg(test)]
mod tests {
    use super::*;

    /// What a side does at a second.
    #[derive(Clone, Copy, Debug)]
    enum Event {
        Speaks,
        GetsForeignPing,
        AnswersForeignPing,
        CannotHear,
    }

    use Event::{AnswersForeignPing, CannotHear, GetsForeignPing, Speaks};

    /// A client that is asked every 25 s, lost after 20 s, and to which these things happen: at
    /// which second is it pinged, again and again, and when is it lost?
    fn check(events: &[(u64, Event)], pings: &[u64], lost: Option<u64>) {
        let begin = Instant::now();
        let times =
            KeepaliveTimes { every: Duration::from_secs(25), lost_after: Duration::from_secs(20) };
        let mut keepalive = KeepaliveMonitor::new(times, Demand::Answer, [0; 8], begin);
        let (mut pinged, mut lost_at) = (Vec::new(), None);
        for second in 0..200 {
            let now = begin + Duration::from_secs(second);
            for (_, event) in events.iter().filter(|(at, _)| *at == second) {
                match event {
                    Speaks => keepalive.heard(Side::Client, now),
                    GetsForeignPing => {
                        keepalive.saw_control_frames(
                            Side::Node,
                            ControlSeen { ping: true, ..ControlSeen::default() },
                            now,
                        );
                    }
                    AnswersForeignPing => {
                        keepalive.heard(Side::Client, now);
                        keepalive.saw_control_frames(
                            Side::Client,
                            ControlSeen { pong: true, ..ControlSeen::default() },
                            now,
                        );
                    }
                    CannotHear => keepalive.excuse(Side::Client, now),
                }
            }
            match keepalive.due(Side::Client, now) {
                KeepaliveAction::Wait(until) => assert!(until > now, "{events:?} at {second}"),
                KeepaliveAction::Ping(until) => {
                    assert!(until > now);
                    pinged.push(second);
                }
                KeepaliveAction::Lost => {
                    lost_at = Some(second);
                    break;
                }
            }
        }
        assert_eq!((&pinged[..], lost_at), (pings, lost), "{events:?}");
    }

    #[test]
    fn a_quiet_side_is_pinged_and_lost_when_it_stays_quiet() {
        check(&[], &[25], Some(45));
        check(&[(10, Speaks)], &[35], Some(55));
        check(&[(44, Speaks)], &[25, 69], Some(89));
        check(&[(26, Speaks), (44, Speaks)], &[25, 69], Some(89));
    }

    #[test]
    fn a_foreign_ping_is_given_its_time_first() {
        check(&[(20, GetsForeignPing)], &[40], Some(60));
        check(&[(2, GetsForeignPing)], &[25], Some(45));
        check(&[(20, GetsForeignPing), (21, AnswersForeignPing)], &[46], Some(66));
        check(&[(20, GetsForeignPing), (30, GetsForeignPing)], &[40], Some(60));
        let answers = |from: u64| [(from, GetsForeignPing), (from + 1, AnswersForeignPing)];
        check(&[answers(20), answers(40), answers(60)].concat(), &[86], Some(106));
    }

    #[test]
    fn a_side_that_is_not_read_is_not_lost() {
        check(&[(40, CannotHear)], &[25], Some(60));
        check(&[(20, CannotHear)], &[45], Some(65));
    }

    #[test]
    fn a_side_that_need_not_answer_is_pinged_on() {
        let begin = Instant::now();
        let times =
            KeepaliveTimes { every: Duration::from_secs(25), lost_after: Duration::from_secs(20) };
        let mut keepalive = KeepaliveMonitor::new(times, Demand::Acknowledge, [0; 8], begin);
        for second in [25, 45, 65, 85] {
            let now = begin + Duration::from_secs(second);
            let again = KeepaliveAction::Ping(now + times.lost_after);
            for side in Side::ALL {
                assert_eq!(keepalive.due(side, now), again, "{side:?} at {second}");
            }
        }
    }

    #[test]
    fn only_the_pong_to_our_ping_shows_how_long_a_side_took() {
        let begin = Instant::now();
        let at = |millis| begin + Duration::from_millis(millis);
        let times =
            KeepaliveTimes { every: Duration::from_secs(25), lost_after: Duration::from_secs(20) };
        let mut keepalive = KeepaliveMonitor::new(times, Demand::Answer, [0; 8], begin);
        let own = ControlSeen { own_pong: true, ..ControlSeen::default() };
        assert_eq!(keepalive.answered_within(Side::Node, own, at(20_000)), None);
        assert!(matches!(keepalive.due(Side::Node, at(25_000)), KeepaliveAction::Ping(_)));
        let foreign = ControlSeen { pong: true, ..ControlSeen::default() };
        assert_eq!(keepalive.answered_within(Side::Node, foreign, at(26_000)), None);
        let took = keepalive.answered_within(Side::Node, own, at(26_500));
        assert_eq!(took, Some(Duration::from_millis(1_500)));
        keepalive.heard(Side::Node, at(26_500));
        assert_eq!(keepalive.answered_within(Side::Node, own, at(27_000)), None);
    }

    #[test]
    fn absurd_times_do_no_harm() {
        let times = KeepaliveTimes { every: Duration::MAX, lost_after: Duration::MAX };
        let now = Instant::now();
        let mut keepalive = KeepaliveMonitor::new(times, Demand::Answer, [0; 8], now);
        assert_eq!(keepalive.due(Side::Node, now), KeepaliveAction::Wait(now + LONGEST));
    }
}
