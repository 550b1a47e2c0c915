//! What a reload keeps of an upstream and its nodes.

use super::*;

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
    let _lease = old.lease(&NO_PREFERENCE, &[], now).unwrap().into_tunnel();
    old.nodes()[0].connect_failures().failed(now, now);

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
    let _lease = old.lease(&NO_PREFERENCE, &[], now).unwrap();
    old.nodes()[0].connect_failures().failed(now, now);

    let mut moved = settings(&[("a", 1)]);
    moved.nodes[0].address = NodeAddress { host: "a".into(), port: 3001 }.into();
    let new = Upstream::new(&moved, Some(&old));
    let node = new.node("a").unwrap();
    assert_eq!(node.exchanges(), 0);
    assert!(!node.is_avoided(now));
    assert_ne!(node.identity(), old.nodes()[0].identity());
    assert_eq!(new.state(node, now).label(), "starting");
}

#[test]
fn a_process_whose_name_moved_stays_known_as_retired() {
    let old = upstream(&[("a", 1), ("b", 1)]);
    let former = old.nodes()[0].clone();
    let now = Instant::now();
    former.set_drain(DrainCause::Ordered, true, now);
    let mut moved = settings(&[("a", 1), ("b", 1)]);
    moved.nodes[0].address = NodeAddress { host: "a".into(), port: 3001 }.into();
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
        settings.nodes[0].address = NodeAddress { host: host.into(), port: 3000 }.into();
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
        assert_eq!(name_of(&new.lease(&NO_PREFERENCE, &[], Instant::now()).unwrap()), "b");
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
            upstream.admit(&NO_PREFERENCE, &[], AdmissionToken::Due, now).is_ok()
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
        let Err(Wait::ForTurn(next)) = slow.admit(&NO_PREFERENCE, &[], AdmissionToken::Due, now)
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
    node.availability().begin_slow_start(now - Duration::from_secs(2));
    node.availability().eject(now + Duration::from_secs(9));
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
