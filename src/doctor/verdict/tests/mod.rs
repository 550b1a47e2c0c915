//! Tables of facts, and the opinions that follow.

mod others;
mod undecided;

use super::*;
use crate::doctor::measured::{
    Arrival, Cors, Cut, Delays, Http2, Idle, Limit, Payload, Reached, Stickiness, Watch,
};
use crate::doctor::observations::{
    Answered, Greeting, Handshake, NodeFacts, PathTried, SocketOutcome, Trace,
};
use crate::doctor::packets::Open;
use crate::doctor::road::{Failure, FailureKind};
use crate::doctor::socket::End;

fn open() -> Open {
    Open {
        sid: "lv_VI97HAXpY6yYWAAAB".to_owned(),
        offers_websocket: true,
        is_old: false,
        ping_interval_ms: Some(25_000),
        ping_timeout_ms: Some(20_000),
        payload_bytes_max: Some(1_000_000),
    }
}

fn whole() -> Trace {
    Trace {
        handshake: Some(Handshake::Opened { open: open(), cookie: None }),
        connected: Some(Greeting::Connected),
        upgrade: Some(SocketOutcome::Works),
        noop_ms: Some(90),
        alone: Some(SocketOutcome::Works),
        ..Trace::default()
    }
}

fn lived(lived_ms: u64) -> Option<Watch> {
    Some(Watch { lived_ms, heartbeats: 1, ..Watch::default() })
}

/// What a sound set-up behind nginx shows.
fn sound() -> Observations {
    let all = |own| Reached { own, ..Reached::default() };
    Observations {
        url: Some("http://a/socket.io/".to_owned()),
        eio: 4,
        product: Some(Product::Nginx),
        trace: whole(),
        stickiness: Some(Stickiness {
            sessions: 8,
            without_cookies: all(24),
            same_connection: all(6),
            processes_min: Some(2),
            ..Stickiness::default()
        }),
        idle: Some(Idle { patience_ms: 30_000, polling: lived(30_000), websocket: lived(30_000) }),
        delays: Some(Delays { samples: 100, median_ms: 1, longest_ms: 40, stalls: 0 }),
        payload: Some(Payload {
            announced: Some(1_000_000),
            tried: 1_000_000,
            up_polling: Some(Limit { passed: 1_000_000, ..Limit::default() }),
            ..Payload::default()
        }),
        ..Observations::default()
    }
}

fn node(name: &str) -> NodeFacts {
    NodeFacts { name: name.to_owned(), trace: whole(), ..NodeFacts::default() }
}

fn answered(status: u16, code: Option<u64>) -> Answered {
    Answered { status, code, ..Answered::default() }
}

/// What `change` makes of a sound set-up.
#[track_caller]
fn check(change: impl FnOnce(&mut Observations), expected: &[(Fault, Party)]) {
    let mut seen = sound();
    change(&mut seen);
    let found = diagnose(&seen).findings;
    let shown: Vec<(Fault, Party)> =
        found.iter().map(|finding| (finding.fault, finding.whose)).collect();
    assert_eq!(shown, expected, "{found:#?}");
    for finding in found {
        assert!(!finding.change.is_empty(), "nothing to change: {finding:?}");
    }
}

#[test]
fn nothing_is_found_in_a_sound_set_up() {
    check(|_| (), &[]);
    check(|seen| seen.product = None, &[]);
    check(|seen| seen.nodes = vec![node("n1"), node("n2")], &[]);
    let diagnosis = diagnose(&sound());
    let states: Vec<State> = diagnosis.verdicts.iter().map(|verdict| verdict.state).collect();
    let (sound, not) = (State::Sound, State::NotLooked);
    assert_eq!(states, [sound, sound, sound, not, not]);
    assert!(!diagnosis.is_broken() && !diagnosis.is_undecided());
}

