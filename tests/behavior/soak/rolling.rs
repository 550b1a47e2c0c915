//! All nodes are replaced, one after the other.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::cluster::{Cluster, NAMES, order};
use super::timeline::{Recorder, Timeline};
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
    let direct = cluster.nodes.iter().map(NodeServer::url).collect::<Vec<_>>().join(",");
    let url = cluster.url();
    let mut crowd =
        Crowd::start(&["--url", &url, "--clients", CLIENTS, "--control", &direct]).await;
    let recorder = Recorder::start(cluster.admin);
    for node in 0..NAMES.len() {
        replace(&mut cluster, node, &joined, &mut crowd).await;
    }
    crowd.watch(REBALANCED_WITHIN).await;

    let sessions = cluster.open_sessions().await;
    let metrics = cluster.metrics().await;
    let timeline = recorder.finish().await;
    let outcome = crowd.finish().await;
    let complaints = cluster.finish().await;
    drop(speaker);
    timeline.print();
    print_figures(&outcome);
    print_stalls(&outcome, &timeline);
    println!("sessions a minute after the last restart: {sessions:?}");
    println!("ends of tunnels: {:?}", metrics.with("sockeye_tunnel_ends_total"));
    let errors = metrics.with("sockeye_exchange_errors_total");
    println!("errors: {errors:?}; the proxy warned {} times", complaints.len());
    for word in ["not_admitted", "queue_full", "\"connect\""] {
        assert!(!errors.iter().any(|series| series.contains(word)), "{word}: {errors:?}");
    }
    assert_eq!(outcome.result["refused"], 0);
    assert_eq!(outcome.result["gaps"], 0);
    assert!(returns(&outcome).iter().any(|(_, recovered, _)| *recovered > 0), "some recovered");
    let late: Vec<Return> = timed(&outcome).into_iter().filter(Return::is_late).collect();
    assert!(late.is_empty(), "{late:?}");
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

/// How long a client was away, in milliseconds.
#[derive(Debug)]
struct Return {
    /// Beyond its own backoff.
    beyond: u64,
    /// How long a connection past the proxy took at that time, the slowest: what the clients, the nodes
    /// and the machine need by themselves.
    direct: u64,
}

impl Return {
    fn is_late(&self) -> bool {
        self.beyond > self.direct + LATE_MS
    }
}

/// All returns, those first that took longest beyond what takes as long without the proxy.
fn timed(outcome: &Outcome) -> Vec<Return> {
    let number = |event: &Value, key: &str| event[key].as_u64().unwrap();
    let span = |event: &Value, key| (number(event, "at") - number(event, key), number(event, "at"));
    let controls: Vec<_> = outcome.of("control").map(|event| span(event, "milliseconds")).collect();
    let timed = |back: &Value| {
        let (began, ended) = span(back, "down_ms");
        let meanwhile = controls.iter().filter(|control| control.0 <= ended && began <= control.1);
        let direct = meanwhile.map(|control| control.1 - control.0).max().unwrap_or(0);
        Return { beyond: number(back, "down_ms") - number(back, "waited_ms"), direct }
    };
    let mut returns: Vec<Return> = outcome.of("back").map(timed).collect();
    returns.sort_by_key(|one| std::cmp::Reverse(one.beyond.saturating_sub(one.direct)));
    returns
}

fn print_figures(outcome: &Outcome) {
    println!("cut off: {} times, {:?}", outcome.of("gone").count(), returns(outcome));
    let mut timed = timed(outcome);
    println!(
        "the latest returns, in ms beyond the own backoff: {:?}",
        &timed[..timed.len().min(3)]
    );
    timed.sort_by_key(|one| one.beyond);
    let (middle, last) = (timed[timed.len() / 2].beyond, timed[timed.len() - 1].beyond);
    println!("away beyond the own backoff, in ms: median {middle}, most {last}");
    let directs = outcome.of("control").filter_map(|event| event["milliseconds"].as_u64());
    let mut directs: Vec<u64> = directs.collect();
    directs.sort_unstable();
    if let Some(most) = directs.last() {
        println!(
            "{} connections past the proxy, in ms: median {}, most {most}",
            directs.len(),
            directs[directs.len() / 2]
        );
    }
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
}

/// Prints each handshake that was refused or took long, with what the proxy knew then.
fn print_stalls(outcome: &Outcome, timeline: &Timeline) {
    for event in outcome.of("stalled").chain(outcome.of("refused")) {
        println!("{event}");
        for row in timeline.before(event["at"].as_u64().unwrap()) {
            println!("    {row}");
        }
    }
}

/// For each way to connect: its name, how many returns were recovered, of how many.
fn returns(outcome: &Outcome) -> Vec<(&'static str, usize, usize)> {
    let count = |transport| {
        let backs = || outcome.of("back").filter(move |back| back["transport"] == transport);
        (transport, backs().filter(|back| back["recovered"] == true).count(), backs().count())
    };
    ["polling", "polling+websocket", "websocket"].map(count).to_vec()
}

/// How much longer than a connection past the proxy a return may take.
const LATE_MS: u64 = 1_000;

#[test]
fn a_return_is_late_by_what_takes_longer_than_without_the_proxy() {
    // check(how long the client was away beyond its backoff, a direct connection: when it ended and how
    // long it took; whether the return is late), the client being back at 60 s
    let check = |beyond: u64, (at, milliseconds): (u64, u64), late: bool| {
        let back = serde_json::json!({
            "event": "back", "at": 60_000, "down_ms": beyond + 500, "waited_ms": 500,
        });
        let control = serde_json::json!({
            "event": "control", "at": at, "milliseconds": milliseconds,
        });
        let outcome = Outcome { events: vec![control, back], result: Value::Null };
        assert_eq!(timed(&outcome)[0].is_late(), late, "{beyond} {at} {milliseconds}");
    };
    check(1_000, (59_900, 0), false);
    check(1_001, (59_900, 0), true);
    check(1_800, (59_900, 800), false);
    check(1_801, (59_900, 800), true);
    check(1_800, (50_000, 800), true);
    check(20_000, (59_900, 800), true);
}
