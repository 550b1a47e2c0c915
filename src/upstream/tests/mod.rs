//! Which node of an upstream a new session gets.

mod admission;
mod reload;

use std::net::SocketAddr;

use super::*;

/// A node that nobody connects to.
pub(super) fn node(name: &str) -> Arc<Node> {
    Arc::new(Node::new(&node_settings(name, 1)))
}

/// A node that listens at `address`.
pub(crate) fn node_at(address: SocketAddr) -> Arc<Node> {
    let host = NodeAddress { host: address.ip().to_string().into(), port: address.port() };
    Arc::new(Node::new(&NodeSettings::new(&address.to_string(), host)))
}

pub(crate) fn node_settings(name: &str, weight: u32) -> NodeSettings {
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

const NO_PREFERENCE: NodePreference = NodePreference { order: Vec::new(), key: None };

fn prefer(order: &[Arc<Node>]) -> NodePreference {
    NodePreference { order: order.to_vec(), key: None }
}

fn name_of(lease: &Lease) -> &str {
    lease.node().name()
}

#[test]
fn new_sessions_go_to_the_least_loaded_node() {
    let upstream = upstream(&[("a", 1), ("b", 2), ("c", 1)]);
    let now = Instant::now();
    let leases: Vec<Lease> =
        (0..8).map(|_| upstream.lease(&NO_PREFERENCE, &[], now).unwrap()).collect();
    let count = |name| leases.iter().filter(|lease| name_of(lease) == name).count();
    assert_eq!((count("a"), count("b"), count("c")), (2, 4, 2));
}

#[test]
fn a_tried_node_is_not_tried_again() {
    let upstream = upstream(&[("a", 1), ("b", 1)]);
    let now = Instant::now();
    let first = upstream.lease(&NO_PREFERENCE, &[], now).unwrap().node().clone();
    let second =
        upstream.lease(&NO_PREFERENCE, std::slice::from_ref(&first), now).unwrap().node().clone();
    assert!(!Arc::ptr_eq(&first, &second));

    let tried = [first, second];
    let error = upstream.lease(&NO_PREFERENCE, &tried, now).unwrap_err();
    assert_eq!(error.to_string(), "all nodes of upstream chat were tried");
    assert!(upstream.lease(&prefer(upstream.nodes()), &tried, now).is_err());
}

#[test]
fn a_node_whose_last_connect_failed_gets_no_new_session() {
    let upstream = upstream(&[("a", 1), ("b", 1)]);
    let now = Instant::now();
    upstream.nodes()[0].connect_failures().failed(now, now);

    let leases: Vec<Lease> =
        (0..5).map(|_| upstream.lease(&NO_PREFERENCE, &[], now).unwrap()).collect();
    assert!(leases.iter().all(|lease| name_of(lease) == "b"));
    let preferred = upstream.lease(&prefer(upstream.nodes()), &[], now).unwrap();
    assert_eq!(name_of(&preferred), "b");
    assert_eq!(name_of(&upstream.lease_on(&upstream.nodes()[0])), "a", "bound requests go on");

    let later = now + Duration::from_secs(1);
    assert_eq!(name_of(&upstream.lease(&NO_PREFERENCE, &[], later).unwrap()), "a");
}

#[test]
fn where_all_are_avoided_the_one_that_failed_first_is_tried() {
    let upstream = upstream(&[("a", 1), ("b", 1), ("c", 1)]);
    let now = Instant::now();
    for (node, millis) in upstream.nodes().iter().zip([20, 10, 30]) {
        let then = now + Duration::from_millis(millis);
        node.connect_failures().failed(then, then);
    }
    let later = now + Duration::from_millis(40);

    let mut tried = Vec::new();
    for expected in ["b", "a", "c"] {
        let preferred = upstream.lease(&prefer(upstream.nodes()), &tried, later).unwrap();
        assert_eq!(name_of(&preferred), expected);
        let lease = upstream.lease(&NO_PREFERENCE, &tried, later).unwrap();
        assert_eq!(name_of(&lease), expected);
        tried.push(lease.node().clone());
    }
    assert!(upstream.lease(&NO_PREFERENCE, &tried, later).is_err());
}

#[test]
fn a_preference_counts_more_than_load() {
    let upstream = upstream(&[("a", 1), ("b", 1)]);
    let now = Instant::now();
    let order = [upstream.nodes()[1].clone(), upstream.nodes()[0].clone()];
    let first = upstream.lease(&prefer(&order), &[], now).unwrap();
    let second = upstream.lease(&prefer(&order), &[], now).unwrap();
    assert_eq!((name_of(&first), name_of(&second)), ("b", "b"));
    let other = upstream.lease(&prefer(&order), &order[..1], now).unwrap();
    assert_eq!(name_of(&other), "a");
}

#[test]
fn a_node_that_drains_fails_or_is_ejected_gets_no_new_session() {
    fn check(holds: impl Fn(&Node, Instant)) {
        let upstream = upstream(&[("a", 1), ("b", 1)]);
        let now = Instant::now();
        holds(&upstream.nodes()[0], now);
        for _ in 0..9 {
            let preference = prefer(upstream.nodes());
            assert_eq!(
                name_of(&upstream.admit(&preference, &[], AdmissionToken::Due, now).unwrap()),
                "b"
            );
            assert_eq!(name_of(&upstream.lease(&NO_PREFERENCE, &[], now).unwrap()), "b");
        }
        let only = &upstream.nodes()[1..];
        assert_eq!(
            upstream.admit(&NO_PREFERENCE, only, AdmissionToken::Due, now).unwrap_err(),
            Wait::ForNode
        );
        let last_resort = upstream.lease(&NO_PREFERENCE, only, now).unwrap();
        assert_eq!(name_of(&last_resort), "a", "a request that begins nothing may go there");
        assert_eq!(name_of(&upstream.lease_on(&upstream.nodes()[0])), "a", "it has sessions");
    }
    check(|node, now| _ = node.set_drain(DrainCause::Ordered, true, now));
    check(|node, now| _ = node.availability().set_failing(true, now));
    check(|node, now| node.availability().eject(now + Duration::from_secs(1)));
    check(|node, now| node.connect_failures().failed(now, now));
}

#[test]
fn a_full_node_gets_no_new_session() {
    let mut full = settings(&[("a", 1), ("b", 1)]);
    full.max_connections = std::num::NonZeroU32::new(2);
    let upstream = Upstream::new(&full, None);
    let now = Instant::now();
    let mut leases: Vec<Lease> = (0..4)
        .map(|_| upstream.admit(&NO_PREFERENCE, &[], AdmissionToken::Due, now).unwrap())
        .collect();
    assert_eq!(
        upstream.admit(&NO_PREFERENCE, &[], AdmissionToken::Due, now).unwrap_err(),
        Wait::ForNode
    );
    assert!(upstream.admit_on_avoided(&[], AdmissionToken::Due, now).is_none());
    leases.pop();
    assert!(upstream.admit(&NO_PREFERENCE, &[], AdmissionToken::Due, now).is_ok());
}

#[test]
fn a_node_that_comes_gets_a_small_share_at_first() {
    let old = upstream(&[("a", 1)]);
    let new = Upstream::new(&settings(&[("a", 1), ("b", 1)]), Some(&old));
    let now = Instant::now();
    let at_first: Vec<Lease> = (0..110)
        .map(|_| new.admit(&NO_PREFERENCE, &[], AdmissionToken::Due, now).unwrap())
        .collect();
    let to_b = at_first.iter().filter(|lease| name_of(lease) == "b").count();
    // A tenth of a half of them.
    assert!(to_b <= 20, "{to_b}");
    drop(at_first);

    let later = now + Settings::SLOW_START;
    let then: Vec<Lease> = (0..110)
        .map(|_| new.admit(&NO_PREFERENCE, &[], AdmissionToken::Due, later).unwrap())
        .collect();
    let to_b = then.iter().filter(|lease| name_of(lease) == "b").count();
    assert_eq!(to_b, 55);
}

#[test]
fn a_key_prefers_its_node_within_the_bound() {
    let mut by_key = settings(&[("a", 1), ("b", 1), ("c", 1)]);
    by_key.balance = settings::Balance::Rendezvous(RendezvousKey::Address);
    let upstream = Upstream::new(&by_key, None);
    let now = Instant::now();
    let by_address = NodePreference { order: Vec::new(), key: Some(Box::from(*b"10.0.0.1")) };
    let held: Vec<Lease> = (0..60)
        .map(|_| upstream.admit(&by_address, &[], AdmissionToken::Due, now).unwrap())
        .collect();
    let first = name_of(&held[0]);
    assert!(held[..9].iter().all(|lease| name_of(lease) == first), "a few are no load");
    // A third of sixty, and eight more.
    assert_eq!(held.iter().filter(|lease| name_of(lease) == first).count(), 28);
    drop(held);
    let names: Vec<String> = (0..9)
        .map(|_| {
            name_of(&upstream.admit(&by_address, &[], AdmissionToken::Due, now).unwrap()).to_owned()
        })
        .collect();
    assert!(names.iter().all(|name| *name == names[0]), "{names:?}");
}
