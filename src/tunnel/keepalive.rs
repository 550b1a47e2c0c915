//! Whom to ask for a sign of life, and when a side is lost.
//!
//! Any byte is life. A side that was quiet gets a Ping of ours; but not while one of the other side
//! is unanswered, for a peer may answer only the latest of several (RFC 6455, section 5.5.3).
//!
//! Pure. Runs for every byte.

use std::time::Duration;

use super::{KeepaliveTimes, Side};
use crate::Instant;
use crate::websocket::{ControlSeen, PingPayload};

/// Watches both sides of a tunnel.
#[derive(Debug)]
pub(super) struct Keepalive {
    times: KeepaliveTimes,
    demand: Demand,
    payload: PingPayload,
    client: Watched,
    node: Watched,
}

/// What is known of a side.
#[derive(Debug)]
struct Watched {
    heard_at: Instant,
    /// Our Ping went to it and it has been quiet since.
    pinged_at: Option<Instant>,
    /// The first Ping of the other side since its last Pong.
    foreign_ping_at: Option<Instant>,
}

/// What a side must do about a Ping of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Demand {
    /// Send something.
    Answer,
    /// Nothing: its host acknowledges the Ping, or the kernel fails the connection.
    Acknowledge,
}

/// What is to be done about a side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing before this moment.
    Wait(Instant),
    /// It gets a Ping. The moment is when to look again.
    Ping(Instant),
    /// It is given up.
    Lost,
}

impl Keepalive {
    /// Both sides were heard at `now`; our Pings carry `payload`.
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
        Self { times, demand, payload, client: Watched::new(now), node: Watched::new(now) }
    }

    /// What our Pings carry.
    pub(super) fn payload(&self) -> PingPayload {
        self.payload
    }

    /// Bytes came from `side`.
    #[inline]
    pub(super) fn heard(&mut self, side: Side, now: Instant) {
        let watched = self.watched(side);
        watched.heard_at = now;
        watched.pinged_at = None;
    }

    /// Control frames came from `side`. Its Pong counts before its Ping: it answers what went
    /// before.
    #[inline]
    pub(super) fn saw(&mut self, side: Side, seen: ControlSeen, now: Instant) {
        if seen.pong {
            self.watched(side).foreign_ping_at = None;
        }
        if seen.ping {
            self.watched(side.other()).foreign_ping_at.get_or_insert(now);
        }
    }

    /// Nothing can be expected of `side` now: it cannot be asked, or its answer not be read.
    pub(super) fn excuse(&mut self, side: Side, now: Instant) {
        let watched = self.watched(side);
        match &mut watched.pinged_at {
            Some(pinged_at) => *pinged_at = now,
            None => watched.heard_at = now,
        }
    }

    /// What is to be done about `side`.
    pub(super) fn due(&mut self, side: Side, now: Instant) -> Due {
        let (KeepaliveTimes { every, lost_after }, demand) = (self.times, self.demand);
        let watched = self.watched(side);
        if let Some(pinged_at) = watched.pinged_at {
            let lost_at = pinged_at + lost_after;
            if now < lost_at {
                return Due::Wait(lost_at);
            }
            if demand == Demand::Answer {
                return Due::Lost;
            }
            watched.pinged_at = Some(now);
            return Due::Ping(now + lost_after);
        }
        let quiet_until = watched.heard_at + every;
        // Who has not answered by then answers ours as likely as the foreign one.
        let foreign_until = watched.foreign_ping_at.map(|at| at + lost_after);
        let ping_at = foreign_until.map_or(quiet_until, |until| until.max(quiet_until));
        if now < ping_at {
            return Due::Wait(ping_at);
        }
        watched.pinged_at = Some(now);
        Due::Ping(now + lost_after)
    }

    fn watched(&mut self, side: Side) -> &mut Watched {
        match side {
            Side::Client => &mut self.client,
            Side::Node => &mut self.node,
        }
    }
}

impl Watched {
    fn new(now: Instant) -> Self {
        Self { heard_at: now, pinged_at: None, foreign_ping_at: None }
    }
}

/// Longer waits are cut to this, so that no moment is out of reach.
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
        let mut keepalive = Keepalive::new(times, Demand::Answer, [0; 8], begin);
        let (mut pinged, mut lost_at) = (Vec::new(), None);
        for second in 0..200 {
            let now = begin + Duration::from_secs(second);
            for (_, event) in events.iter().filter(|(at, _)| *at == second) {
                match event {
                    Speaks => keepalive.heard(Side::Client, now),
                    GetsForeignPing => {
                        keepalive.saw(Side::Node, ControlSeen { ping: true, pong: false }, now);
                    }
                    AnswersForeignPing => {
                        keepalive.heard(Side::Client, now);
                        keepalive.saw(Side::Client, ControlSeen { ping: false, pong: true }, now);
                    }
                    CannotHear => keepalive.excuse(Side::Client, now),
                }
            }
            match keepalive.due(Side::Client, now) {
                Due::Wait(until) => assert!(until > now, "{events:?} at {second}"),
                Due::Ping(until) => {
                    assert!(until > now);
                    pinged.push(second);
                }
                Due::Lost => {
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
    fn who_cannot_hear_is_not_lost() {
        check(&[(40, CannotHear)], &[25], Some(60));
        check(&[(20, CannotHear)], &[45], Some(65));
    }

    #[test]
    fn a_side_that_need_not_answer_is_pinged_on() {
        let begin = Instant::now();
        let times =
            KeepaliveTimes { every: Duration::from_secs(25), lost_after: Duration::from_secs(20) };
        let mut keepalive = Keepalive::new(times, Demand::Acknowledge, [0; 8], begin);
        for second in [25, 45, 65, 85] {
            let now = begin + Duration::from_secs(second);
            let again = Due::Ping(now + times.lost_after);
            for side in Side::ALL {
                assert_eq!(keepalive.due(side, now), again, "{side:?} at {second}");
            }
        }
    }

    #[test]
    fn absurd_times_do_no_harm() {
        let times = KeepaliveTimes { every: Duration::MAX, lost_after: Duration::MAX };
        let now = Instant::now();
        let mut keepalive = Keepalive::new(times, Demand::Answer, [0; 8], now);
        assert_eq!(keepalive.due(Side::Node, now), Due::Wait(now + LONGEST));
    }
}
