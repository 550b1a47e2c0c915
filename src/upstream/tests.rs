//! Leases on the nodes of an upstream, and what a reload keeps of it.

use std::net::SocketAddr;

use super::*;

/// A node that nobody connects to.
pub(super) fn node(name: &str) -> Arc<Node> {
    Arc::new(Node::new(&node_settings(name, 1)))
}

/// A node that listens at `address`.
pub(super) fn node_at(address: SocketAddr) -> Arc<Node> {
    let host = NodeAddress { host: address.ip().to_string().into(), port: address.port() };
    Arc::new(Node::new(&NodeSettings::new(&address.to_string(), host)))
}

fn node_settings(name: &str, weight: u32) -> NodeSettings {
    let address = NodeAddress { host: name.into(), port: 3000 };
    NodeSettings { weight, ..NodeSettings::new(name, address) }
}

fn settings(nodes: &[(&str, u32)]) -> Settings {
    let nodes = nodes.iter().map(|&(name, weight)| node_settings(name, weight));
    Settings::new("chat", nodes.collect())
}

fn upstream(nodes: &[(&str, u32)]) -> Upstream {
    Upstream::new(&settings(nodes), None)
}

fn prefer(order: &[Arc<Node>]) -> Wish<'_> {
    Wish { order, key: None }
}

fn name_of(lease: &Lease) -> &str {
    lease.node().name()
}

#[test]
fn new_sessions_go_to_the_least_loaded_node() {
    let upstream = upstream(&[("a", 1), ("b", 2), ("c", 1)]);
    let now = Instant::now();
    let leases: Vec<Lease> =
        (0..8).map(|_| upstream.lease(Wish::default(), &[], now).unwrap()).collect();
    let count = |name| leases.iter().filter(|lease| name_of(lease) == name).count();
    assert_eq!((count("a"), count("b"), count("c")), (2, 4, 2));
}

#[test]
fn a_tried_node_is_not_tried_again() {
    let upstream = upstream(&[("a", 1), ("b", 1)]);
    let now = Instant::now();
    let first = upstream.lease(Wish::default(), &[], now).unwrap().node().clone();
    let second =
        upstream.lease(Wish::default(), std::slice::from_ref(&first), now).unwrap().node().clone();
    assert!(!Arc::ptr_eq(&first, &second));

    let tried = [first, second];
    let error = upstream.lease(Wish::default(), &tried, now).unwrap_err();
    assert_eq!(error.to_string(), "all nodes of upstream chat were tried");
    assert!(upstream.lease(prefer(upstream.nodes()), &tried, now).is_err());
}

#[test]
fn a_node_whose_last_connect_failed_gets_no_new_session() {
    let upstream = upstream(&[("a", 1), ("b", 1)]);
    let now = Instant::now();
    upstream.nodes()[0].reach().failed(now, now);

    let leases: Vec<Lease> =
        (0..5).map(|_| upstream.lease(Wish::default(), &[], now).unwrap()).collect();
    assert!(leases.iter().all(|lease| name_of(lease) == "b"));
    let preferred = upstream.lease(prefer(upstream.nodes()), &[], now).unwrap();
    assert_eq!(name_of(&preferred), "b");
    assert_eq!(name_of(&upstream.lease_on(&upstream.nodes()[0])), "a", "bound requests go on");

    let later = now + Duration::from_secs(1);
    assert_eq!(name_of(&upstream.lease(Wish::default(), &[], later).unwrap()), "a");
}

#[test]
fn where_all_are_avoided_the_one_that_failed_first_is_tried() {
    let upstream = upstream(&[("a", 1), ("b", 1), ("c", 1)]);
    let now = Instant::now();
    for (node, millis) in upstream.nodes().iter().zip([20, 10, 30]) {
        let then = now + Duration::from_millis(millis);
        node.reach().failed(then, then);
    }
    let later = now + Duration::from_millis(40);

    let mut tried = Vec::new();
    for expected in ["b", "a", "c"] {
        let preferred = upstream.lease(prefer(upstream.nodes()), &tried, later).unwrap();
        assert_eq!(name_of(&preferred), expected);
        let lease = upstream.lease(Wish::default(), &tried, later).unwrap();
        assert_eq!(name_of(&lease), expected);
        tried.push(lease.node().clone());
    }
    assert!(upstream.lease(Wish::default(), &tried, later).is_err());
}

