//! The rates and the queue of new sessions.

use super::*;

#[test]
fn rates_hold_for_the_upstream_and_for_each_node() {
    let rate = |number| {
        let number = std::num::NonZeroU32::new(number).unwrap();
        Some(settings::Rate { per_second: number, burst: number })
    };
    // check(rate in all, rate of each of two nodes, how many begin at once)
    let check = |in_all, on_each, expected: usize| {
        let mut paced = settings(&[("a", 1), ("b", 1)]);
        paced.admission.rate = in_all;
        paced.admission.node_rate = on_each;
        let upstream = Upstream::new(&paced, None);
        let now = Instant::now();
        let begin = |now| upstream.admit(&NO_PREFERENCE, &[], AdmissionToken::Due, now);
        let begun: Vec<Lease> = std::iter::from_fn(|| begin(now).ok()).take(99).collect();
        assert_eq!(begun.len(), expected);
        let Err(Wait::ForTurn(next)) = begin(now) else { panic!("a rate is used up") };
        assert!(now < next && next <= now + Duration::from_secs(1));
        assert!(begin(next).is_ok());
    };
    check(rate(5), None, 5);
    check(None, rate(5), 10);
    check(rate(7), rate(5), 7);
    check(rate(50), rate(5), 10);
}

#[test]
fn nobody_passes_those_who_wait() {
    let upstream = upstream(&[("a", 1)]);
    let now = Instant::now();
    let held = upstream.enqueue(now).unwrap();
    assert!(matches!(
        upstream.admit(&NO_PREFERENCE, &[], AdmissionToken::Due, now),
        Err(Wait::ForTurn(_))
    ));
    assert!(held.has_turn());
    assert!(upstream.admit_first(&NO_PREFERENCE, &[], AdmissionToken::Due, now).is_ok());
    drop(held);
    assert!(upstream.admit(&NO_PREFERENCE, &[], AdmissionToken::Due, now).is_ok());
}

#[test]
fn one_at_a_time_finds_out_whether_a_node_is_back() {
    let upstream = upstream(&[("a", 1)]);
    let now = Instant::now();
    upstream.nodes()[0].connect_failures().failed(now, now);
    let probe = upstream.probe();
    assert!(probe.is_some() && upstream.probe().is_none());
    assert!(upstream.admit_on_avoided(&[], AdmissionToken::Due, now).is_some());
    drop(probe);
    assert!(upstream.probe().is_some());
}
