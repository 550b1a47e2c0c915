//! The other sides among themselves, with no proxy between: when a test through the proxy fails and
//! these hold, the proxy is to blame. Some must fail, which shows that the scenarios can.
//!
//! Runs at start, at reload, or on a timer.

use serde_json::json;

use crate::support::redis::Redis;
use crate::support::socketio::{NodeServer, StayingClients, held, run_client, run_python_client};

const TRANSPORTS: [&str; 3] = ["polling,websocket", "polling", "websocket"];

#[tokio::test]
async fn each_line_of_clients_gets_on_with_a_node_of_line_4() {
    let node = NodeServer::start(&["--allow-eio3"]).await;
    for line in ["4", "3", "2"] {
        check_basics(&node, line).await;
    }
}

#[tokio::test]
async fn clients_of_line_2_get_on_with_a_node_of_line_2() {
    check_basics(&NodeServer::start(&["--line", "2"]).await, "2").await;
}

#[tokio::test]
async fn python_clients_get_on_with_both_kinds_of_node() {
    for node in [NodeServer::start(&[]).await, NodeServer::start_python(&[]).await] {
        for transports in TRANSPORTS {
            let arguments = ["--url", &node.url(), "--transports", transports];
            held(run_python_client(&arguments).await);
        }
    }
}

#[tokio::test]
async fn clients_of_line_4_get_on_with_a_python_node() {
    check_basics(&NodeServer::start_python(&[]).await, "4").await;
}

#[tokio::test]
async fn the_other_scenarios_hold_on_one_node() {
    let node = NodeServer::start(&["--allow-eio3"]).await;
    let url = node.url();
    for scenario in ["ordered", "jsonp", "roaming"] {
        for line in ["4", "2"] {
            held(run_client(&["--url", &url, "--line", line, "--scenario", scenario]).await);
        }
    }
    held(run_client(&["--url", &url, "--scenario", "deflate"]).await);
}

#[tokio::test]
async fn a_room_spans_two_nodes_over_redis() {
    let redis = Redis::start().await;
    let socket = redis.socket();
    let one = NodeServer::start(&["--name", "n1", "--redis", &socket]).await;
    let two = NodeServer::start(&["--name", "n2", "--redis", &socket]).await;
    let urls = format!("{},{}", one.url(), two.url());

    let result = held(run_client(&["--url", &urls, "--scenario", "rooms"]).await);

    assert_eq!(result["nodes"], json!({ "n1": 15, "n2": 15 }));
}

#[tokio::test]
async fn a_room_does_not_span_two_nodes_without_redis() {
    let one = NodeServer::start(&[]).await;
    let two = NodeServer::start(&[]).await;
    let urls = format!("{},{}", one.url(), two.url());
    let arguments = ["--url", &urls, "--scenario", "rooms", "--clients", "2", "--patience", "1"];

    let result = run_client(&arguments).await;

    assert_eq!(result["held"], false);
    assert_eq!(result["members"][0]["missing"], 100, "{result:#}");
}

#[tokio::test]
async fn sessions_that_roam_between_nodes_are_unknown_there() {
    let mut one = NodeServer::start(&[]).await;
    let two = NodeServer::start(&[]).await;
    let urls = format!("{},{}", one.url(), two.url());

    let result = run_client(&["--url", &urls, "--scenario", "roaming"]).await;

    assert_eq!(result["held"], false);
    assert!(result["unknown_sessions"].as_u64().is_some_and(|count| count > 0), "{result:#}");
    assert_eq!(one.event("connection_error").await["code"], 1);
}

#[tokio::test]
async fn a_client_that_finds_nobody_says_so() {
    let mut node = NodeServer::start(&[]).await;
    node.kill().await;

    let result = run_client(&["--url", &node.url(), "--scenario", "basics"]).await;

    assert_eq!(result["held"], false);
    let words = result["failures"][0].as_str().unwrap();
    assert!(words.starts_with("cannot connect"), "{words}");
}

#[tokio::test]
async fn clients_tell_of_a_crash_and_of_their_return() {
    let mut node = NodeServer::start(&["--name", "before"]).await;
    let port = node.port.to_string();
    let mut clients = StayingClients::start(&["--url", &node.url(), "--clients", "3"]).await;

    node.kill().await;
    assert_eq!(clients.event("disconnect").await["reason"], "transport close");
    let _node = NodeServer::start(&["--name", "after", "--port", &port]).await;

    for _ in 0..3 {
        assert_eq!(clients.event("connect").await["node"], "after");
    }
    assert_eq!(held(clients.finish().await)["disconnects"], 3);
}

#[tokio::test]
async fn a_stopped_node_tells_its_counts() {
    let mut node = NodeServer::start(&[]).await;
    held(run_client(&["--url", &node.url(), "--scenario", "basics"]).await);

    node.stop().await;

    let counts = node.event("stopping").await;
    assert_eq!(counts["connections"], 1);
    assert_eq!(counts["upgrades"], 1);
}

#[tokio::test]
async fn a_stopped_node_sends_its_clients_away() {
    for mut node in [NodeServer::start(&[]).await, NodeServer::start_python(&[]).await] {
        let mut clients = StayingClients::start(&["--url", &node.url(), "--clients", "2"]).await;

        node.stop().await;

        for _ in 0..2 {
            assert_eq!(clients.event("disconnect").await["reason"], "transport close");
        }
        assert_eq!(clients.finish().await["held"], false);
    }
}

#[tokio::test]
async fn a_frozen_node_answers_after_it_thaws() {
    let node = NodeServer::start(&[]).await;
    node.freeze().await;
    let arguments = ["--url", &node.url(), "--scenario", "basics", "--deadline", "1"];
    let frozen = run_client(&arguments).await;
    node.thaw().await;

    assert_eq!(frozen["failures"], json!(["no end of the scenario within 1000 ms"]));
    held(run_client(&["--url", &node.url(), "--scenario", "basics"]).await);
}

#[tokio::test]
async fn no_node_outlives_its_test() {
    NodeServer::start(&[]).await.abandon().await;
    NodeServer::start_python(&[]).await.abandon().await;
}

/// Clients of `line` do everything over each choice of transports.
async fn check_basics(node: &NodeServer, line: &str) {
    for transports in TRANSPORTS {
        let url = node.url();
        let arguments =
            ["--url", &url, "--line", line, "--scenario", "basics", "--transports", transports];
        held(run_client(&arguments).await);
    }
}