#[test]
fn a_preference_counts_more_than_load() {
    let upstream = upstream(&[("a", 1), ("b", 1)]);
    let now = Instant::now();
    let order = [upstream.nodes()[1].clone(), upstream.nodes()[0].clone()];
    let first = upstream.lease(prefer(&order), &[], now).unwrap();
    let second = upstream.lease(prefer(&order), &[], now).unwrap();
    assert_eq!((name_of(&first), name_of(&second)), ("b", "b"));
    let other = upstream.lease(prefer(&order), &order[..1], now).unwrap();
    assert_eq!(name_of(&other), "a");
}

#[test]
fn an_unchanged_node_is_carried_over_as_it_is() {
    let old = upstream(&[("a", 1), ("b", 1)]);
    let new = Upstream::new(&settings(&[("b", 1), ("c", 1)]), Some(&old));
    assert!(Arc::ptr_eq(new.node("b").unwrap(), old.node("b").unwrap()));
    assert!(new.node("a").is_none());
    assert!(old.node("c").is_none());
}

#[test]
fn a_node_of_another_weight_is_carried_over_with_what_is_known_of_it() {
    let old = upstream(&[("a", 1)]);
    let now = Instant::now();
    let _lease = old.lease(Wish::default(), &[], now).unwrap().into_tunnel();
    old.nodes()[0].reach().failed(now, now);

    let new = Upstream::new(&settings(&[("a", 5)]), Some(&old));
    let node = new.node("a").unwrap();
    assert_eq!((node.weight(), old.nodes()[0].weight()), (5, 1));
    assert_eq!(node.tunnels(), 1);
    assert!(node.is_avoided(now));
    assert_eq!(node.identity(), old.nodes()[0].identity());
}

#[test]
fn a_node_that_moved_is_another_process() {
    let old = upstream(&[("a", 1)]);
    let now = Instant::now();
    let _lease = old.lease(Wish::default(), &[], now).unwrap();
    old.nodes()[0].reach().failed(now, now);

    let mut moved = settings(&[("a", 1)]);
    moved.nodes[0].address.port = 3001;
    let new = Upstream::new(&moved, Some(&old));
    let node = new.node("a").unwrap();
    assert_eq!(node.exchanges(), 0);
    assert!(!node.is_avoided(now));
    assert_ne!(node.identity(), old.nodes()[0].identity());
    assert_eq!(new.state(node, now).label(), "starting");
}

#[test]
fn the_process_that_a_name_leaves_is_known_on_as_retired() {
    let old = upstream(&[("a", 1), ("b", 1)]);
    let former = old.nodes()[0].clone();
    let now = Instant::now();
    former.set_drain(DrainCause::Ordered, true, now);
    let mut moved = settings(&[("a", 1), ("b", 1)]);
    moved.nodes[0].address.port = 3001;
    let new = Upstream::new(&moved, Some(&old));
    new.enact(now);
    let [retired] = new.retired() else { panic!("{:?}", new.retired()) };
    assert!(Arc::ptr_eq(&retired.node, &former));
    assert!(former.drain_causes().any(|cause| cause == DrainCause::Left));
    let causes: Vec<DrainCause> = new.node("a").unwrap().drain_causes().collect();
    assert_eq!(causes, [DrainCause::Ordered], "an order is for the name");

    let back = Upstream::new(&settings(&[("a", 1), ("b", 1)]), Some(&new));
    assert_eq!(back.node("a").unwrap().identity(), former.identity());
    let [retired] = back.retired() else { panic!("{:?}", back.retired()) };
    assert_eq!(retired.node.identity(), new.node("a").unwrap().identity());
}

