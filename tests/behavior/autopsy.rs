//! Why sessions end: real servers, clients and proxies break in every way, and the log names the cause.

use std::time::Duration;

use tokio::io::AsyncReadExt as _;

use crate::support::ProxyProcess;
use crate::support::relay::Relay;
use crate::support::socketio::{NodeServer, StayingClients};
use crate::support::websocket::{self, text};
use crate::support::{Client, get};

const WEBSOCKET: &str = "/socket.io/?EIO=4&transport=websocket";

/// A heartbeat of a second, as quick as a real server has it.
const QUICK: [&str; 4] = ["--ping-interval", "1000", "--ping-timeout", "1500"];

async fn proxy(nodes: &[&NodeServer], route: &str) -> ProxyProcess {
    let nodes: Vec<_> = nodes.iter().map(|node| format!("'{}'", node.address())).collect();
    ProxyProcess::start(&format!(
        "listeners: [{{ bind: '127.0.0.1:0' }}]\n\
         upstreams: {{ chat: {{ nodes: [{}] }} }}\n\
         routes: [{{ path: /, upstream: chat{route} }}]\n",
        nodes.join(", ")
    ))
    .await
}

/// A client of Socket.IO by hand, connected.
async fn connected(proxy: &ProxyProcess) -> Client {
    let mut client = websocket::open(proxy.address, WEBSOCKET).await;
    assert!(client.frame().await.unwrap().1.starts_with(b"0{"));
    client.send(text("40")).await;
    assert!(client.frame().await.unwrap().1.starts_with(b"40{"));
    client
}

/// Answers so many heartbeats.
async fn answer_heartbeats(client: &mut Client, count: usize) {
    for _ in 0..count {
        while client.frame().await.expect("a heartbeat").1 != b"2" {}
        client.send(text("3")).await;
    }
}

/// The next end has this cause, or none.
async fn expect_cause(proxy: &mut ProxyProcess, end: &str, cause: Option<&str>) -> String {
    let line = proxy.until_log("tunnel ended").await;
    let named = |name: &str, value: &str| line.contains(&format!("{name}=\"{value}\""));
    assert!(named("end", end), "{end}: {line}");
    match cause {
        Some(cause) => assert!(named("cause", cause), "{cause}: {line}"),
        None => assert!(!line.contains("cause="), "{line}"),
    }
    line
}

#[tokio::test]
async fn a_node_with_a_blocked_event_loop_is_named() {
    let node = NodeServer::start(&QUICK).await;
    let mut proxy = proxy(&[&node], "").await;
    let url = format!("http://{}", proxy.address);
    let arguments = ["--url", &url, "--clients", "1", "--transports", "websocket"];
    let mut clients = StayingClients::start(&arguments).await;
    // The client has to see the usual time between two heartbeats first.
    let mut watcher = connected(&proxy).await;
    answer_heartbeats(&mut watcher, 3).await;
    watcher.send(websocket::close(1000)).await;
    expect_cause(&mut proxy, "client_closed", None).await;
    get(node.address().parse().unwrap(), "/block/6000").await;
    clients.event("disconnect").await;
    let line = expect_cause(&mut proxy, "client_closed", Some("blocked_event_loop")).await;
    assert!(line.contains("late") || line.contains("silent"), "{line}");
}

#[tokio::test]
async fn a_client_that_does_not_answer_heartbeats_and_answers_the_close_is_unresponsive() {
    let node = NodeServer::start(&QUICK).await;
    let mut proxy = proxy(&[&node], "").await;
    let mut client = connected(&proxy).await;
    answer_heartbeats(&mut client, 2).await;
    // It reads and says nothing, as a page does whose scripts are suspended; the browser answers a Close.
    while client.frame().await.expect("a Close frame").0 != 8 {}
    client.send(websocket::close(1000)).await;
    expect_cause(&mut proxy, "node_closed", Some("client_unresponsive")).await;
}

#[tokio::test]
async fn a_client_that_is_gone_is_named() {
    let node = NodeServer::start(&QUICK).await;
    let mut proxy = proxy(&[&node], "").await;
    let mut client = connected(&proxy).await;
    answer_heartbeats(&mut client, 2).await;
    // Nothing is read or sent any more, and no FIN comes.
    expect_cause(&mut proxy, "node_closed", Some("client_gone")).await;
    drop(client);
}

#[tokio::test]
async fn a_client_that_does_not_read_is_named() {
    let node = NodeServer::start(&[]).await;
    let mut proxy = proxy(&[&node], ", tunnel: { stalled_client: 2s }").await;
    let mut client = connected(&proxy).await;
    // A megabyte a second is sent to it, and the kernel keeps little for it.
    socket2::SockRef::from(&client.stream).set_recv_buffer_size(4096).unwrap();
    client.send(text("42[\"flood\"]")).await;
    let line = proxy.until_log("tunnel ended").await;
    assert!(line.contains("cause=\"client_not_reading\""), "{line}");
}

#[tokio::test]
async fn a_proxy_before_us_that_cuts_quiet_connections_is_named_with_its_timeout() {
    let node = NodeServer::start(&[]).await;
    let mut proxy = proxy(&[&node], "").await;
    let lines = format!("\n  timeout tunnel 5s\n  server s {}", proxy.address);
    let haproxy = Relay::haproxy(&lines);
    let mut clients = Vec::new();
    let mut pace = tokio::time::interval(Duration::from_millis(1200));
    for _ in 0..3 {
        pace.tick().await;
        clients.push(websocket::open(haproxy.address, "/raw").await);
    }
    expect_cause(&mut proxy, "client_left", None).await;
    expect_cause(&mut proxy, "client_left", None).await;
    let line = expect_cause(&mut proxy, "client_left", Some("intermediary_timeout")).await;
    assert!(line.contains(" 5 s after the last byte"), "{line}");
}

#[tokio::test]
async fn a_node_that_crashes_or_restarts_is_named() {
    for in_order in [false, true] {
        let mut node = NodeServer::start(&[]).await;
        let mut proxy = proxy(&[&node], "").await;
        let mut clients = Vec::new();
        for _ in 0..3 {
            clients.push(connected(&proxy).await);
        }
        match in_order {
            true => node.stop().await,
            false => node.kill().await,
        }
        for client in &mut clients {
            let mut rest = Vec::new();
            if in_order {
                while client.frame().await.expect("a Close frame").0 != 8 {}
                client.send(websocket::close(1000)).await;
            }
            let _ = client.stream.read_to_end(&mut rest).await;
        }
        for _ in 0..3 {
            let line = proxy.until_log("tunnel ended").await;
            assert!(line.contains("cause=\"node_restarted\""), "in order: {in_order}: {line}");
        }
    }
}

#[tokio::test]
async fn ordinary_ends_have_no_cause() {
    let node = NodeServer::start(&QUICK).await;
    let mut proxy = proxy(&[&node], "").await;
    // It closes, or it leaves without a word.
    let mut client = connected(&proxy).await;
    answer_heartbeats(&mut client, 1).await;
    client.send(websocket::close(1000)).await;
    expect_cause(&mut proxy, "client_closed", None).await;
    let mut client = connected(&proxy).await;
    answer_heartbeats(&mut client, 1).await;
    drop(client);
    expect_cause(&mut proxy, "client_left", None).await;
}
