//! Leases on the nodes of an upstream, and what a reload keeps of it.

use std::net::SocketAddr;

use super::*;
use crate::engineio::Timings;

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

fn name_of(lease: &Lease) -> &str {
    lease.node().name()
}

#[test]
fn new_sessions_go_to_the_least_loaded_node() {
    let upstream = upstream(&[("a", 1), ("b", 2), ("c", 1)]);
    let now = Instant::now();
    let leases: Vec<Lease> = (0..8).map(|_| upstream.lease(&[], now).unwrap()).collect();
    let count = |name| leases.iter().filter(|lease| name_of(lease) == name).count();
    assert_eq!((count("a"), count("b"), count("c")), (2, 4, 2));
}

#[test]
fn a_tried_node_is_not_tried_again() {
    let upstream = upstream(&[("a", 1), ("b", 1)]);
    let now = Instant::now();
    let first = upstream.lease(&[], now).unwrap().node().clone();
    let second = upstream.lease(std::slice::from_ref(&first), now).unwrap().node().clone();
    assert!(!Arc::ptr_eq(&first, &second));

    let tried = [first, second];
    let error = upstream.lease(&tried, now).unwrap_err();
    assert_eq!(error.to_string(), "all nodes of upstream chat were tried");
    assert!(upstream.lease_preferred(upstream.nodes(), &tried, now).is_err());
}

#[test]
fn a_node_whose_last_connect_failed_gets_no_new_session() {
    let upstream = upstream(&[("a", 1), ("b", 1)]);
    let now = Instant::now();
    upstream.nodes()[0].reach().failed(now);

    let leases: Vec<Lease> = (0..5).map(|_| upstream.lease(&[], now).unwrap()).collect();
    assert!(leases.iter().all(|lease| name_of(lease) == "b"));
    let preferred = upstream.lease_preferred(upstream.nodes(), &[], now).unwrap();
    assert_eq!(name_of(&preferred), "b");
    assert_eq!(name_of(&upstream.lease_on(&upstream.nodes()[0])), "a", "bound requests go on");

    let later = now + Duration::from_secs(1);
    assert_eq!(name_of(&upstream.lease(&[], later).unwrap()), "a");
}

#[test]
fn where_all_are_avoided_the_one_that_failed_first_is_tried() {
    let upstream = upstream(&[("a", 1), ("b", 1), ("c", 1)]);
    let now = Instant::now();
    for (node, millis) in upstream.nodes().iter().zip([20, 10, 30]) {
        node.reach().failed(now + Duration::from_millis(millis));
    }
    let later = now + Duration::from_millis(40);

    let mut tried = Vec::new();
    for expected in ["b", "a", "c"] {
        let preferred = upstream.lease_preferred(upstream.nodes(), &tried, later).unwrap();
        assert_eq!(name_of(&preferred), expected);
        let lease = upstream.lease(&tried, later).unwrap();
        assert_eq!(name_of(&lease), expected);
        tried.push(lease.node().clone());
    }
    assert!(upstream.lease(&tried, later).is_err());
}

#[test]
fn a_preference_counts_more_than_load() {
    let upstream = upstream(&[("a", 1), ("b", 1)]);
    let now = Instant::now();
    let order = [upstream.nodes()[1].clone(), upstream.nodes()[0].clone()];
    let first = upstream.lease_preferred(&order, &[], now).unwrap();
    let second = upstream.lease_preferred(&order, &[], now).unwrap();
    assert_eq!((name_of(&first), name_of(&second)), ("b", "b"));
    let other = upstream.lease_preferred(&order, &order[..1], now).unwrap();
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
    let _lease = old.lease(&[], now).unwrap().into_tunnel();
    old.nodes()[0].reach().failed(now);
    let timings = Timings { ping_interval: Duration::from_secs(3), ..Timings::DEFAULT };
    old.nodes()[0].learned().set(timings);

    let new = Upstream::new(&settings(&[("a", 5)]), Some(&old));
    let node = new.node("a").unwrap();
    assert_eq!((node.weight(), old.nodes()[0].weight()), (5, 1));
    assert_eq!(node.tunnels(), 1);
    assert!(node.is_avoided(now));
    assert_eq!(node.learned().timings(), timings);
    assert_eq!(node.identity(), old.nodes()[0].identity());
}

#[test]
fn a_node_that_moved_is_another_process() {
    let old = upstream(&[("a", 1)]);
    let now = Instant::now();
    let _lease = old.lease(&[], now).unwrap();
    old.nodes()[0].reach().failed(now);

    let mut moved = settings(&[("a", 1)]);
    moved.nodes[0].address.port = 3001;
    let new = Upstream::new(&moved, Some(&old));
    let node = new.node("a").unwrap();
    assert_eq!(node.exchanges(), 0);
    assert!(!node.is_avoided(now));
    assert_ne!(node.identity(), old.nodes()[0].identity());
}

#[test]
fn a_node_that_left_is_retired_and_gets_no_new_session() {
    let old = upstream(&[("a", 1), ("b", 1)]);
    let left = old.node("a").unwrap().clone();
    let new = Upstream::new(&settings(&[("b", 1)]), Some(&old));

    let [retired] = new.retired() else { panic!("{:?}", new.retired()) };
    assert!(Arc::ptr_eq(&retired.node, &left));
    assert!(retired.until > Instant::now() + RETIREMENT / 2);
    assert!(Arc::ptr_eq(new.lease_on(&left).node(), &left));
    for _ in 0..10 {
        assert_eq!(name_of(&new.lease(&[], Instant::now()).unwrap()), "b");
    }

    let later = Upstream::new(&settings(&[("c", 1)]), Some(&new));
    let names: Vec<&str> = later.retired().iter().map(|left| &**left.node.name()).collect();
    assert_eq!(names, ["b", "a"]);
    let back = Upstream::new(&settings(&[("a", 1), ("c", 1)]), Some(&later));
    assert!(Arc::ptr_eq(back.node("a").unwrap(), &left), "all that is known of it stays");
}

#[tokio::test(start_paused = true)]
async fn a_retired_node_is_forgotten_by_the_first_reload_after_its_time() {
    let old = upstream(&[("a", 1), ("b", 1)]);
    let new = Upstream::new(&settings(&[("b", 1)]), Some(&old));
    tokio::time::advance(RETIREMENT).await;
    let later = Upstream::new(&settings(&[("b", 1)]), Some(&new));
    assert!(later.retired().is_empty());
}
