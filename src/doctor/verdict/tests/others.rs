//! Pages of other origins, HTTP/2, messages between nodes, nodes that differ, and advice.

use super::*;
use crate::doctor::measured::{Arrival, Arrived, Cors, Http2, Memory, RoomPair, Rooms};
use crate::doctor::observations::ForeignSession;

#[test]
fn cors_is_judged_by_the_origin_that_the_operator_names() {
    let cors = |values: &[&str], origin: Option<&str>| {
        let values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
        let origin = origin.map(str::to_owned);
        move |seen: &mut Observations| {
            seen.cors = Some(Cors { allow_origin: values, status: 200, ..Cors::default() });
            seen.origin = origin;
        }
    };
    let page = Some("https://app.example");
    check(cors(&[], None), &[]);
    check(cors(&["https://other.example"], None), &[]);
    check(cors(&["https://app.example"], page), &[]);
    check(cors(&["*"], page), &[]);
    check(cors(&[], page), &[(Fault::CorsMissing, Party::Node)]);
    check(cors(&["https://other.example"], page), &[(Fault::CorsMissing, Party::Node)]);
    check(cors(&["*", "*"], None), &[(Fault::CorsTwice, Party::Proxy)]);
    check(cors(&["*, https://app.example"], page), &[(Fault::CorsTwice, Party::Proxy)]);
}

#[test]
fn http2_that_is_chosen_has_to_work() {
    let http2 = |handshake, extended_connect, websocket| {
        move |seen: &mut Observations| {
            seen.http2 =
                Some(Http2 { chosen: true, handshake, extended_connect, websocket, fault: None });
        }
    };
    check(http2(Some(200), false, None), &[]);
    check(http2(Some(200), true, Some(200)), &[]);
    check(http2(Some(200), true, Some(405)), &[(Fault::Http2Broken, Party::Proxy)]);
    check(http2(Some(502), false, None), &[(Fault::Http2Broken, Party::Proxy)]);
    check(http2(None, false, None), &[(Fault::Http2Broken, Party::Proxy)]);
}

#[test]
fn the_pairs_between_which_messages_are_lost_show_the_adapter() {
    let rooms = |nodes: usize, pair: fn(usize, usize) -> (u32, u32, u64)| {
        move |seen: &mut Observations| {
            let pairs = (0..nodes).flat_map(|from| (0..nodes).map(move |to| (from, to)));
            let pairs = pairs.map(|(from, to)| {
                let (arrived, doubled, median) = pair(from, to);
                let median_ms = (arrived > 0).then_some(median);
                RoomPair { from, to, sent: 10, arrived, doubled, median_ms }
            });
            let names = (0..nodes).map(|node| format!("n{node}")).collect();
            seen.rooms = Some(Rooms { failed: None, nodes: names, pairs: pairs.collect() });
        }
    };
    check(rooms(3, |_, _| (10, 0, 2)), &[]);
    check(rooms(1, |_, _| (10, 0, 2)), &[]);
    let node = Party::Node;
    check(
        rooms(2, |from, to| (if from == to { 10 } else { 0 }, 0, 2)),
        &[(Fault::AdapterMissing, node)],
    );
    let split = |from: usize, to: usize| (if from / 2 == to / 2 { 10 } else { 0 }, 0, 2);
    check(rooms(4, split), &[(Fault::AdapterSplit, node)]);
    let slow = |from, to| (10, 0, if from == to { 2 } else { 900 });
    check(rooms(2, slow), &[(Fault::AdapterSlow, node)]);
    let lossy = |from, to| (if from == to { 10 } else { 7 }, 0, 2);
    check(rooms(2, lossy), &[(Fault::RoomMessagesLost, node)]);
    let doubled = |from, to| (10, u32::from(from != to), 2);
    check(rooms(2, doubled), &[(Fault::RoomMessagesLost, node)]);
}

