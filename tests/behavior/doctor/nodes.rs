//! The nodes of a configuration, and a node of the doctor's own.

use std::net::TcpListener;

use super::{GOOD, doctor, node};
use crate::support::relay::Relay;

#[tokio::test]
async fn nodes_of_a_configuration_are_compared() {
    let mut nodes = [
        node(&[]).await,
        node(&["--ping-interval", "2500", "--max-payload", "50000"]).await,
        node(&[]).await,
    ];
    let addresses = nodes.each_ref().map(|node| node.address());
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("sockeye.yaml");
    let yaml = format!(
        "upstreams: {{ chat: {{ nodes: {addresses:?} }} }}\nroutes: [{{ path: /socket.io/, upstream: chat }}]\n"
    );
    std::fs::write(&file, yaml).unwrap();
    let file = file.to_str().unwrap();
    let report = doctor(&["--config", file]).await;
    assert_eq!(report.faults(), [("timings-differ", "node"), ("payloads-differ", "node")]);
    assert_eq!(report.code, 0, "{:#}", report.json);

    nodes[2].kill().await;
    let report = doctor(&["--config", file]).await;
    assert_eq!(report.faults()[0], ("node-unreachable", "node"), "{:#}", report.json);
    assert_eq!(report.code, 1);
}

/// A port that was free a moment ago.
fn free() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// nginx sends to an address at which only the doctor listens.
async fn before_doctor(address: &str, location: &str) -> Relay {
    Relay::nginx(&format!(
        "http {{ server {{ listen LISTEN; location / {{ proxy_pass http://{address}; {location} }} }} }}"
    ))
    .await
}

#[tokio::test]
async fn what_arrives_at_a_node_is_shown() {
    let good = GOOD.replace("$connection_upgrade", "upgrade");
    let own = free();
    let proxy = before_doctor(&own, &format!("{good} proxy_buffering off;")).await;
    let report = doctor(&[&format!("http://{}", proxy.address), "--as-node", &own]).await;
    let arrival = &report.json["observations"]["arrival"];
    assert_eq!(arrival["polling"]["version"], "HTTP/1.1", "{arrival:#}");
    assert_eq!(arrival["streams"], true, "{arrival:#}");
    report.has(&[]);

    let own = free();
    let proxy = before_doctor(&own, "proxy_set_header Upgrade '';").await;
    let report = doctor(&[&format!("http://{}", proxy.address), "--as-node", &own]).await;
    let faults = report.faults();
    for fault in ["upgrade-lost", "forwarded-missing", "host-changed"] {
        assert!(faults.contains(&(fault, "proxy")), "{fault}: {faults:?}");
    }
}
