//! The log, when nobody reads it.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::timeout;

use crate::support::{Client, Exposition, ProxyProcess, config, request};

/// A proxy whose standard error is not read from now on, and its admin listener.
async fn unread() -> (ProxyProcess, SocketAddr) {
    let yaml = config(&["127.0.0.1:1".parse().unwrap()], "", "")
        .replace("path: /,", "path: /elsewhere/,")
        + "admin: { bind: '127.0.0.1:0' }\nlog: { level: debug }\nstop: { timeout: 1s }\n";
    let mut proxy = ProxyProcess::start(&yaml).await;
    let line = proxy.until_log("admin listener").await;
    let admin = line.split("address=").nth(1).unwrap().trim().parse().unwrap();
    proxy.until_log(" ready").await;
    (proxy, admin)
}

/// Asks for what has no route, which is a line of the log each time, until so many lines are lost.
async fn ask_until_lost(proxy: &ProxyProcess, admin: SocketAddr, lines: f64) {
    let mut client = Client::connect(proxy.address).await;
    let batch = request("GET", "/", &[], "").repeat(BATCH);
    for _ in 0..1000 {
        client.send(&batch).await;
        for _ in 0..BATCH {
            assert_eq!(client.response().await.status(), 404);
        }
        if Exposition::scrape(admin).await.value("sockeye_log_lines_lost_total") >= lines {
            return;
        }
    }
    panic!("somebody reads on");
}

#[tokio::test]
async fn an_unread_log_delays_nothing_and_lost_lines_are_counted() {
    let (mut proxy, admin) = unread().await;
    ask_until_lost(&proxy, admin, 1.0).await;

    let line = proxy.until_log("log lines were lost").await;
    let lines: f64 = line.split("lines=").nth(1).unwrap().trim().parse().unwrap();
    let page = Exposition::scrape(admin).await;
    assert_eq!(page.value("sockeye_log_lines_lost_total"), lines, "{line}");
}

#[tokio::test]
async fn a_log_that_nobody_reads_does_not_hold_the_end_up() {
    let (mut proxy, admin) = unread().await;
    ask_until_lost(&proxy, admin, 1.0).await;
    proxy.signal("TERM");
    let ended = timeout(Duration::from_secs(10), proxy.child.wait()).await.expect("in time");
    assert_eq!(ended.unwrap().code(), Some(0));
}

/// Requests that are sent at once.
const BATCH: usize = 200;
