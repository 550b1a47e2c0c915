//! Messages to rooms, between real nodes with and without adapters.

use super::{GOOD, Report, doctor, nginx, node, url};
use crate::support::redis::Redis;
use crate::support::socketio::NodeServer;

async fn rooms(nodes: &[&NodeServer]) -> Report {
    let proxy = nginx(nodes, "ip_hash;", GOOD).await;
    let past: Vec<String> = nodes.iter().map(|node| node.address()).collect();
    let past: Vec<&str> = past.iter().flat_map(|address| ["--node", address]).collect();
    doctor(&[&[&*url(&proxy), "--rooms"], &past[..]].concat()).await
}

#[tokio::test]
async fn messages_arrive_by_an_adapter() {
    let redis = Redis::start().await;
    let socket = redis.socket();
    let nodes = [node(&["--redis", &socket]).await, node(&["--redis", &socket]).await];
    let report = rooms(&[&nodes[0], &nodes[1]]).await;
    report.has(&[]);
    assert_eq!(report.verdict("room_messages_lost"), "sound", "{:#}", report.json["verdicts"]);
    // The application tells what arrives.
    let fields = report.json["observations"]["arrival"]["polling"]["fields"].to_string();
    assert!(fields.contains("x-forwarded-for"), "{fields}");
}

#[tokio::test]
async fn a_missing_adapter_is_found() {
    let nodes = [node(&[]).await, node(&[]).await];
    let report = rooms(&[&nodes[0], &nodes[1]]).await;
    report.has(&[("adapter-missing", "node")]);
    assert_eq!(report.verdict("room_messages_lost"), "broken");
}

#[tokio::test]
async fn an_adapter_on_two_redis_is_found() {
    let redis = [Redis::start().await, Redis::start().await];
    let sockets = redis.each_ref().map(Redis::socket);
    let nodes = [
        node(&["--redis", &sockets[0]]).await,
        node(&["--redis", &sockets[0]]).await,
        node(&["--redis", &sockets[1]]).await,
    ];
    let report = rooms(&[&nodes[0], &nodes[1], &nodes[2]]).await;
    report.has(&[("adapter-split", "node")]);
    let what = report.json["findings"][0]["what"].as_str().unwrap();
    assert!(what.contains(&nodes[2].address()), "{what}");
}

#[tokio::test]
async fn a_slow_redis_is_late_and_loses_nothing() {
    let redis = Redis::start().await;
    let socket = redis.socket();
    let slow = ["--redis", &*socket, "--redis-delay", "6000"];
    let nodes = [node(&slow).await, node(&slow).await];
    rooms(&[&nodes[0], &nodes[1]]).await.has(&[("adapter-slow", "node")]);
}

#[tokio::test]
async fn an_application_without_the_ten_lines_is_told_about_them() {
    let node =
        NodeServer::start_python(&["--ping-interval", "3000", "--ping-timeout", "4000"]).await;
    let report = doctor(&[&node.url(), "--rooms"]).await;
    assert_eq!(report.verdict("room_messages_lost"), "undecided", "{:#}", report.json["verdicts"]);
    assert_eq!(report.code, 3);
}
