//! Client libraries come back through the proxy after each end that it makes itself, and the manual
//! tells the codes and the libraries.

use serde_json::{Value, json};

use crate::support::Site;
use crate::support::balancer::Balancer;
use crate::support::socketio::{NodeServer, ReturningClients};

const MANUAL: &str = include_str!("../../docs/troubleshooting.md");

/// What the manual's table says of an end: the code, or what there is in place of one, and who
/// reconnects.
fn manual(end: &str) -> (&'static str, &'static str) {
    let mut section =
        MANUAL.lines().skip_while(|line| *line != "## Who reconnects after which end");
    let row = section.find(|line| line.starts_with('|') && line.contains(end)).expect("a row");
    let cells: Vec<&str> = row.split('|').map(str::trim).collect();
    (cells[2], cells[3])
}

/// What clients saw of `end` is what the manual says of the end of that `name`.
#[track_caller]
fn check(table: &Value, end: &str, name: &str) {
    let (gets, who) = manual(name);
    // A connection that ends without a Close frame has this code in a browser (RFC 6455, section 7.1.5).
    let code = gets.parse().unwrap_or(1006);
    let back: Vec<&str> =
        table[end]["back"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(table[end]["codes"], json!([code]), "{end}");
    assert_eq!(back.join(", "), who, "{end}");
}

#[tokio::test]
async fn client_libraries_come_back_after_each_end_as_the_manual_says() {
    let (stays, leaves) =
        (NodeServer::start_protocols().await, NodeServer::start_protocols().await);
    let yaml = |moving: &NodeServer| {
        format!(
            "listeners: [{{ bind: '127.0.0.1:0' }}]\n\
             upstreams:\n  \
               chat: {{ nodes: ['{}'] }}\n  \
               moving: {{ nodes: ['{}'], drain: {{ timeout: 1s, closes_per_second: 100 }} }}\n\
             routes:\n  \
               - {{ path: /, upstream: chat }}\n  \
               - {{ path: /idle, upstream: chat, tunnel: {{ idle_timeout: 1s }} }}\n  \
               - {{ path: /idle-messages, upstream: chat, tunnel: {{ idle_messages: 1s }} }}\n  \
               - {{ path: /max-age, upstream: chat, tunnel: {{ max_age: 10s }} }}\n  \
               - path: /lost\n    \
                 upstream: chat\n    \
                 tunnel: {{ keepalive: {{ every: 1s, lost_after: 1s }} }}\n  \
               - {{ path: /drained, upstream: moving }}\n",
            stays.address(),
            moving.address(),
        )
    };
    let site = Site::start(&yaml(&leaves));
    let ends = ["left", "failed", "idle", "idle-messages", "max-age", "lost", "drained"];
    let url = |end| format!("http://{}/{end}", site.address());
    let clients = ReturningClients::start(&ends.map(url)).await;
    site.reload(&yaml(&stays)).await.unwrap();

    let table = clients.table().await;
    check(&table, "left", "`node_left`");
    check(&table, "idle", "`idle`");
    check(&table, "idle-messages", "`idle_messages`");
    check(&table, "max-age", "`max_age`");
    check(&table, "lost", "`keepalive_lost` of the node");
    check(&table, "drained", "`node_drained`");
    // Why no end of the proxy's own has it.
    let (_, all) = manual("`node_left`");
    let rest: Vec<&str> = all.split(", ").filter(|library| *library != "graphql-ws").collect();
    assert_eq!(table["failed"], json!({ "codes": [1011], "back": rest }));
}

#[tokio::test]
async fn client_libraries_come_back_through_the_other_proxy_when_one_stops() {
    let node = NodeServer::start_protocols().await;
    let yaml = format!(
        "listeners: [{{ bind: '127.0.0.1:0' }}]\n\
         upstreams: {{ chat: {{ nodes: ['{}'] }} }}\n\
         routes: [{{ path: /, upstream: chat }}]\n\
         shutdown: {{ timeout: 2s }}\n",
        node.address(),
    );
    let (mut leaving, staying) = (Site::start(&yaml), Site::start(&yaml));
    let balancer = Balancer::over(vec![leaving.address()]).await;
    let clients = ReturningClients::start(&[format!("{}/stopped", balancer.url())]).await;
    balancer.replace(leaving.address(), staying.address());
    leaving.begin_stop();

    check(&clients.table().await, "stopped", "`drained`");
}
