//! What is said of a session, in virtual time.

use super::*;
use crate::tunnel::UpgradeStep;

/// What happens to a session, at so many seconds after its handshake.
#[derive(Clone, Copy, Debug)]
enum Event {
    Saw(Sight),
    Switched,
    Reached(UpgradeStep),
}

use Event::{Reached, Saw, Switched};
use Sight::{Failed, Polled, Refused, Stripped, Tried};

const SILENCE_MAX: Duration = Duration::from_secs(50);
const STUCK: [&str; 2] = ["never_tried", "none"];

fn sid(name: &str) -> Sid {
    Sid::new(name).unwrap()
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Opens a session and lets `events` happen.
fn followed(insight: &Insight, events: &[(u64, Event)], start: Instant) {
    let name = sid("lv_VI97HAXpY6yYWAAAC");
    insight.opened(&name, Some(SILENCE_MAX), &"n1".into(), start);
    let mut upgrading = None;
    for (at, event) in events {
        let now = start + seconds(*at);
        match event {
            Saw(sight) => insight.saw(&name, *sight, now),
            Switched => upgrading = insight.switched(&name, now),
            Reached(step) => upgrading.as_ref().unwrap().advance(*step, now),
        }
    }
}

/// What is said after `events`: when the session is swept at its last poll, and at its last sight.
fn check(events: &[(u64, Event)], expected: [&'static str; 2]) {
    let start = Instant::now();
    let insight = Insight::new(Settings::default());
    followed(&insight, events, start);
    let polls = events.iter().filter(|(_, event)| matches!(event, Saw(Polled)));
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
fn who_polls_on_is_stuck_for_what_came_of_its_upgrade() {
    check(&[(15, Saw(Polled))], STUCK);
    check(&[(1, Saw(Stripped)), (16, Saw(Polled))], ["stripped", "none"]);
    check(&[(1, Saw(Tried)), (1, Saw(Refused("400"))), (16, Saw(Polled))], ["refused", "400"]);
    check(
        &[(1, Saw(Tried)), (2, Saw(Failed("connect"))), (25, Saw(Polled))],
        ["failed", "connect"],
    );
    check(&[(1, Saw(Tried)), (25, Saw(Polled))], ["failed", "client_gone"]);
    check(&[(1, Switched), (16, Saw(Polled))], ["no_probe", "none"]);
    let probed = [(1, Switched), (1, Reached(UpgradeStep::Probed)), (16, Saw(Polled))];
    check(&probed, ["probe_unanswered", "none"]);
    let answered = [(1, Switched), (2, Reached(UpgradeStep::Answered)), (90, Saw(Polled))];
    check(&answered, ["unfinished", "none"]);
}

#[test]
fn who_sends_its_last_word_is_upgraded_whatever_came_before() {
    let upgraded = ["upgraded", "none"];
    check(&[(0, Saw(Polled)), (1, Switched), (2, Reached(UpgradeStep::Upgraded))], upgraded);
    check(
        &[
            (1, Saw(Refused("503"))),
            (30, Saw(Polled)),
            (40, Switched),
            (41, Reached(UpgradeStep::Upgraded)),
        ],
        upgraded,
    );
    let again = [(1, Switched), (2, Switched), (3, Reached(UpgradeStep::Upgraded))];
    check(&again, upgraded);
    check(&[again.as_slice(), &[(4, Saw(Refused("400")))]].concat(), upgraded);
}

#[test]
fn who_leaves_before_it_could_be_upgraded_is_not_stuck() {
    let left = ["left", "none"];
    check(&[], left);
    check(&[(14, Saw(Polled))], left);
    check(&[(1, Saw(Refused("400"))), (15, Saw(Polled))], left);
    check(&[(20, Switched), (34, Saw(Polled))], left);
    check(&[(1, Switched), (2, Reached(UpgradeStep::Unreadable))], ["unreadable", "none"]);
}

#[test]
fn who_is_stuck_now_is_told_with_its_cause() {
    let start = Instant::now();
    let insight = Insight::new(Settings::default());
    followed(&insight, &[(1, Saw(Refused("400")))], start);
    assert_eq!((insight.polling(), insight.stuck()), (1, vec![]));
    insight.saw(&sid("lv_VI97HAXpY6yYWAAAC"), Polled, start + seconds(30));
    assert_eq!(insight.stuck(), [Verdict::Refused("400")]);
    insight.saw(&sid("other"), Polled, start);
    assert!(insight.switched(&sid("other"), start).is_none(), "its handshake was not seen");
    assert_eq!(insight.polling(), 1);
}

#[test]
fn the_record_is_bounded_and_tells_what_it_leaves_out() {
    let start = Instant::now();
    let insight = Insight::new(Settings::default());
    let rounds = Insight::SESSIONS_MAX + Insight::SESSIONS_MAX / 2;
    for number in 0..rounds {
        insight.opened(&sid(&number.to_string()), Some(SILENCE_MAX), &"n1".into(), start);
    }
    assert!(insight.polling() <= Insight::SESSIONS_MAX);
    let unfollowed = (rounds - insight.polling()) as u64;
    assert_eq!(insight.verdicts().collect::<Vec<_>>(), [(["unfollowed", "none"], unfollowed)]);

    // Whose time is over makes room.
    insight.opened(&sid("late"), Some(SILENCE_MAX), &"n1".into(), start + seconds(60));
    assert!(insight.polling() < Insight::SESSIONS_MAX);
    assert!(insight.switched(&sid("late"), start + seconds(60)).is_some());
}

#[test]
fn the_summary_names_the_leading_cause() {
    let start = Instant::now();
    let insight = Insight::new(Settings::default());
    let outcomes: [&[(u64, Event)]; 5] = [
        &[(1, Saw(Refused("400"))), (30, Saw(Polled))],
        &[(1, Saw(Refused("400"))), (30, Saw(Polled))],
        &[(30, Saw(Polled))],
        &[],
        &[(1, Switched), (2, Reached(UpgradeStep::Upgraded))],
    ];
    for events in outcomes {
        followed(&insight, events, start);
        insight.sweep(start + seconds(100));
    }
    followed(&insight, &[(1, Saw(Refused("400"))), (30, Saw(Polled))], start);
    let mut summary = Summary::default();
    summary.add(&insight);
    assert_eq!((summary.upgraded(), summary.stuck()), (1, 4));
    assert_eq!(summary.leading(), Some((["refused", "400"], 3)));
    assert!(Summary::hint(["refused", "400"]).contains("splits sessions"));
}
