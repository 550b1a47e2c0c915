//! Backup nodes: they get new sessions only while no other node can take one.

use crate::admin::ask_at;
use crate::support::websocket::{ask, open};
use crate::support::{Exposition, FakeNode, Proxy, ProxyProcess, get};

const OPEN: &str = "/socket.io/?EIO=4&transport=polling";
const WEBSOCKET: &str = "/socket.io/?EIO=4&transport=websocket";
const IN_USE: &str = "sockeye_upstream_backups_in_use{upstream=\"chat\"}";

/// A proxy before `primary` and the backup.
fn file(primary: &FakeNode, backup: &FakeNode, upstream: &str) -> String {
    let [primary, backup] = [primary.address, backup.address];
    format!(
        "listeners: [{{ bind: '127.0.0.1:0' }}]\nadmin: {{ bind: '127.0.0.1:0' }}\n\
         upstreams:\n  chat:\n    nodes:\n    - {{ name: a, address: '{primary}' }}\n\
         \x20   - {{ name: b, address: '{backup}', backup: true }}\n    {upstream}\n\
         routes: [{{ upstream: chat }}]\n"
    )
}

async fn order(proxy: &Proxy, order: &str) {
    assert_eq!(ask_at(proxy.admin.unwrap(), "POST", order, &[]).await.0, 200);
}

/// The sid of a session that begins by polling; its first letter names the node.
async fn opened(proxy: &Proxy) -> String {
    let text = get(proxy.address, OPEN).await.text();
    let (_, sid) = text.split_once("\"sid\":\"").unwrap();
    sid.split('"').next().unwrap().to_owned()
}

#[tokio::test]
async fn sessions_of_a_backup_stay_and_new_ones_return_to_the_primary() {
    let (primary, backup) = (FakeNode::engineio("a").await, FakeNode::engineio("b").await);
    let proxy = Proxy::start(&file(&primary, &backup, ""));
    let admin = proxy.admin.unwrap();
    for _ in 0..5 {
        assert!(opened(&proxy).await.starts_with('a'));
        get(proxy.address, "/plain").await;
    }
    drop(open(proxy.address, WEBSOCKET).await);
    assert_eq!(backup.requests().len(), 0);
    assert_eq!(Exposition::scrape(admin).await.value(IN_USE), 0.0);

    order(&proxy, "/nodes/a/drain").await;
    let on_backup = opened(&proxy).await;
    assert!(on_backup.starts_with('b'), "{on_backup}");
    let _tunnel = open(proxy.address, WEBSOCKET).await;
    assert_eq!(backup.requests().len(), 2);
    assert_eq!(Exposition::scrape(admin).await.value(IN_USE), 1.0);
    let nodes = ask_at(admin, "GET", "/nodes", &[]).await.1.to_string();
    assert!(nodes.contains("backup, in use"), "{nodes}");

    order(&proxy, "/nodes/a/undrain").await;
    assert!(opened(&proxy).await.starts_with('a'));
    let poll = format!("{OPEN}&sid={on_backup}");
    let before = backup.requests().len();
    assert_eq!(get(proxy.address, &poll).await.status(), 200);
    assert_eq!(backup.requests().len(), before + 1, "the session is on the backup");
    let nodes = ask_at(admin, "GET", "/nodes", &[]).await.1.to_string();
    assert!(nodes.contains("backup, not needed now"), "{nodes}");
}

#[tokio::test]
async fn a_client_whose_cookie_names_a_backup_stays_there() {
    let (primary, backup) = (FakeNode::engineio("a").await, FakeNode::engineio("b").await);
    let proxy = Proxy::start(&file(&primary, &backup, "affinity: cookie"));
    order(&proxy, "/nodes/a/drain").await;
    let answer = get(proxy.address, "/").await;
    let cookie = answer.head.field("set-cookie").unwrap();
    let cookie = format!("Cookie: {}", cookie.split(';').next().unwrap());

    order(&proxy, "/nodes/a/undrain").await;
    ask(proxy.address, WEBSOCKET, &[&cookie]).await;
    assert_eq!((primary.requests().len(), backup.requests().len()), (0, 2));
    ask(proxy.address, WEBSOCKET, &[]).await;
    assert_eq!((primary.requests().len(), backup.requests().len()), (1, 2));
}

#[tokio::test]
async fn a_full_primary_brings_the_backup_into_use() {
    let (primary, backup) = (FakeNode::engineio("a").await, FakeNode::engineio("b").await);
    let proxy = Proxy::start(&file(&primary, &backup, "max_connections: 1"));
    let _first = open(proxy.address, WEBSOCKET).await;
    let _second = open(proxy.address, WEBSOCKET).await;
    assert_eq!((primary.requests().len(), backup.requests().len()), (1, 1));
}

#[tokio::test]
async fn the_log_says_when_backups_are_in_use() {
    let (primary, backup) = (FakeNode::engineio("a").await, FakeNode::engineio("b").await);
    let yaml = file(&primary, &backup, "").replace("admin: { bind: '127.0.0.1:0' }\n", "");
    let drained = yaml.replace("name: a,", "name: a, drain: true,");
    let mut proxy = ProxyProcess::start(&yaml).await;
    std::fs::write(&proxy.file, drained).unwrap();
    let line = proxy.until_log("backups are in use").await.replace('"', "");
    assert!(line.contains("upstream=chat") && line.contains("backups=b"), "{line}");
    std::fs::write(&proxy.file, yaml).unwrap();
    proxy.until_log("backups are no longer needed").await;
}
