//! Certificates from pebble, from the first order to the end of the account.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{sleep, timeout};

use super::pebble::{CUSTOMER, NAME, Options, Pebble};
use crate::admin::ask_at;
use crate::support::{Client, Exposition, FakeNode, Site, ok};

/// A proxy with a listener for proofs and one for clients.
fn config(pebble: &Pebble, node: &FakeNode, store: &Path, more: Value) -> String {
    let http = format!("127.0.0.1:{}", pebble.http_port);
    let tls = format!("127.0.0.1:{}", pebble.tls_port);
    let listeners = json!([{ "bind": http }, { "bind": tls, "tls": { "acme": [NAME] } }]);
    with_listeners(pebble, node, store, (listeners, more))
}

fn with_listeners(
    pebble: &Pebble,
    node: &FakeNode,
    store: &Path,
    (listeners, more): (Value, Value),
) -> String {
    let section = pebble.section(store, more);
    format!(
        "listeners: {listeners}\n{section}admin: {{ bind: '127.0.0.1:0' }}\n\
         upstreams: {{ chat: {{ nodes: ['{}'] }} }}\nroutes: [{{ upstream: chat }}]\n",
        node.address
    )
}

async fn node() -> FakeNode {
    FakeNode::start(|_| ok("from the node")).await
}

fn tls_address(pebble: &Pebble) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], pebble.tls_port))
}