#[test]
fn the_address_that_dns_tells_for_a_name_comes_and_goes() {
    let at = |host: &str| {
        let mut settings = settings(&[("n1.test:3000", 1)]);
        settings.nodes[0].address.host = host.into();
        settings
    };
    let told = Upstream::new(&at("10.0.0.9"), None);
    let untold = Upstream::new(&at("n1.test"), Some(&told));
    let again = Upstream::new(&at("10.0.0.9"), Some(&untold));
    for next in [&untold, &again] {
        assert_eq!(next.nodes()[0].identity(), told.nodes()[0].identity());
        assert!(next.retired().is_empty());
    }
    let other = Upstream::new(&at("10.0.0.8"), Some(&again));
    assert_ne!(other.nodes()[0].identity(), told.nodes()[0].identity());
}

#[test]
fn of_an_upstream_that_leaves_its_nodes_are_left_to_be_emptied() {
    let old = upstream(&[("a", 1), ("b", 1)]);
    let leaving = Upstream::leaving(&old).unwrap();
    leaving.enact(Instant::now());
    assert!(leaving.nodes().is_empty() && old.nodes().iter().all(|node| node.is_draining()));
    assert_eq!(leaving.retired().len(), 2);
    let back = Upstream::new(&settings(&[("a", 1), ("b", 1)]), Some(&leaving));
    back.enact(Instant::now());
    assert!(old.nodes().iter().all(|node| !node.is_draining()));
}

#[test]
fn a_node_that_left_is_retired_and_gets_no_new_session() {
    let old = upstream(&[("a", 1), ("b", 1)]);
    let left = old.node("a").unwrap().clone();
    let new = Upstream::new(&settings(&[("b", 1)]), Some(&old));

    assert!(!left.is_draining(), "not before the new one is in force");
    new.enact(Instant::now());
    let causes: Vec<DrainCause> = left.drain_causes().collect();
    assert_eq!(causes, [DrainCause::Left]);
    let [retired] = new.retired() else { panic!("{:?}", new.retired()) };
    assert!(Arc::ptr_eq(&retired.node, &left));
    assert!(retired.until > Instant::now() + Duration::from_mins(5));
    assert!(Arc::ptr_eq(new.lease_on(&left).node(), &left));
    for _ in 0..10 {
        assert_eq!(name_of(&new.lease(Wish::default(), &[], Instant::now()).unwrap()), "b");
    }

    let later = Upstream::new(&settings(&[("c", 1)]), Some(&new));
    let names: Vec<&str> = later.retired().iter().map(|left| &**left.node.name()).collect();
    assert_eq!(names, ["b", "a"]);
    let back = Upstream::new(&settings(&[("a", 1), ("c", 1)]), Some(&later));
    assert!(Arc::ptr_eq(back.node("a").unwrap(), &left), "all that is known of it stays");
    back.enact(Instant::now());
    assert!(!left.is_draining());
}

#[tokio::test(start_paused = true)]
async fn a_retired_node_is_forgotten_by_the_first_reload_after_its_time() {
    let old = upstream(&[("a", 1), ("b", 1)]);
    let new = Upstream::new(&settings(&[("b", 1)]), Some(&old));
    tokio::time::advance(Duration::from_mins(10)).await;
    let later = Upstream::new(&settings(&[("b", 1)]), Some(&new));
    assert!(later.retired().is_empty());
}

