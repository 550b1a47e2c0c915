//! Set-ups in which nothing is wrong.

use super::{GOOD, Report, doctor, haproxy, nginx, node, url};
use crate::support::socketio::NodeServer;
use crate::support::tls::Authority;
use crate::support::{Proxy, config};

#[track_caller]
fn nothing_is_wrong(report: &Report, product: &str) {
    report.has(&[]);
    for symptom in ["no_session", "stuck_in_polling", "drops"] {
        assert_eq!(report.verdict(symptom), "sound", "{symptom}: {:#}", report.json["verdicts"]);
    }
    assert_eq!(report.verdict("room_messages_lost"), "not_looked");
    assert_eq!(report.json["observations"]["product"], product);
}

#[tokio::test]
async fn nothing_is_found_at_a_node_alone() {
    let node = node(&[]).await;
    nothing_is_wrong(&doctor(&[&node.url()]).await, "node");
}

#[tokio::test]
async fn nothing_is_found_at_a_node_of_the_old_line() {
    let node = node(&["--line", "2"]).await;
    let report = doctor(&[&node.url(), "--eio", "3", "--origin", "https://app.example"]).await;
    nothing_is_wrong(&report, "node");
}

#[tokio::test]
async fn nothing_is_found_at_a_node_in_python() {
    let node =
        NodeServer::start_python(&["--ping-interval", "3000", "--ping-timeout", "4000"]).await;
    let report = doctor(&[&node.url()]).await;
    assert_eq!(report.faults(), [], "{:#}", report.json);
}

#[tokio::test]
async fn nothing_is_found_behind_nginx_that_is_right() {
    let nodes = [node(&[]).await, node(&[]).await];
    let proxy = nginx(&[&nodes[0], &nodes[1]], "ip_hash;", GOOD).await;
    let past = nodes.each_ref().map(NodeServer::address);
    let report = doctor(&[&url(&proxy), "--node", &past[0], "--node", &past[1]]).await;
    nothing_is_wrong(&report, "nginx");
    assert_eq!(report.json["observations"]["nodes"][1]["foreign_session"], "unknown");
}

#[tokio::test]
async fn nothing_is_found_behind_haproxy_that_is_right() {
    let nodes = [node(&[]).await, node(&[]).await];
    let proxy = haproxy(
        &[&nodes[0], &nodes[1]],
        "balance source\n  timeout tunnel 1h\n  option forwardfor",
    );
    nothing_is_wrong(&doctor(&[&url(&proxy)]).await, "haproxy");
}

#[tokio::test]
async fn nothing_is_found_behind_sockeye_by_tls_and_http2() {
    let nodes = [node(&[]).await, node(&[]).await];
    let authority = Authority::new();
    authority.issue("front", "front", &["localhost"]);
    let addresses = nodes.each_ref().map(|node| node.address().parse().unwrap());
    let listener = format!("'127.0.0.1:0', http2: on, tls: {{ {} }}", authority.pair("front"));
    let proxy = Proxy::start(&config(&addresses, "", "").replace("'127.0.0.1:0'", &listener));
    let (url, ca) =
        (format!("https://localhost:{}", proxy.address.port()), authority.path("ca.pem"));
    let report = doctor(&[&url, "--ca", ca.to_str().unwrap()]).await;
    nothing_is_wrong(&report, "sockeye");
    let observations = &report.json["observations"];
    assert_eq!(observations["http2"]["websocket"], 200, "{:#}", observations["http2"]);
    assert_eq!(observations["stickiness"]["processes_min"], 2, "{:#}", observations["stickiness"]);

    let distrusted = doctor(&[&url]).await;
    distrusted.has(&[("tls-fails", "proxy")]);
}