/// Waits until the status of the name is as `is_so` wants it.
async fn until(site: &Site, is_so: impl Fn(&Value) -> bool) -> Value {
    let admin = site.admin.unwrap();
    let mut last = Value::Null;
    let found = timeout(Duration::from_secs(60), async {
        loop {
            let (_, status) = ask_at(admin, "GET", "/status", &[]).await;
            last = status["certificate_orders"].get(0).cloned().unwrap_or_default();
            if is_so(&last) {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
    });
    if found.await.is_err() {
        panic!("the status is {last:#}");
    }
    last
}

async fn until_issued(site: &Site) -> Value {
    until(site, |name| name["expires_at"].is_u64()).await
}

/// Waits until the listener shows a certificate of pebble.
async fn until_served(pebble: &Pebble) {
    let served = timeout(Duration::from_secs(20), async {
        while pebble.connect(tls_address(pebble)).await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
    });
    served.await.expect("the certificate is served");
}

async fn orders(site: &Site, outcome: &str) -> f64 {
    let page = Exposition::scrape(site.admin.unwrap()).await;
    page.value(&format!("sockeye_certificate_orders_total{{outcome=\"{outcome}\"}}"))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs pebble: cargo xtask edge"]
async fn a_request_proves_a_name_and_clients_get_the_certificate() {
    let (pebble, node) = (Pebble::start(Options::default()).await, node().await);
    let store = tempfile::tempdir().unwrap();
    let site = Site::start(&config(&pebble, &node, store.path(), json!({})));
    until_issued(&site).await;
    until_served(&pebble).await;

    let mut stream = pebble.connect(tls_address(&pebble)).await.unwrap();
    let request = format!("GET / HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("from the node"), "{answer}");

    let mut plain = Client::connect(site.addresses[0]).await;
    let other = plain.get("/.well-known/acme-challenge/unknown").await;
    assert_eq!(other.text(), "from the node", "only proofs are answered here");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs pebble: cargo xtask edge"]
async fn a_handshake_proves_a_name() {
    let (pebble, node) = (Pebble::start(Options::default()).await, node().await);
    let store = tempfile::tempdir().unwrap();
    let tls = format!("127.0.0.1:{}", pebble.tls_port);
    let listeners = json!([{ "bind": tls, "tls": { "acme": [NAME] } }]);
    let more = json!({ "challenge": "tls-alpn-01" });
    let site = Site::start(&with_listeners(&pebble, &node, store.path(), (listeners, more)));
    until_issued(&site).await;
    until_served(&pebble).await;
    pebble.shown(tls_address(&pebble)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs pebble: cargo xtask edge"]
async fn a_certificate_is_renewed_and_connections_stay() {
    let options = Options { life: Duration::from_secs(20), ..Options::default() };
    let (pebble, node) = (Pebble::start(options).await, node().await);
    let store = tempfile::tempdir().unwrap();
    let site = Site::start(&config(&pebble, &node, store.path(), json!({})));
    let first = until_issued(&site).await["expires_at"].as_u64();
    until_served(&pebble).await;
    let old = pebble.shown(tls_address(&pebble)).await;
    let mut stream = pebble.connect(tls_address(&pebble)).await.unwrap();

    until(&site, |name| name["expires_at"].as_u64() > first).await;
    let renewed = timeout(Duration::from_secs(20), async {
        while pebble.shown(tls_address(&pebble)).await == old {
            sleep(Duration::from_millis(20)).await;
        }
    });
    renewed.await.expect("the new certificate is served");
    let request = format!("GET / HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("from the node"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs pebble: cargo xtask edge"]
async fn a_storm_of_refused_nonces_ends_no_order() {
    let options = Options { refused_nonces_percent: 70, ..Options::default() };
    let (pebble, node) = (Pebble::start(options).await, node().await);
    let store = tempfile::tempdir().unwrap();
    let site = Site::start(&config(&pebble, &node, store.path(), json!({})));
    until_issued(&site).await;
    assert_eq!(orders(&site, "failed").await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs pebble: cargo xtask edge"]
async fn an_authority_that_is_down_does_not_keep_the_proxy_from_its_work() {
    let options = Options::default();
    let (mut pebble, node) = (Pebble::prepare(options).await, node().await);
    let store = tempfile::tempdir().unwrap();
    let site = Site::start(&config(&pebble, &node, store.path(), json!({})));
    let failed = until(&site, |name| name["failures"].as_u64() > Some(0)).await;
    let said = failed["failure"].as_str().unwrap();
    assert!(said.starts_with("cannot connect to localhost"), "{said}");
    let mut plain = Client::connect(site.addresses[0]).await;
    assert_eq!(plain.get("/").await.text(), "from the node");

    pebble.run(options).await;
    let more = json!({ "contact": ["ops@example.com"] });
    site.reload(&config(&pebble, &node, store.path(), more)).await.unwrap();
    until_issued(&site).await;
    until_served(&pebble).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs pebble: cargo xtask edge"]
async fn a_customer_shows_the_key_that_the_authority_gave() {
    let options = Options { needs_customer: true, ..Options::default() };
    let (pebble, node) = (Pebble::start(options).await, node().await);
    let store = tempfile::tempdir().unwrap();
    let site = Site::start(&config(&pebble, &node, store.path(), json!({})));
    let refused = until(&site, |name| name["failures"].as_u64() > Some(0)).await;
    let said = refused["failure"].as_str().unwrap();
    assert!(said.contains("write acme.eab"), "{said}");

    let secret = store.path().join("eab.hmac");
    std::fs::write(&secret, format!("{}\n", CUSTOMER[1])).unwrap();
    let more = json!({ "eab": { "kid": CUSTOMER[0], "hmac_file": secret } });
    site.reload(&config(&pebble, &node, store.path(), more)).await.unwrap();
    until_issued(&site).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs pebble: cargo xtask edge"]
async fn a_name_that_the_authority_refuses_is_not_ordered_again() {
    let (pebble, node) = (Pebble::start(Options::default()).await, node().await);
    let store = tempfile::tempdir().unwrap();
    let refused =
        config(&pebble, &node, store.path(), json!({})).replace(NAME, "refused.example.com");
    let site = Site::start(&refused);
    let failed = until(&site, |name| name["failures"].as_u64() > Some(0)).await;
    let said = failed["failure"].as_str().unwrap();
    assert!(said.contains("take the name out"), "{said}");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    assert!(failed["next_order_at"].as_u64().unwrap() > now.as_secs() + 23 * 3600);
}

/// Two proxies with one store, of which only the second has names, so that it orders. Requests for
/// proofs reach the first one alone.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs pebble: cargo xtask edge"]
async fn each_proxy_of_a_store_answers_for_the_one_that_orders() {
    let (pebble, node) = (Pebble::start(Options::default()).await, node().await);
    let store = tempfile::tempdir().unwrap();
    let http = format!("127.0.0.1:{}", pebble.http_port);
    let answers = (json!([{ "bind": http }]), json!({}));
    let _answers = Site::start(&with_listeners(&pebble, &node, store.path(), answers));
    let tls = format!("127.0.0.1:{}", pebble.tls_port);
    let orders = (json!([{ "bind": tls, "tls": { "acme": [NAME] } }]), json!({}));
    let orders = Site::start(&with_listeners(&pebble, &node, store.path(), orders));
    until_issued(&orders).await;
    until_served(&pebble).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs pebble: cargo xtask edge"]
async fn of_two_proxies_with_one_store_one_orders_and_a_restart_orders_nothing() {
    let (pebble, node) = (Pebble::start(Options::default()).await, node().await);
    let store = tempfile::tempdir().unwrap();
    let first = Site::start(&config(&pebble, &node, store.path(), json!({})));
    let any = json!([{ "bind": "127.0.0.1:0", "tls": { "acme": [NAME] } }]);
    let any = with_listeners(&pebble, &node, store.path(), (any, json!({})));
    let second = Site::start(&any);
    until_issued(&first).await;
    until_issued(&second).await;
    assert_eq!(orders(&first, "issued").await + orders(&second, "issued").await, 1.0);

    let mut ends = second;
    ends.begin_stop();
    ends.ended().await;
    let again = Site::start(&any);
    until_issued(&again).await;
    assert_eq!(orders(&again, "issued").await, 0.0);
    let shown = pebble.shown(again.address()).await;
    until_served(&pebble).await;
    assert_eq!(shown, pebble.shown(tls_address(&pebble)).await);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs pebble: cargo xtask edge"]
async fn an_account_that_was_deactivated_is_reported_and_the_certificate_stays() {
    let options = Options { life: Duration::from_secs(12), ..Options::default() };
    let (pebble, node) = (Pebble::start(options).await, node().await);
    let store = tempfile::tempdir().unwrap();
    let site = Site::start(&config(&pebble, &node, store.path(), json!({})));
    until_issued(&site).await;
    deactivate(&pebble, &store).await;
    let failed = until(&site, |name| name["failures"].as_u64() > Some(0)).await;
    let said = failed["failure"].as_str().unwrap();
    assert!(said.contains("the account is deactivated"), "{said}");
    assert!(failed["expires_at"].is_u64());
}

/// Ends the account of the store, as its owner may do at any time.
async fn deactivate(pebble: &Pebble, store: &TempDir) {
    let file = std::fs::read_dir(store.path().join("accounts")).unwrap().next().unwrap().unwrap();
    let mut kept: Value = serde_json::from_slice(&std::fs::read(file.path()).unwrap()).unwrap();
    let credentials = serde_json::from_value(kept["credentials"].take()).unwrap();
    let builder = instant_acme::Account::builder_with_root(pebble.ca()).unwrap();
    let account = builder.from_credentials(credentials).await.unwrap();
    account.deactivate().await.unwrap();
}