#[test]
fn a_node_that_drains_fails_or_is_ejected_gets_no_new_session() {
    fn check(holds: impl Fn(&Node, Instant)) {
        let upstream = upstream(&[("a", 1), ("b", 1)]);
        let now = Instant::now();
        holds(&upstream.nodes()[0], now);
        for _ in 0..9 {
            let wish = prefer(upstream.nodes());
            assert_eq!(name_of(&upstream.begin(wish, &[], AdmissionToken::Due, now).unwrap()), "b");
            assert_eq!(name_of(&upstream.lease(Wish::default(), &[], now).unwrap()), "b");
        }
        let only = &upstream.nodes()[1..];
        assert_eq!(
            upstream.begin(Wish::default(), only, AdmissionToken::Due, now).unwrap_err(),
            Wait::ForNode
        );
        let last_resort = upstream.lease(Wish::default(), only, now).unwrap();
        assert_eq!(name_of(&last_resort), "a", "a request that begins nothing may go there");
        assert_eq!(name_of(&upstream.lease_on(&upstream.nodes()[0])), "a", "it has sessions");
    }
    check(|node, now| _ = node.set_drain(DrainCause::Ordered, true, now));
    check(|node, now| _ = node.standing().set_failing(true, now));
    check(|node, now| node.standing().eject(now + Duration::from_secs(1)));
    check(|node, now| node.reach().failed(now, now));
}

#[test]
fn a_full_node_gets_no_new_session() {
    let mut full = settings(&[("a", 1), ("b", 1)]);
    full.max_connections = std::num::NonZeroU32::new(2);
    let upstream = Upstream::new(&full, None);
    let now = Instant::now();
    let mut leases: Vec<Lease> = (0..4)
        .map(|_| upstream.begin(Wish::default(), &[], AdmissionToken::Due, now).unwrap())
        .collect();
    assert_eq!(
        upstream.begin(Wish::default(), &[], AdmissionToken::Due, now).unwrap_err(),
        Wait::ForNode
    );
    assert!(upstream.begin_anyway(&[], AdmissionToken::Due, now).is_none());
    leases.pop();
    assert!(upstream.begin(Wish::default(), &[], AdmissionToken::Due, now).is_ok());
}

#[test]
fn a_node_that_comes_gets_a_small_share_at_first() {
    let old = upstream(&[("a", 1)]);
    let new = Upstream::new(&settings(&[("a", 1), ("b", 1)]), Some(&old));
    let now = Instant::now();
    let at_first: Vec<Lease> = (0..110)
        .map(|_| new.begin(Wish::default(), &[], AdmissionToken::Due, now).unwrap())
        .collect();
    let to_b = at_first.iter().filter(|lease| name_of(lease) == "b").count();
    // A tenth of a half of them.
    assert!(to_b <= 20, "{to_b}");
    drop(at_first);

    let later = now + Settings::SLOW_START;
    let then: Vec<Lease> = (0..110)
        .map(|_| new.begin(Wish::default(), &[], AdmissionToken::Due, later).unwrap())
        .collect();
    let to_b = then.iter().filter(|lease| name_of(lease) == "b").count();
    assert_eq!(to_b, 55);
}

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
        let begin = |now| upstream.begin(Wish::default(), &[], AdmissionToken::Due, now);
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
fn what_was_taken_at_one_rate_does_not_stop_sessions_at_another() {
    let rate = |per_second, burst| {
        let number = |number| std::num::NonZeroU32::new(number).unwrap();
        Some(settings::Rate { per_second: number(per_second), burst: number(burst) })
    };
    let check = |set: fn(&mut settings::Admission, Option<settings::Rate>)| {
        let with = |rate| {
            let mut paced = settings(&[("a", 1)]);
            set(&mut paced.admission, rate);
            paced
        };
        let now = Instant::now() + Duration::from_secs(1);
        let begin = |upstream: &Upstream| {
            upstream.begin(Wish::default(), &[], AdmissionToken::Due, now).is_ok()
        };
        let slow = Upstream::new(&with(rate(10, 300)), None);
        slow.enact(now);
        assert_eq!((0..400).filter(|_| begin(&slow)).count(), 300);
        let fast = Upstream::new(&with(rate(1000, 1000)), Some(&slow));
        assert!(!begin(&slow), "nothing changes before it is in force");
        fast.enact(now);
        assert_eq!((0..2000).filter(|_| begin(&fast)).count(), 700);
        let slow = Upstream::new(&with(rate(10, 10)), Some(&fast));
        slow.enact(now);
        let Err(Wait::ForTurn(next)) = slow.begin(Wish::default(), &[], AdmissionToken::Due, now)
        else {
            panic!("all of them were taken")
        };
        assert!(next <= now + Duration::from_millis(100), "and no more than all");
    };
    check(|admission, rate| admission.rate = rate);
    check(|admission, rate| admission.node_rate = rate);
}