#[test]
fn without_a_session_the_reason_is_named() {
    let handshake = |answered: Answered| {
        move |seen: &mut Observations| {
            seen.trace =
                Trace { handshake: Some(Handshake::Answered(answered)), ..Trace::default() };
        }
    };
    let failed = |kind| {
        move |seen: &mut Observations| {
            let failure = Failure { kind, detail: "x".to_owned(), after_ms: 1 };
            seen.trace = Trace { handshake: Some(Handshake::Failed(failure)), ..Trace::default() };
        }
    };
    check(failed(FailureKind::Dns), &[(Fault::NameUnknown, Party::Network)]);
    check(failed(FailureKind::Connect), &[(Fault::NoConnection, Party::Network)]);
    check(failed(FailureKind::Tls), &[(Fault::TlsFails, Party::Proxy)]);
    check(failed(FailureKind::TimedOut), &[(Fault::NodesUnreachable, Party::Proxy)]);
    check(handshake(answered(404, None)), &[(Fault::WrongPath, Party::Proxy)]);
    check(handshake(answered(200, None)), &[(Fault::NotEngineIo, Party::Proxy)]);
    check(handshake(answered(502, None)), &[(Fault::NodesUnreachable, Party::Proxy)]);
    check(handshake(answered(301, None)), &[(Fault::Redirected, Party::Client)]);
    check(handshake(answered(403, Some(4))), &[(Fault::ClientRefused, Party::Client)]);
    check(handshake(answered(400, Some(5))), &[(Fault::OldClientsRefused, Party::Node)]);
    let without_polling = |seen: &mut Observations| {
        handshake(answered(400, Some(0)))(seen);
        seen.trace.alone = Some(SocketOutcome::Works);
    };
    check(without_polling, &[(Fault::PollingNotOffered, Party::Node)]);
    let elsewhere = |seen: &mut Observations| {
        handshake(answered(404, None))(seen);
        seen.paths = vec![PathTried { path: "/socket.io/".to_owned(), opens: true }];
    };
    check(elsewhere, &[(Fault::WrongPath, Party::Client)]);
}

#[test]
fn a_websocket_that_fails_is_the_fault_of_the_one_who_loses_it() {
    let both = |outcome: SocketOutcome| {
        move |seen: &mut Observations| {
            seen.trace.upgrade = Some(outcome.clone());
            seen.trace.alone = Some(outcome);
        }
    };
    let lost = || SocketOutcome::Answered(answered(400, Some(3)));
    check(both(lost()), &[(Fault::UpgradeLost, Party::Proxy)]);
    check(
        |seen| {
            both(lost())(seen);
            seen.product = None;
        },
        &[(Fault::UpgradeLost, Party::Proxy)],
    );
    check(
        |seen| {
            both(lost())(seen);
            seen.nodes = vec![node("n1")];
        },
        &[(Fault::UpgradeLost, Party::Proxy)],
    );
    let at_node = |seen: &mut Observations| {
        both(lost())(seen);
        let mut broken = node("n1");
        broken.trace.upgrade = Some(lost());
        seen.nodes = vec![broken];
    };
    check(at_node, &[(Fault::UpgradeLost, Party::Node)]);
    let refused = SocketOutcome::Answered(answered(403, None));
    check(both(refused), &[(Fault::UpgradeRefused, Party::Proxy)]);
    let mute = SocketOutcome::Mute { awaited: "a message", end: End::Silent };
    check(both(mute), &[(Fault::WebsocketMute, Party::Proxy)]);
    let unoffered = |seen: &mut Observations| seen.trace.upgrade = Some(SocketOutcome::NotOffered);
    check(unoffered, &[(Fault::WebsocketNotOffered, Party::Node)]);
    check(|seen| seen.trace.noop_ms = Some(5_000), &[(Fault::PollsHeldBack, Party::Proxy)]);
}

#[test]
fn sessions_that_are_spread_are_found_once() {
    let spread = |seen: &mut Observations| {
        // An upgrade that lands on another node is not another fault.
        seen.trace.upgrade = Some(SocketOutcome::Answered(answered(400, Some(1))));
        let reached = Reached { own: 8, other: 16, failed: 0 };
        let sticky = seen.stickiness.get_or_insert_default();
        sticky.without_cookies = reached;
    };
    check(spread, &[(Fault::NotSticky, Party::Proxy)]);
    check(
        |seen| {
            spread(seen);
            seen.product = None;
        },
        &[(Fault::NotSticky, Party::ProxyOrNode)],
    );
    let at_node = |seen: &mut Observations| {
        spread(seen);
        let stickiness = seen.stickiness.clone();
        seen.nodes = vec![NodeFacts { stickiness, ..node("n1") }];
    };
    check(at_node, &[(Fault::SeveralProcesses, Party::Node)]);
    let by_accident = |seen: &mut Observations| {
        seen.stickiness.get_or_insert_default().without_cookies.other = 1;
    };
    check(by_accident, &[]);
}

