//! What following a session costs each of its polls.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use divan::Bencher;
use sockeye::internal::engineio::Sid;
use sockeye::internal::insight::{Insight, Observation, Settings};
use tokio::time::Instant;

/// One of many sessions polls; with two threads, so do others.
#[divan::bench(threads = [1, 2], sample_size = 1000)]
fn see_a_poll(bencher: Bencher<'_, '_>) {
    let insight = Insight::new(Settings::default());
    let node: Arc<str> = "127.0.0.1:3000".into();
    let client = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let now = Instant::now();
    let sids: Vec<Sid> = (0..SESSIONS).map(|number| sid(number, "")).collect();
    for sid in &sids {
        insight.session_opened(sid, Some(Duration::from_secs(50)), (&node, client), now);
    }
    let next = || fastrand::usize(..sids.len());
    bencher.with_inputs(next).bench_refs(|index| {
        let sid = sids.get(*index).expect("it was chosen among them");
        insight.observe(divan::black_box(sid), Observation::Polled, now);
    });
    assert_eq!(insight.polling(), SESSIONS);
}

/// As above, of a session that is not followed: another proxy opened it.
#[divan::bench]
fn see_a_poll_of_a_stranger(bencher: Bencher<'_, '_>) {
    let insight = Insight::new(Settings::default());
    let now = Instant::now();
    let stranger = sid(0, "x");
    bencher.bench_local(|| insight.observe(divan::black_box(&stranger), Observation::Polled, now));
}

/// As Node.js makes them, with a tag.
fn sid(number: usize, more: &str) -> Sid {
    Sid::new(&format!("lv_VI97HAX{more}{number:010}.abcdefgh")).expect("29 characters")
}

const SESSIONS: usize = 10_000;