#[test]
fn what_is_not_looked_for_any_more_is_not_held_against_a_node() {
    let mut before = settings(&[("a", 1)]);
    before.slow_start = Some(Duration::from_secs(1));
    let old = Upstream::new(&before, None);
    let now = Instant::now() + Duration::from_mins(1);
    old.enact(now);
    let node = &old.nodes()[0];
    node.standing().rises(now - Duration::from_secs(2));
    node.standing().eject(now + Duration::from_secs(9));
    node.set_drain(DrainCause::Asked, true, now);

    let mut after = before.clone();
    after.health.eject_after = None;
    let new = Upstream::new(&after, Some(&old));
    new.enact(now);
    assert_eq!((node.ejected_until(now), node.is_draining()), (None, false));

    let later = now + Duration::from_secs(2);
    assert_eq!(new.state(node, later).label(), "up");
    after.slow_start = Some(Duration::from_mins(10));
    let slower = Upstream::new(&after, Some(&new));
    slower.enact(later);
    assert_eq!(slower.state(node, later).label(), "up", "it had its full share");
}

#[test]
fn nobody_passes_those_who_wait() {
    let upstream = upstream(&[("a", 1)]);
    let now = Instant::now();
    let held = upstream.hold(now).unwrap();
    assert!(matches!(
        upstream.begin(Wish::default(), &[], AdmissionToken::Due, now),
        Err(Wait::ForTurn(_))
    ));
    assert!(held.has_turn());
    assert!(upstream.begin_first(Wish::default(), &[], AdmissionToken::Due, now).is_ok());
    drop(held);
    assert!(upstream.begin(Wish::default(), &[], AdmissionToken::Due, now).is_ok());
}

#[test]
fn one_at_a_time_finds_out_whether_a_node_is_back() {
    let upstream = upstream(&[("a", 1)]);
    let now = Instant::now();
    upstream.nodes()[0].reach().failed(now, now);
    let probe = upstream.probe();
    assert!(probe.is_some() && upstream.probe().is_none());
    assert!(upstream.begin_anyway(&[], AdmissionToken::Due, now).is_some());
    drop(probe);
    assert!(upstream.probe().is_some());
}

#[test]
fn a_key_prefers_its_node_within_the_bound() {
    let mut by_key = settings(&[("a", 1), ("b", 1), ("c", 1)]);
    by_key.balance = settings::Balance::Rendezvous(RendezvousKey::Address);
    let upstream = Upstream::new(&by_key, None);
    let now = Instant::now();
    let wish = |key: &'static [u8]| Wish { order: &[], key: Some(key) };
    let held: Vec<Lease> = (0..60)
        .map(|_| upstream.begin(wish(b"10.0.0.1"), &[], AdmissionToken::Due, now).unwrap())
        .collect();
    let first = name_of(&held[0]);
    assert!(held[..9].iter().all(|lease| name_of(lease) == first), "a few are no load");
    // A third of sixty, and eight more.
    assert_eq!(held.iter().filter(|lease| name_of(lease) == first).count(), 28);
    drop(held);
    let names: Vec<String> = (0..9)
        .map(|_| {
            name_of(&upstream.begin(wish(b"10.0.0.1"), &[], AdmissionToken::Due, now).unwrap())
                .to_owned()
        })
        .collect();
    assert!(names.iter().all(|name| *name == names[0]), "{names:?}");
}
