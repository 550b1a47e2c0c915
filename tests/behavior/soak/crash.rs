//! A node dies, and its clients return to the others.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::cluster::{Cluster, NAMES, now_millis};
use crate::support::crowd::Crowd;

const CLIENTS: &str = "1000";
const RATE: u64 = 100;
const BURST: u64 = 10;

/// One of three nodes is killed: the survivors see its clients at the rate that they can take, and
/// their own clients see nothing at all.
#[tokio::test]
#[ignore = "takes half a minute: cargo xtask soak crash"]
async fn a_node_that_dies_takes_no_other_along() {
    let paced = format!("admission: {{ handshakes_per_second: {RATE}, burst: {BURST} }}");
    let mut cluster = Cluster::start(&[], &paced).await;
    let mut crowd = Crowd::start(&["--url", &cluster.url(), "--clients", CLIENTS]).await;
    crowd.watch(SETTLE).await;
    let mut lost: HashSet<u64> = crowd.on(NAMES[0]).into_iter().collect();
    let count = lost.len();

    let (killed, began) = (now_millis(), Instant::now());
    cluster.nodes[0].kill().await;
    let is_last = |event: &Value| {
        if event["event"] == "back" {
            lost.remove(&event["client"].as_u64().unwrap());
        }
        lost.is_empty()
    };
    crowd.until("all clients of the killed node are back", BACK_WITHIN, is_last).await;
    let back_after = began.elapsed();
    crowd.watch(SETTLE).await;
    let mut sessions: Vec<u64> = Vec::new();
    for survivor in [1, 2] {
        sessions.extend(cluster.sessions_at(survivor).await);
    }
    sessions.retain(|at| *at >= killed);
    sessions.sort_unstable();
    let metrics = cluster.metrics().await;
    let outcome = crowd.finish().await;
    let complaints = cluster.finish().await;

    let gone = outcome.of("gone").filter(|event| event["node"] != NAMES[0]).count();
    let slow: Vec<_> =
        outcome.of("slow").filter_map(|event| event["milliseconds"].as_u64()).collect();
    let most = most_within(&sessions, Duration::from_secs(1));
    println!("{count} of {CLIENTS} sessions died; all were back after {back_after:.1?}");
    println!("{} new sessions on the survivors, {most} at most within a second", sessions.len());
    println!("clients of the survivors: {gone} were cut off, echoes of more than 500 ms: {slow:?}");
    println!(
        "the slowest echo took {} ms, of {}",
        outcome.result["slowest_echo_ms"], outcome.result["echoes"]
    );
    println!("errors: {:?}", metrics.with("sockeye_exchange_errors_total"));
    println!("the proxy warned {} times", complaints.len());
    assert!(count > 250 && sessions.len() >= count, "{count}, {}", sessions.len());
    assert!(most <= RATE + BURST, "{most} sessions within a second");
    assert_eq!(gone, 0);
    assert!(slow.iter().all(|milliseconds| *milliseconds < 1_000), "{slow:?}");
    let bound = Duration::from_millis(count as u64 * 1_000 / RATE) + Duration::from_secs(6);
    assert!(back_after <= bound, "{back_after:?} and not {bound:?}");
    assert_eq!(outcome.result["held"], true, "{:#}", outcome.result);
}

/// The most of `times`, in milliseconds and in order, that lie within `window`.
fn most_within(times: &[u64], window: Duration) -> u64 {
    let window = window.as_millis() as u64;
    let count = |(first, at): (usize, &u64)| {
        times[first..].iter().take_while(|time| **time < at + window).count()
    };
    times.iter().enumerate().map(count).max().unwrap_or(0) as u64
}

/// For upgrades to end, and for echoes that wait to be told.
const SETTLE: Duration = Duration::from_secs(5);

const BACK_WITHIN: Duration = Duration::from_secs(60);
