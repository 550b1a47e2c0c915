//! Proxies with a mistake that people make, and nodes with one.

use std::time::Duration;

use tokio::time::sleep;

use super::{GOOD, Report, doctor, haproxy, nginx, node, patient_doctor, url};
use crate::support::balancer::Balancer;
use crate::support::get;
use crate::support::relay::Relay;
use crate::support::socketio::NodeServer;

#[tokio::test]
async fn a_missing_upgrade_is_the_fault_of_nginx() {
    let node = node(&[]).await;
    let proxy = nginx(&[&node], "", "proxy_set_header Host $http_host;").await;
    let report = doctor(&[&url(&proxy)]).await;
    report.has(&[("upgrade-lost", "proxy")]);
    assert_eq!(report.verdict("stuck_in_polling"), "broken");
    assert_eq!(report.verdict("drops"), "sound");
    let change = report.json["findings"][0]["change"].as_str().unwrap();
    assert!(change.contains("proxy_set_header Upgrade $http_upgrade"), "{change}");
}

#[tokio::test]
async fn a_missing_upgrade_is_the_fault_of_haproxy() {
    let node = node(&[]).await;
    let proxy = haproxy(&[&node], "http-request del-header Upgrade");
    let report = doctor(&[&url(&proxy), "--node", &node.address()]).await;
    report.has(&[("upgrade-lost", "proxy")]);
}

#[tokio::test]
async fn round_robin_without_stickiness_is_found() {
    let nodes = [node(&[]).await, node(&[]).await];
    let proxy = nginx(&[&nodes[0], &nodes[1]], "", GOOD).await;
    let report = doctor(&[&url(&proxy), "--node", &nodes[0].address()]).await;
    report.has(&[("not-sticky", "proxy")]);
    for symptom in ["stuck_in_polling", "drops"] {
        assert_eq!(report.verdict(symptom), "broken", "{symptom}");
    }
    let proxy = haproxy(&[&nodes[0], &nodes[1]], "balance roundrobin\n  timeout tunnel 1h");
    let report = doctor(&[&url(&proxy)]).await;
    report.has(&[("not-sticky", "proxy")]);
    assert_eq!(report.json["observations"]["stickiness"]["processes_min"], 2);
}

#[tokio::test]
async fn a_cookie_that_clients_do_not_keep_is_found() {
    let nodes = [node(&[]).await, node(&[]).await];
    let servers = nodes.each_ref().map(NodeServer::address);
    let proxy = Relay::haproxy(&format!(
        "\n  mode http\n  timeout tunnel 1h\n  balance roundrobin\n  cookie SERVERID insert indirect nocache\n  \
         server n0 {} cookie n0\n  server n1 {} cookie n1",
        servers[0], servers[1]
    ));
    let report = doctor(&[&url(&proxy)]).await;
    report.has(&[("not-sticky", "proxy")]);
    let what = report.json["findings"][0]["what"].as_str().unwrap();
    assert!(what.contains("without the cookie"), "{what}");
}

#[tokio::test]
async fn several_processes_behind_one_port_are_the_fault_of_the_node() {
    let nodes = [node(&[]).await, node(&[]).await];
    let addresses = nodes.each_ref().map(|node| node.address().parse().unwrap());
    let cluster = Balancer::over(addresses.to_vec()).await;
    let proxy = Relay::haproxy(&format!(
        "\n  mode http\n  timeout tunnel 1h\n  http-reuse never\n  server n0 {}",
        cluster.address
    ));
    let report = doctor(&[&url(&proxy), "--node", &cluster.address.to_string()]).await;
    report.has(&[("several-processes", "node")]);
}

#[tokio::test]
async fn timeouts_shorter_than_the_heartbeat_are_the_fault_of_the_proxy() {
    let node = node(&[]).await;
    let short = format!("{GOOD} proxy_read_timeout 2s;");
    let proxy = nginx(&[&node], "", &short).await;
    let report = doctor(&[&url(&proxy), "--node", &node.address()]).await;
    report.has(&[("idle-cut", "proxy")]);
    assert_eq!(report.verdict("drops"), "broken");
    assert_eq!(report.verdict("stuck_in_polling"), "sound");
    let idle = &report.json["observations"]["idle"];
    assert_eq!(idle["polling"]["cut"]["status"], 504, "{idle:#}");
    assert!(idle["websocket"]["cut"]["silent_ms"].as_u64().unwrap() >= 1_000, "{idle:#}");

    let proxy = haproxy(&[&node], "timeout tunnel 2s");
    let report = doctor(&[&url(&proxy)]).await;
    report.has(&[("idle-cut", "proxy")]);
    let idle = &report.json["observations"]["idle"];
    assert!(idle["polling"]["cut"].is_null(), "{idle:#}");
}

