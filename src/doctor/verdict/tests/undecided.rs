//! What the doctor could not see is undecided: neither a fault nor sound.

use super::*;

/// The state of a symptom after `change` to a sound set-up, in which nothing is found.
#[track_caller]
fn state(symptom: Symptom, change: impl FnOnce(&mut Observations)) -> (State, String) {
    let mut seen = sound();
    change(&mut seen);
    let diagnosis = diagnose(&seen);
    assert!(diagnosis.findings.is_empty(), "{:#?}", diagnosis.findings);
    let mut verdicts = diagnosis.verdicts.into_iter();
    let verdict = verdicts.find(|verdict| verdict.symptom == symptom).unwrap();
    (verdict.state, verdict.reason)
}

#[test]
fn a_limit_of_requests_is_no_fault_of_the_set_up() {
    let too_few = |seen: &mut Observations| {
        seen.held_off = 12;
        let own = Reached { own: 1, failed: 2, ..Reached::default() };
        seen.stickiness = Some(Stickiness {
            sessions: 1,
            handshakes_failed: 3,
            without_cookies: own,
            ..Stickiness::default()
        });
    };
    let (found, reason) = state(Symptom::StuckInPolling, too_few);
    assert_eq!(found, State::Undecided);
    assert!(reason.contains("12 requests"), "{reason}");

    let held_off = |seen: &mut Observations| {
        let cut = Cut {
            silent_ms: 10,
            status: Some(429),
            close_code: None,
            in_order: false,
            detail: "a poll was answered with 429".to_owned(),
        };
        let watch = Watch { lived_ms: 10, cut: Some(cut), ..Watch::default() };
        seen.idle.get_or_insert_default().polling = Some(watch);
    };
    assert_eq!(state(Symptom::Drops, held_off).0, State::Undecided);

    let refused = |seen: &mut Observations| {
        seen.trace.alone = Some(SocketOutcome::Answered(answered(429, None)));
        seen.origin = Some("https://a.example".to_owned());
        seen.cors = Some(Cors { status: 429, ..Cors::default() });
        seen.http2 = Some(Http2 { chosen: true, handshake: Some(429), ..Http2::default() });
    };
    check(refused, &[]);
}

#[test]
fn a_session_that_could_not_be_watched_is_not_sound() {
    let without = |seen: &mut Observations| seen.idle.get_or_insert_default().polling = None;
    assert_eq!(state(Symptom::Drops, without).0, State::Undecided);
    let without = |seen: &mut Observations| seen.idle.get_or_insert_default().websocket = None;
    assert_eq!(state(Symptom::Drops, without).0, State::Undecided);
}

#[test]
fn sessions_that_the_application_refuses_may_be_ended() {
    let ended = |message: &str| {
        let greeting = Greeting::Refused { message: message.to_owned() };
        move |seen: &mut Observations| {
            seen.trace.connected = Some(greeting);
            let cut = Cut {
                silent_ms: 20_000,
                status: None,
                close_code: None,
                in_order: true,
                detail: "closed without a code".to_owned(),
            };
            let watch = Watch { lived_ms: 45_000, cut: Some(cut), ..Watch::default() };
            seen.idle.get_or_insert_default().websocket = Some(watch);
        }
    };
    let (found, reason) = state(Symptom::Drops, ended("no token"));
    assert_eq!(found, State::Undecided);
    assert!(reason.contains("no token") && reason.contains("--header"), "{reason}");
}

#[test]
fn a_server_of_the_old_line_is_named_once() {
    let old = |trace: &mut Trace| {
        let open = Open { is_old: true, ..open() };
        let handshake = Some(Handshake::Opened { open, cookie: None });
        *trace = Trace { handshake, ..Trace::default() };
    };
    let alone = |seen: &mut Observations| {
        seen.eio = 4;
        old(&mut seen.trace);
        (seen.idle, seen.stickiness) = (None, None);
    };
    check(alone, &[(Fault::OldServer, Party::Node)]);
    // For clients as old it is the right one.
    check(
        |seen| {
            seen.eio = 3;
            let open = Open { is_old: true, ..open() };
            seen.trace.handshake = Some(Handshake::Opened { open, cookie: None });
        },
        &[],
    );
    let one_of_two = |seen: &mut Observations| {
        let mut broken = node("n2");
        old(&mut broken.trace);
        seen.nodes = vec![node("n1"), broken];
    };
    check(one_of_two, &[(Fault::OldServer, Party::Node)]);
}

#[test]
fn without_polling_the_websocket_is_judged() {
    let without_polling = |trace: &mut Trace| {
        let handshake = Some(Handshake::Answered(answered(400, Some(0))));
        let alone = Some(SocketOutcome::Works);
        *trace = Trace { handshake, alone, alone_open: Some(open()), ..Trace::default() };
    };
    let sound_else = |seen: &mut Observations| {
        without_polling(&mut seen.trace);
        let mut node = node("n1");
        without_polling(&mut node.trace);
        seen.nodes = vec![node];
        seen.stickiness = None;
        seen.idle.get_or_insert_default().polling = None;
    };
    check(sound_else, &[(Fault::PollingNotOffered, Party::Node)]);
    let mut seen = sound();
    sound_else(&mut seen);
    let states: Vec<State> = diagnose(&seen).verdicts.iter().map(|v| v.state).collect();
    assert_eq!(states[..3], [State::Sound, State::Sound, State::Sound]);

    let cut = |seen: &mut Observations| {
        sound_else(seen);
        let cut = Cut {
            silent_ms: 9_000,
            status: None,
            close_code: None,
            in_order: false,
            detail: "the connection was closed".to_owned(),
        };
        let watch = Watch { lived_ms: 9_000, cut: Some(cut), ..Watch::default() };
        seen.idle.get_or_insert_default().websocket = Some(watch);
    };
    check(cut, &[(Fault::IdleCut, Party::Proxy), (Fault::PollingNotOffered, Party::Node)]);
}

#[test]
fn an_address_that_is_taken_is_not_the_fault_of_the_proxy() {
    let arrival = Arrival { failed: Some("in use".to_owned()), ..Arrival::default() };
    let taken = |seen: &mut Observations| {
        seen.trace = Trace::default();
        seen.arrival = Some(arrival);
    };
    let (found, reason) = state(Symptom::NoSession, taken);
    assert_eq!(found, State::Undecided);
    assert!(reason.contains("in use"), "{reason}");
}