#[test]
fn an_idle_session_that_ends_is_the_fault_of_the_one_who_ends_it() {
    let cut = |silent_ms, in_order, close_code| Cut {
        silent_ms,
        status: None,
        close_code,
        in_order,
        detail: "gone".to_owned(),
    };
    let ended = |lived_ms, cut: Cut| Some(Watch { lived_ms, cut: Some(cut), ..Watch::default() });
    let socket = |watch: Option<Watch>| {
        move |seen: &mut Observations| {
            seen.idle.get_or_insert_default().websocket = watch;
        }
    };
    check(socket(ended(5_000, cut(5_000, false, None))), &[(Fault::IdleCut, Party::Proxy)]);
    check(socket(ended(5_000, cut(5_000, true, Some(1001)))), &[(Fault::IdleCut, Party::Proxy)]);
    check(socket(ended(5_000, cut(5_000, true, None))), &[(Fault::ClosedByServer, Party::Node)]);
    let at_node = |seen: &mut Observations| {
        let watch = ended(5_000, cut(5_000, false, None));
        socket(watch.clone())(seen);
        let idle = Some(Idle { websocket: watch, ..Idle::default() });
        seen.nodes = vec![NodeFacts { idle, ..node("n1") }];
    };
    check(at_node, &[(Fault::IdleCut, Party::Node)]);
    let not_at_node = |seen: &mut Observations| {
        socket(ended(5_000, cut(5_000, false, None)))(seen);
        let idle = Some(Idle { websocket: lived(30_000), ..Idle::default() });
        seen.nodes = vec![NodeFacts { idle, ..node("n1") }];
        seen.product = None;
    };
    check(not_at_node, &[(Fault::IdleCut, Party::Proxy)]);
    // A poll at another node ends the session, and is found by its own rule.
    let elsewhere = Cut { status: Some(400), ..cut(10, false, None) };
    check(|seen| seen.idle.get_or_insert_default().polling = ended(10, elsewhere), &[]);
    let pong_elsewhere = |seen: &mut Observations| {
        seen.stickiness.get_or_insert_default().without_cookies.other = 9;
        let closed = Cut { status: Some(200), ..cut(10, true, None) };
        seen.idle.get_or_insert_default().polling = ended(5_000, closed);
    };
    check(pong_elsewhere, &[(Fault::NotSticky, Party::Proxy)]);

    let mut impatient = sound();
    impatient.idle =
        Some(Idle { polling: lived(5_000), websocket: lived(5_000), patience_ms: 5_000 });
    let verdict = diagnose(&impatient).verdicts.remove(2);
    assert_eq!(verdict.state, State::Undecided);
    assert!(verdict.reason.contains("--patience 30"), "{}", verdict.reason);
}

#[test]
fn a_blocked_event_loop_and_a_small_limit_are_found() {
    let stalled = Some(Delays { samples: 40, median_ms: 2, longest_ms: 2_900, stalls: 4 });
    let through = stalled.clone();
    check(|seen| seen.delays = through, &[(Fault::EventLoopBlocked, Party::Node)]);
    let elsewhere = |seen: &mut Observations| {
        seen.delays = stalled;
        seen.nodes = vec![NodeFacts { delays: sound().delays, ..node("n1") }];
    };
    check(elsewhere, &[(Fault::EventLoopBlocked, Party::ProxyOrNode)]);
    let once = Delays { samples: 40, median_ms: 2, longest_ms: 1_200, stalls: 1 };
    check(|seen| seen.delays = Some(once), &[]);

    let limit = Limit { passed: 7_812, refused: Some(15_625), how: "answered with 413".to_owned() };
    let small = |seen: &mut Observations| {
        seen.payload.get_or_insert_default().up_polling = Some(limit);
    };
    check(small, &[(Fault::PayloadLimit, Party::Proxy)]);
}