#[tokio::test]
async fn a_patience_shorter_than_the_heartbeat_leaves_drops_undecided() {
    let node = NodeServer::start(&[]).await;
    let report = doctor(&[&node.url()]).await;
    assert_eq!(report.faults(), [], "{:#}", report.json);
    assert_eq!(report.verdict("drops"), "undecided");
    assert_eq!(report.code, 3);
}

#[tokio::test]
async fn a_small_limit_of_bodies_is_the_fault_of_the_proxy() {
    let node = node(&[]).await;
    let small = format!("{GOOD} client_max_body_size 16k;");
    let proxy = nginx(&[&node], "", &small).await;
    let report = doctor(&[&url(&proxy)]).await;
    report.has(&[("payload-limit", "proxy")]);
    assert_eq!(report.verdict("drops"), "at_risk");
    let limit = &report.json["observations"]["payload"]["up_polling"];
    let bytes = |key: &str| limit[key].as_u64().unwrap();
    assert!(bytes("passed") <= 16 << 10 && bytes("refused") > 16 << 10, "{limit:#}");
}

#[tokio::test]
async fn a_wrong_path_is_found_with_the_right_one() {
    let node = node(&[]).await;
    let proxy = nginx(&[&node], "", GOOD).await;
    let report = doctor(&[&format!("{}/chat/", url(&proxy))]).await;
    report.has(&[("wrong-path", "client")]);
    let what = report.json["findings"][0]["what"].as_str().unwrap();
    assert!(what.contains("/socket.io/"), "{what}");
}

#[tokio::test]
async fn a_path_that_the_proxy_strips_is_its_fault() {
    let node = node(&[]).await;
    let proxy = Relay::nginx(&format!(
        "http {{ server {{ listen LISTEN; location /socket.io/ {{ proxy_pass http://{}/; {} }} }} }}",
        node.address(),
        GOOD.replace("$connection_upgrade", "upgrade")
    ))
    .await;
    let report = doctor(&[&url(&proxy), "--node", &node.address()]).await;
    report.has(&[("not-engine-io", "proxy")]);
}

#[tokio::test]
async fn nodes_that_the_proxy_does_not_reach_are_found() {
    let mut gone = node(&[]).await;
    let proxy = nginx(&[&gone], "", GOOD).await;
    gone.kill().await;
    let report = doctor(&[&url(&proxy), "--node", &gone.address()]).await;
    report.has(&[("nodes-unreachable", "proxy"), ("node-unreachable", "node")]);
    assert_eq!(report.verdict("no_session"), "broken");

    let report = doctor(&[&gone.url()]).await;
    report.has(&[("no-connection", "network")]);
}

#[tokio::test]
async fn old_clients_without_allow_eio3_are_refused_by_the_node() {
    let node = node(&[]).await;
    let report = doctor(&[&node.url(), "--eio", "3"]).await;
    report.has(&[("old-clients-refused", "node")]);
    let node = super::node(&["--allow-eio3"]).await;
    doctor(&[&node.url(), "--eio", "3"]).await.has(&[]);
}

#[tokio::test]
async fn wrong_cors_is_found() {
    let node = node(&[]).await;
    let origin = ["--origin", "https://app.example"];
    let twice = format!("{GOOD} add_header Access-Control-Allow-Origin https://app.example;");
    let proxy = nginx(&[&node], "", &twice).await;
    doctor(&[&[&*url(&proxy)], &origin[..]].concat()).await.has(&[("cors-twice", "proxy")]);

    let hidden = format!("{GOOD} proxy_hide_header Access-Control-Allow-Origin;");
    let proxy = nginx(&[&node], "", &hidden).await;
    doctor(&[&[&*url(&proxy)], &origin[..]].concat()).await.has(&[("cors-missing", "node")]);
}

#[tokio::test]
async fn a_blocked_event_loop_is_the_fault_of_the_node() {
    let blocked = while_blocking(2_500, "12").await;
    blocked.has(&[("event-loop-blocked", "node")]);
    assert_eq!(blocked.verdict("drops"), "at_risk");
}

/// What the doctor says of a node that stands still for some milliseconds again and again.
async fn while_blocking(milliseconds: u64, patience: &str) -> Report {
    let node = node(&[]).await;
    let proxy = nginx(&[&node], "", GOOD).await;
    let (url, address) = (url(&proxy), node.address().parse().unwrap());
    let blocking = async {
        loop {
            get(address, &format!("/block/{milliseconds}")).await;
            // It blocks from now on, and turns for two seconds.
            sleep(Duration::from_millis(milliseconds + 2_000)).await;
        }
    };
    let arguments = [&*url];
    tokio::select! {
        report = patient_doctor(patience, &arguments) => report,
        () = blocking => unreachable!("it blocks until the doctor is gone"),
    }
}
