//! A node has no time for a while, and its clients stay where they are.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::cluster::{Cluster, NAMES};
use crate::support::crowd::{Crowd, Outcome};
use crate::support::{Exposition, get};

const CLIENTS: &str = "600";
const NEWCOMERS: &str = "60";
const BLOCKED: Duration = Duration::from_secs(20);
const CHECKS: &str =
    "health: { engineio: /socket.io/, every: 1s, timeout: 1s, fail: 3 }, slow_start: 5s";
/// Longer than the node stands still. Timers that are due when it goes on come before what has arrived
/// meanwhile: it would take a Pong for late, and close a connection on which a request waits.
const PATIENT: [&str; 4] = ["--ping-timeout", "40000", "--keep-alive", "60000"];
const UP: &str = "sockeye_node_state{upstream=\"chat\",node=\"n1\",state=\"up\"}";
const UNHEALTHY: &str = "sockeye_node_state{upstream=\"chat\",node=\"n1\",state=\"unhealthy\"}";

/// The event loop of one of three nodes stands still for 20 s: its sessions stay, new ones go
/// elsewhere, and nobody else has more to do for it. Then it gets new ones again.
#[tokio::test]
#[ignore = "takes a minute: cargo xtask soak overload"]
async fn a_node_that_stands_still_keeps_its_sessions() {
    let cluster = Cluster::start(&PATIENT, CHECKS).await;
    let url = cluster.url();
    let mut crowd = Crowd::start(&["--url", &url, "--clients", CLIENTS]).await;
    crowd.watch(SETTLE).await;
    let before = placed(&crowd.events);

    let began = Instant::now();
    let address = cluster.nodes[0].address().parse().unwrap();
    let target = format!("/block/{}", BLOCKED.as_millis());
    assert_eq!(get(address, &target).await.status(), 200);
    Exposition::until(cluster.admin, UNHEALTHY, 1.0).await;
    let seen_after = began.elapsed();
    let newcomers = ["--url", &url, "--clients", NEWCOMERS, "--arrivals", "10"];
    let meanwhile = Crowd::start(&newcomers).await;
    let (entered_after, arrived) = (began.elapsed(), placed(&meanwhile.events));
    Exposition::until(cluster.admin, UP, 1.0).await;
    let back_after = began.elapsed();
    let later = Crowd::start(&newcomers).await;
    let arrived_later = placed(&later.events);
    crowd.watch(SETTLE).await;

    let (crowd, meanwhile, later) =
        (crowd.finish().await, meanwhile.finish().await, later.finish().await);
    let metrics = cluster.metrics().await;
    cluster.finish().await;
    let stalls = stalls_elsewhere(&crowd);
    println!("sessions on {NAMES:?}: {before:?}");
    println!("unhealthy after {seen_after:.1?}, up again after {back_after:.1?}");
    println!("new sessions meanwhile: {arrived:?}, all within {entered_after:.1?}");
    println!("new sessions afterwards: {arrived_later:?}");
    println!(
        "cut off: {}, echoes elsewhere of more than 500 ms: {stalls:?}",
        crowd.of("gone").count()
    );
    println!("errors: {:?}", metrics.with("sockeye_exchange_errors_total"));
    assert!(before[0] > 150, "{before:?}");
    assert!(entered_after < BLOCKED, "they came while it stood still");
    assert_eq!(arrived[0], 0);
    assert!(arrived_later[0] > 0, "{arrived_later:?}");
    assert_eq!(crowd.of("gone").count(), 0, "no wave: nobody left");
    assert!(stalls.iter().all(|milliseconds| *milliseconds < 1_000), "{stalls:?}");
    for outcome in [&crowd, &meanwhile, &later] {
        assert_eq!(outcome.result["held"], true, "{:#}", outcome.result);
    }
}

/// How many sessions began on each node.
fn placed(events: &[Value]) -> [usize; 3] {
    NAMES.map(|name| {
        events.iter().filter(|event| event["event"] == "on" && event["node"] == name).count()
    })
}

/// Echoes through the other nodes that took long, in milliseconds.
fn stalls_elsewhere(outcome: &Outcome) -> Vec<u64> {
    let elsewhere = outcome.of("slow").filter(|event| event["node"] != NAMES[0]);
    elsewhere.filter_map(|event| event["milliseconds"].as_u64()).collect()
}

/// For upgrades to end, and for echoes that wait to be told.
const SETTLE: Duration = Duration::from_secs(5);
