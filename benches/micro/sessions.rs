//! What a session's requests cost beside their bytes: the open packet, tagged, and the tag, read.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use divan::Bencher;
use http::HeaderMap;
use sockeye::affinity::{Affinity, Asked, Recall, Remembered};
use sockeye::engineio::{Call, OpenPacket, Scan, Sid};
use sockeye::upstream::Node;
use tokio::time::Instant;

use crate::config;

#[divan::bench]
fn find_and_rewrite_an_open_packet(bencher: Bencher<'_, '_>) {
    bencher.bench_local(|| {
        let open = opened(divan::black_box(OPEN));
        open.with_tag(OPEN, ".abcdefghijk")
    });
}

#[divan::bench]
fn tag_a_sid(bencher: Bencher<'_, '_>) {
    let upstream = Upstream::new();
    let open = opened(OPEN);
    let call = handshake();
    let now = Instant::now();
    bencher.bench_local(|| upstream.affinity.remember(&call, &open, &upstream.node, now));
}

#[divan::bench]
fn read_a_tagged_sid(bencher: Bencher<'_, '_>) {
    let upstream = Upstream::new();
    let open = opened(OPEN);
    let now = Instant::now();
    let remembered = upstream.affinity.remember(&handshake(), &open, &upstream.node, now);
    let Remembered::Tag(tag) = remembered else { panic!("affinity is by tag: {remembered:?}") };
    let sid = Sid::new(&format!("{}{tag}", open.sid.as_str())).expect("32 characters");
    let call = Call { sid: Some(sid), ..handshake() };
    let headers = HeaderMap::new();
    let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let asked = Asked { call: Some(&call), headers: &headers, query: None, address };
    assert!(matches!(upstream.affinity.recall(&asked, now), Recall::Bound { .. }));
    bencher.bench_local(|| upstream.affinity.recall(divan::black_box(&asked), now));
}

/// Three nodes, and one of them.
struct Upstream {
    affinity: Arc<Affinity>,
    node: Arc<Node>,
}

impl Upstream {
    fn new() -> Self {
        let snapshot = config(0).snapshot(None).expect("three nodes with different tags");
        let route = snapshot.routes.iter().next().expect("there is one route");
        let node = route.upstream.nodes().first().expect("there are three");
        Self { affinity: route.affinity.clone(), node: node.clone() }
    }
}

fn handshake() -> Call {
    Call::of(Some("EIO=4&transport=polling")).expect("it is well formed").expect("it is a call")
}

fn opened(packet: &[u8]) -> OpenPacket {
    match OpenPacket::scan(packet) {
        Scan::Open(open) => open,
        Scan::NeedMore | Scan::NotOpen => panic!("it is an open packet"),
    }
}

/// As Node.js sends it.
const OPEN: &[u8] = br#"0{"sid":"lv_VI97HAXpY6yYWAAAC","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
