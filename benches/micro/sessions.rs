//! What a session's requests cost in addition to their bytes: the open packet, tagged, and the tag, read.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use divan::Bencher;
use http::HeaderMap;
use sockeye::internal::affinity::{Affinity, Placement, Remembered, RequestView, Settings};
use sockeye::internal::affinity::{SidSettings, TagForm};
use sockeye::internal::engineio::{Call, OpenPacket, Scan, Sid};
use sockeye::internal::upstream::Node;
use tokio::time::Instant;

use crate::config;

#[divan::bench]
fn find_and_rewrite_an_open_packet(bencher: Bencher<'_, '_>) {
    bencher.bench_local(|| {
        let open = opened(divan::black_box(OPEN));
        open.with_tag(OPEN, ".abcdefghijk")
    });
}

#[divan::bench(args = FORMS)]
fn tag_a_sid(bencher: Bencher<'_, '_>, form: TagForm) {
    let upstream = Upstream::new(form);
    let open = opened(OPEN);
    let call = handshake();
    let now = Instant::now();
    bencher.bench_local(|| upstream.affinity.remember(&call, &open, &upstream.node, now));
}

#[divan::bench(args = FORMS)]
fn read_a_tagged_sid(bencher: Bencher<'_, '_>, form: TagForm) {
    let upstream = Upstream::new(form);
    let open = opened(OPEN);
    let now = Instant::now();
    let remembered = upstream.affinity.remember(&handshake(), &open, &upstream.node, now);
    let Remembered::Tag(tag) = remembered else { panic!("affinity is by tag: {remembered:?}") };
    let sid = Sid::new(&format!("{}{tag}", open.sid.as_str())).expect("at most 32 characters");
    let call = Call { sid: Some(sid), ..handshake() };
    let headers = HeaderMap::new();
    let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let view = RequestView {
        path: "/socket.io/",
        call: Some(&call),
        headers: &headers,
        query: None,
        address,
    };
    assert!(matches!(upstream.affinity.locate(&view, now), Placement::Bound { .. }));
    bencher.bench_local(|| upstream.affinity.locate(divan::black_box(&view), now));
}

/// Three nodes, and one of them.
struct Upstream {
    affinity: Affinity,
    node: Arc<Node>,
}

impl Upstream {
    fn new(tag: TagForm) -> Self {
        let snapshot = config(0).snapshot(None).expect("three nodes with different tags");
        let route = snapshot.routes.iter().next().expect("there is one route");
        let upstream = &route.upstream().expect("it is the only target").upstream;
        let node = upstream.nodes().first().expect("there are three");
        let settings = Settings::Sid(SidSettings { tag, ..SidSettings::default() });
        let affinity = Affinity::new(&settings, upstream, None);
        Self { affinity: affinity.expect("different tags"), node: node.clone() }
    }
}

fn handshake() -> Call {
    Call::parse(Some("EIO=4&transport=polling")).expect("it is well formed").expect("it is a call")
}

fn opened(packet: &[u8]) -> OpenPacket {
    match OpenPacket::scan(packet) {
        Scan::Open(open) => open,
        Scan::NeedMore | Scan::NotOpen => panic!("it is an open packet"),
    }
}

const FORMS: [TagForm; 2] = [TagForm::Short, TagForm::Long];

/// As Node.js sends it.
const OPEN: &[u8] = br#"0{"sid":"lv_VI97HAXpY6yYWAAAC","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
