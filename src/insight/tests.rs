//! The verdicts on sessions, in virtual time.

use super::*;
use crate::tunnel::UpgradeStep;

/// What happens to a session, this many seconds after its handshake.
#[derive(Clone, Copy, Debug)]
enum Event {
    Observed(Observation),
    Switched,
    Reached(UpgradeStep),
}

use Event::{Observed, Reached, Switched};
use Observation::{FailedInProxy, Polled, RefusedByNode, UpgradeHeaderMissing, UpgradeRequested};

const SILENCE_MAX: Duration = Duration::from_secs(50);
const STUCK: [&str; 2] = ["never_tried", "none"];

fn sid(name: &str) -> Sid {
    Sid::new(name).unwrap()
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Opens a session and lets `events` happen.
fn follow(insight: &Insight, events: &[(u64, Event)], start: Instant) {
    let name = sid("lv_VI97HAXpY6yYWAAAC");
    insight.session_opened(&name, Some(SILENCE_MAX), (&"n1".into(), CLIENT), start);
    let mut upgrading = None;
    for (at, event) in events {
        let now = start + seconds(*at);
        match event {
            Observed(observation) => insight.observe(&name, *observation, now),
            Switched => upgrading = insight.upgrade_accepted(&name, now),
            Reached(step) => upgrading.as_ref().unwrap().advance(*step, now),
        }
    }
}

/// The verdict after `events`, when the session is swept before its silence is too long, and after.
fn check(events: &[(u64, Event)], expected: [&'static str; 2]) {
    let start = Instant::now();
    let insight = Insight::new(Settings::default());
    follow(&insight, events, start);
    let polls = events.iter().filter(|(_, event)| matches!(event, Observed(Polled)));
    let last = polls.map(|(at, _)| *at).max().unwrap_or_default();
    let is_upgraded = expected[0] == "upgraded";
    for (at, is_known) in [(last + 50, is_upgraded), (last + 51, true)] {
        insight.sweep(start + seconds(at));
        let verdicts: Vec<_> = insight.verdicts().collect();
        let known = if is_known { vec![(expected, 1)] } else { vec![] };
        assert_eq!(verdicts, known, "{events:?} swept at {at}");
    }
    assert_eq!(insight.polling(), 0);
}

#[test]
fn a_session_that_keeps_polling_is_stuck_with_the_cause() {
    check(&[(15, Observed(Polled))], STUCK);
    check(&[(1, Observed(UpgradeHeaderMissing)), (16, Observed(Polled))], ["stripped", "none"]);
    check(
        &[
            (1, Observed(UpgradeRequested)),
            (1, Observed(RefusedByNode("400"))),
            (16, Observed(Polled)),
        ],
        ["refused", "400"],
    );
    check(
        &[
            (1, Observed(UpgradeRequested)),
            (2, Observed(FailedInProxy("connect"))),
            (25, Observed(Polled)),
        ],
        ["failed", "connect"],
    );
    check(&[(1, Observed(UpgradeRequested)), (25, Observed(Polled))], ["failed", "client_gone"]);
    check(&[(1, Switched), (16, Observed(Polled))], ["no_probe", "none"]);
    let probed = [(1, Switched), (1, Reached(UpgradeStep::Probed)), (16, Observed(Polled))];
    check(&probed, ["probe_unanswered", "none"]);
    let answered = [(1, Switched), (2, Reached(UpgradeStep::Answered)), (90, Observed(Polled))];
    check(&answered, ["unfinished", "none"]);
}

#[test]
fn a_session_that_finishes_its_upgrade_is_upgraded_whatever_came_before() {
    let upgraded = ["upgraded", "none"];
    check(&[(0, Observed(Polled)), (1, Switched), (2, Reached(UpgradeStep::Upgraded))], upgraded);
    check(
        &[
            (1, Observed(RefusedByNode("503"))),
            (30, Observed(Polled)),
            (40, Switched),
            (41, Reached(UpgradeStep::Upgraded)),
        ],
        upgraded,
    );
    let again = [(1, Switched), (2, Switched), (3, Reached(UpgradeStep::Upgraded))];
    check(&again, upgraded);
    check(&[again.as_slice(), &[(4, Observed(RefusedByNode("400")))]].concat(), upgraded);
}

#[test]
fn a_session_that_leaves_early_is_not_stuck() {
    let left = ["left", "none"];
    check(&[], left);
    check(&[(14, Observed(Polled))], left);
    check(&[(1, Observed(RefusedByNode("400"))), (15, Observed(Polled))], left);
    check(&[(20, Switched), (34, Observed(Polled))], left);
    check(&[(1, Switched), (2, Reached(UpgradeStep::Unreadable))], ["unreadable", "none"]);
}

#[test]
fn sessions_that_are_stuck_now_are_listed_with_the_cause() {
    let start = Instant::now();
    let insight = Insight::new(Settings::default());
    follow(&insight, &[(1, Observed(RefusedByNode("400")))], start);
    assert_eq!((insight.polling(), insight.stuck()), (1, vec![]));
    insight.observe(&sid("lv_VI97HAXpY6yYWAAAC"), Polled, start + seconds(30));
    assert_eq!(insight.stuck(), [Verdict::RefusedByNode("400")]);
    insight.observe(&sid("other"), Polled, start);
    assert!(insight.upgrade_accepted(&sid("other"), start).is_none(), "its handshake was not seen");
    assert_eq!(insight.polling(), 1);
}

#[test]
fn the_number_of_sessions_is_bounded_and_the_rest_is_counted() {
    let start = Instant::now();
    let insight = Insight::new(Settings::default());
    let rounds = Insight::SESSIONS_MAX + Insight::SESSIONS_MAX / 2;
    for number in 0..rounds {
        insight.session_opened(
            &sid(&number.to_string()),
            Some(SILENCE_MAX),
            (&"n1".into(), CLIENT),
            start,
        );
    }
    assert!(insight.polling() <= Insight::SESSIONS_MAX);
    let unfollowed = (rounds - insight.polling()) as u64;
    assert_eq!(insight.verdicts().collect::<Vec<_>>(), [(["unfollowed", "none"], unfollowed)]);

    // Sessions whose silence is too long make room.
    insight.session_opened(
        &sid("late"),
        Some(SILENCE_MAX),
        (&"n1".into(), CLIENT),
        start + seconds(60),
    );
    assert!(insight.polling() < Insight::SESSIONS_MAX);
    assert!(insight.upgrade_accepted(&sid("late"), start + seconds(60)).is_some());
}

#[test]
fn the_summary_names_the_leading_cause() {
    let start = Instant::now();
    let insight = Insight::new(Settings::default());
    let outcomes: [&[(u64, Event)]; 5] = [
        &[(1, Observed(RefusedByNode("400"))), (30, Observed(Polled))],
        &[(1, Observed(RefusedByNode("400"))), (30, Observed(Polled))],
        &[(30, Observed(Polled))],
        &[],
        &[(1, Switched), (2, Reached(UpgradeStep::Upgraded))],
    ];
    for events in outcomes {
        follow(&insight, events, start);
        insight.sweep(start + seconds(100));
    }
    follow(&insight, &[(1, Observed(RefusedByNode("400"))), (30, Observed(Polled))], start);
    let mut summary = Summary::default();
    summary.add(&insight);
    assert_eq!((summary.upgraded(), summary.stuck()), (1, 4));
    assert_eq!(summary.leading(), Some((["refused", "400"], 3)));
    assert!(Summary::hint(["refused", "400"]).contains("splits sessions"));
}

const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