#[test]
fn nodes_that_differ_are_a_hint_and_nodes_that_are_gone_are_more() {
    let pair = |change: fn(&mut NodeFacts)| {
        move |seen: &mut Observations| {
            let mut other = node("n2");
            change(&mut other);
            seen.nodes = vec![NodeFacts { clock_ahead_seconds: Some(0), ..node("n1") }, other];
        }
    };
    let node = Party::Node;
    check(pair(|_| ()), &[]);
    let slower = |node: &mut NodeFacts| {
        let open = Open { ping_interval_ms: Some(60_000), ..open() };
        node.trace.handshake = Some(Handshake::Opened { open, cookie: None });
    };
    check(pair(slower), &[(Fault::TimingsDiffer, node)]);
    let smaller = |node: &mut NodeFacts| {
        let open = Open { payload_bytes_max: Some(1_000), ..open() };
        node.trace.handshake = Some(Handshake::Opened { open, cookie: None });
    };
    check(pair(smaller), &[(Fault::PayloadsDiffer, node)]);
    check(pair(|node| node.clock_ahead_seconds = Some(-90)), &[(Fault::ClocksDiffer, node)]);
    let apart = |node: &mut NodeFacts| {
        node.foreign_session = Some(ForeignSession::UnknownAfterAsking);
    };
    check(pair(apart), &[(Fault::ClusterEngineApart, node)]);
    let gone = |node: &mut NodeFacts| {
        let failure = Failure { kind: FailureKind::Connect, detail: "x".to_owned(), after_ms: 1 };
        node.trace = Trace { handshake: Some(Handshake::Failed(failure)), ..Trace::default() };
    };
    check(pair(gone), &[(Fault::NodeUnreachable, node)]);
}

#[test]
fn what_a_node_misses_is_found() {
    let fields = [
        ("host", "a"),
        ("upgrade", "websocket"),
        ("x-forwarded-for", "1.2.3.4"),
        ("x-forwarded-proto", "http"),
    ];
    let arrival = |missing: &'static [&'static str], host: &'static str, target: &'static str| {
        move |seen: &mut Observations| {
            let kept = fields.iter().filter(|(name, _)| !missing.contains(name));
            let kept =
                kept.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            let target = target.to_owned();
            let arrived = Some(Arrived { version: "HTTP/1.1".to_owned(), target, fields: kept });
            seen.arrival = Some(Arrival {
                polling: arrived.clone(),
                websocket: arrived,
                streams: Some(true),
                host_sent: host.to_owned(),
                target_sent: "/socket.io/?a=1".to_owned(),
                ..Arrival::default()
            });
        }
    };
    let proxy = Party::Proxy;
    check(arrival(&[], "a", "/socket.io/?a=1"), &[]);
    check(arrival(&["upgrade"], "a", "/socket.io/"), &[(Fault::UpgradeLost, proxy)]);
    check(arrival(&["x-forwarded-for"], "a", "/socket.io/"), &[(Fault::ForwardedMissing, proxy)]);
    check(arrival(&[], "b", "/socket.io/"), &[(Fault::HostChanged, proxy)]);
    check(arrival(&[], "a", "/"), &[(Fault::PathChanged, proxy)]);
    let buffered = |seen: &mut Observations| {
        arrival(&[], "a", "/socket.io/")(seen);
        seen.arrival.get_or_insert_default().streams = Some(false);
    };
    check(buffered, &[(Fault::ResponsesBuffered, proxy)]);
    check(|seen| seen.arrival = Some(Arrival::default()), &[(Fault::NodeUnreachable, proxy)]);
}

#[test]
fn memory_that_grows_without_clients_is_found() {
    let memory = |bytes, tunnels| {
        move |seen: &mut Observations| {
            seen.memory =
                Some(Memory { bytes: Some(bytes), tunnels, between_ms: 30_000, failed: None });
        }
    };
    check(memory((50_000_000, 60_000_000), (100, 100)), &[]);
    check(memory((50_000_000, 90_000_000), (100, 4_000)), &[]);
    check(memory((50_000_000, 90_000_000), (100, 100)), &[(Fault::MemoryGrows, Party::Proxy)]);
}

#[test]
fn every_product_has_its_own_advice_for_what_operators_get_wrong() {
    let products = [
        Product::Nginx,
        Product::IngressNginx,
        Product::Haproxy,
        Product::Alb,
        Product::Traefik,
        Product::Caddy,
        Product::Cloudflare,
        Product::Sockeye,
        Product::Node,
    ];
    let faults = [
        Fault::UpgradeLost,
        Fault::NotSticky,
        Fault::IdleCut,
        Fault::PayloadLimit,
        Fault::NodesUnreachable,
        Fault::WrongPath,
        Fault::ResponsesBuffered,
    ];
    for fault in faults {
        let advice = products.map(|product| remedy::change(fault, Party::Proxy, Some(product)));
        for (product, text) in products.iter().zip(&advice) {
            assert!(text.starts_with(product.name()), "{fault:?}: {text}");
        }
        assert!(!remedy::change(fault, Party::Proxy, None).is_empty(), "{fault:?}");
    }
}
