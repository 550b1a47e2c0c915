//! All nodes are replaced, one after the other.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::cluster::{Cluster, NAMES, order};
use crate::support::crowd::{Crowd, Outcome};
use crate::support::redis::Redis;
use crate::support::socketio::NodeServer;

const CLIENTS: &str = "1000";
const DRAIN: Duration = Duration::from_secs(15);
const REBALANCED_WITHIN: Duration = Duration::from_secs(60);

/// Each of three nodes is drained, stopped and started: no handshake is refused, clients are away
/// for no longer than their own backoff, what recovery covers is not lost, and a minute later the
/// nodes' sessions are within a tenth of each other.
#[tokio::test]
#[ignore = "takes three minutes: cargo xtask soak rolling"]
async fn clients_hardly_notice_that_all_nodes_are_replaced() {
    let redis = Redis::start().await;
    let socket = redis.socket();
    let joined = ["--redis", &socket, "--streams"];
    let upstream = format!(
        "drain: {{ timeout: {DRAIN:?}, closes_per_second: 100 }}, \
         rebalance: {{ within: 5%, closes_per_second: 20 }}"
    );
    let mut cluster = Cluster::start(&joined, &upstream).await;
    // It has no clients: it outlives them all and speaks through the others.
    let speaker = NodeServer::start(&[&joined[..], &["--speak", "rows"]].concat()).await;
    let mut crowd = Crowd::start(&["--url", &cluster.url(), "--clients", CLIENTS]).await;
    for node in 0..NAMES.len() {
        replace(&mut cluster, node, &joined, &mut crowd).await;
    }
    crowd.watch(REBALANCED_WITHIN).await;

    let sessions = cluster.open_sessions().await;
    let metrics = cluster.metrics().await;
    let outcome = crowd.finish().await;
    let complaints = cluster.finish().await;
    drop(speaker);
    let errors = metrics.with("sockeye_exchange_errors_total");
    let beyond = beyond_backoff(&outcome);
    println!("cut off: {} times, {:?}", outcome.of("gone").count(), returns(&outcome));
    println!(
        "away beyond the own backoff, in ms: median {}, most {}",
        beyond[beyond.len() / 2],
        beyond[beyond.len() - 1]
    );
    println!(
        "{} messages heard, {} gaps, and {} of those that were said while a session was restored",
        outcome.result["messages"], outcome.result["gaps"], outcome.result["overtaken"]
    );
    for gap in outcome.of("gap") {
        println!("{gap}");
    }
    println!(
        "the slowest echo took {} ms, of {}",
        outcome.result["slowest_echo_ms"], outcome.result["echoes"]
    );
    println!("sessions a minute after the last restart: {sessions:?}");
    println!("errors: {errors:?}; the proxy warned {} times", complaints.len());
    for word in ["not_admitted", "queue_full", "\"connect\""] {
        assert!(!errors.iter().any(|series| series.contains(word)), "{word}: {errors:?}");
    }
    assert_eq!(outcome.result["refused"], 0);
    assert_eq!(outcome.result["gaps"], 0);
    assert!(returns(&outcome).iter().any(|(_, recovered, _)| *recovered > 0), "some recovered");
    assert!(beyond.last() <= Some(&1_000), "{beyond:?}");
    let (least, most) = (sessions.iter().min().unwrap(), sessions.iter().max().unwrap());
    assert!(most * 10 <= least * 11, "{sessions:?}");
    assert_eq!(outcome.result["held"], true, "{:#}", outcome.result);
}

/// Drains the node, replaces it by a new process, and lets that have sessions.
async fn replace(cluster: &mut Cluster, node: usize, arguments: &[&str], crowd: &mut Crowd) {
    let (name, began) = (NAMES[node], Instant::now());
    let tunnels = order(cluster.admin, name, "drain").await["node"]["tunnels"].clone();
    while order(cluster.admin, name, "drain").await["node"]["draining"]["empty"] != true {
        assert!(began.elapsed() < DRAIN * 2, "{name} is not empty");
        crowd.watch(Duration::from_millis(200)).await;
    }
    let empty_after = began.elapsed();
    let port = cluster.nodes[node].port.to_string();
    cluster.nodes[node].stop().await;
    let all = [&["--name", name, "--port", &port], arguments].concat();
    cluster.nodes[node] = NodeServer::start(&all).await;
    order(cluster.admin, name, "undrain").await;
    let back_after = began.elapsed();
    println!(
        "{name}: {tunnels} tunnels, empty after {empty_after:.1?}, back after {back_after:.1?}"
    );
}

/// For each returned client, how long it was away beyond its own backoff, in milliseconds and in order.
fn beyond_backoff(outcome: &Outcome) -> Vec<u64> {
    let number = |event: &Value, key: &str| event[key].as_u64().unwrap();
    let backs = outcome.of("back");
    let mut beyond: Vec<u64> =
        backs.map(|back| number(back, "down_ms") - number(back, "waited_ms")).collect();
    beyond.sort_unstable();
    beyond
}

/// For each way to connect: its name, how many returns were recovered, of how many.
fn returns(outcome: &Outcome) -> Vec<(&'static str, usize, usize)> {
    let count = |transport| {
        let backs = || outcome.of("back").filter(move |back| back["transport"] == transport);
        (transport, backs().filter(|back| back["recovered"] == true).count(), backs().count())
    };
    ["polling", "polling+websocket", "websocket"].map(count).to_vec()
}
