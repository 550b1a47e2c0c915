//! Who may use the admin listener, and what is logged of it.

use std::net::SocketAddr;
use std::process::{Command, Output};

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::admin::ask_at;
use crate::support::tls::Authority;
use crate::support::{Client, FakeNode, Proxy, ProxyProcess, Site, config, ok, request};

/// `ann` has the password `secret`.
const ANN: &str = "'ann:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a'";
const BY_ANN: &str = "Authorization: Basic YW5uOnNlY3JldA==";

/// The line of a key that is called as its holder.
fn key(name: &str) -> String {
    let hash = digest(&SHA256, format!("key of {name}").as_bytes());
    let hash: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("'{name}:sha256${hash}'")
}

fn auth(more: &str) -> String {
    format!(
        "auth: {{ operate_keys: [{}], read_keys: [{ANN}], metrics_keys: [{}]{more} }}",
        key("ci"),
        key("prometheus")
    )
}

fn yaml(node: &FakeNode, admin: &str) -> String {
    config(&[node.address], "", "") + &format!("admin: {{ bind: '127.0.0.1:0', {admin} }}\n")
}

/// The status of an answer.
async fn status(address: SocketAddr, method: &str, target: &str, fields: &[&str]) -> u16 {
    let mut client = Client::connect(address).await;
    let text = request(method, target, fields, "").replace("Host: test", "Host: localhost");
    client.send(text).await;
    client.response().await.status()
}

#[tokio::test]
async fn each_role_may_do_its_own_and_no_more() {
    let node = FakeNode::start(|_| ok("yes")).await;
    let proxy = Proxy::start(&yaml(&node, &auth("")));
    let admin = proxy.admin.unwrap();
    let by_ci = "Authorization: Bearer key of ci";
    let by_prometheus = "Authorization: Bearer key of prometheus";
    let wrong = "Authorization: Bearer key of nobody";
    let drain = format!("/nodes/{}/drain", node.address);
    for (fields, open, metrics, read, operate) in [
        (&[][..], 200, 401, 401, 401),
        (&[wrong], 200, 401, 401, 401),
        (&[by_prometheus], 200, 200, 403, 403),
        (&[BY_ANN], 200, 200, 200, 403),
        (&[by_ci], 200, 200, 200, 200),
    ] {
        assert_eq!(status(admin, "GET", "/live", fields).await, open, "{fields:?}");
        assert_eq!(status(admin, "GET", "/metrics", fields).await, metrics, "{fields:?}");
        for target in ["/status", "/config", "/nodes", "/route?url=http://a/"] {
            assert_eq!(status(admin, "GET", target, fields).await, read, "{fields:?} {target}");
        }
        assert_eq!(status(admin, "POST", &drain, fields).await, operate, "{fields:?}");
    }
    let (_, shown) = ask_at(admin, "GET", "/config", &[by_ci]).await;
    let keys = &shown["admin"]["auth"];
    assert_eq!(keys["operate_keys"], json!(["ci:(hidden)"]), "{keys}");

    let mut client = Client::connect(admin).await;
    client.send("GET /nodes HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let refusal = client.response().await;
    let field = refusal.head.field("www-authenticate").unwrap();
    assert!(field.starts_with("Basic realm=\"Sockeye admin\""), "a browser asks for a password");

    let open = Proxy::start(&yaml(&node, &auth(", open_metrics: true")));
    assert_eq!(status(open.admin.unwrap(), "GET", "/metrics", &[]).await, 200);
    assert_eq!(status(open.admin.unwrap(), "GET", "/nodes", &[]).await, 401);
}

#[tokio::test]
async fn an_address_with_too_many_wrong_keys_is_not_listened_to() {
    let node = FakeNode::start(|_| ok("yes")).await;
    let proxy = Proxy::start(&yaml(&node, &auth("")));
    let admin = proxy.admin.unwrap();
    for _ in 0..10 {
        assert_eq!(status(admin, "GET", "/nodes", &["Authorization: Bearer x"]).await, 401);
    }
    assert_eq!(status(admin, "GET", "/nodes", &["Authorization: Bearer key of ci"]).await, 429);
    assert_eq!(status(admin, "GET", "/ready", &[]).await / 100 * 100 % 300, 200, "as before");
}

#[tokio::test]
async fn a_command_from_a_page_has_to_be_from_our_own() {
    let node = FakeNode::start(|_| ok("yes")).await;
    let proxy = Proxy::start(&yaml(&node, &auth("")));
    let admin = proxy.admin.unwrap();
    let drain = format!("/nodes/{}/drain", node.address);
    let by = "Authorization: Bearer key of ci";
    let command = async |fields: &[&str]| status(admin, "POST", &drain, fields).await;
    assert_eq!(command(&[by, "Origin: http://localhost", "X-Sockeye: 1"]).await, 200);
    assert_eq!(command(&[by, "Origin: http://localhost"]).await, 403);
    assert_eq!(command(&[by, "Origin: http://evil.example", "X-Sockeye: 1"]).await, 403);
    assert_eq!(command(&[by, "Origin: null", "X-Sockeye: 1"]).await, 403);
    assert_eq!(command(&["Origin: http://localhost", "X-Sockeye: 1"]).await, 401);
}

#[tokio::test]
async fn a_command_and_a_refusal_are_in_the_log_with_who_sent_them() {
    let node = FakeNode::start(|_| ok("yes")).await;
    let mut process = ProxyProcess::start(&yaml(&node, &auth(""))).await;
    let line = process.until_log("admin listener").await;
    let address = line.split("address=").nth(1).unwrap().trim().trim_matches('"').parse().unwrap();
    let drain = format!("/nodes/{}/drain", node.address);
    assert_eq!(status(address, "POST", &drain, &["Authorization: Bearer x"]).await, 401);
    process.until_log("admin request refused: the key or the password is wrong").await;
    assert_eq!(status(address, "POST", &drain, &[BY_ANN]).await, 403);
    let line = process.until_log("admin request refused: another role is needed").await;
    assert!(line.contains("operator=\"ann\"") && line.contains("client=127.0.0.1"), "{line}");
    let by_ci = ["Authorization: Bearer key of ci"];
    assert_eq!(status(address, "POST", &drain, &by_ci).await, 200);
    let line = process.until_log("admin command").await;
    assert!(line.contains("operator=\"ci\"") && line.contains("status=200"), "{line}");
    assert!(line.contains(&drain), "{line}");
}

#[tokio::test]
async fn keys_and_certificates_follow_the_file() {
    let authority = Authority::new();
    authority.issue("admin", "admin", &["localhost"]);
    let node = FakeNode::start(|_| ok("yes")).await;
    let site = Site::start(&yaml(&node, ""));
    let admin = site.admin.unwrap();
    assert_eq!(status(admin, "GET", "/nodes", &[]).await, 200);
    site.reload(&yaml(&node, &auth(""))).await.unwrap();
    assert_eq!(status(admin, "GET", "/nodes", &[]).await, 401);
    let tls = format!("tls: {{ {} }}, {}", authority.pair("admin"), auth(""));
    site.reload(&yaml(&node, &tls)).await.unwrap();
    let first = shown(&authority, admin).await;
    authority.issue("admin", "admin", &["localhost"]);
    site.reload(&yaml(&node, &tls)).await.unwrap();
    assert_ne!(shown(&authority, admin).await, first);
}

/// The certificate that the listener shows, which answers `/live`.
async fn shown(authority: &Authority, admin: SocketAddr) -> Vec<u8> {
    let mut stream = authority.connect(admin).await;
    let shown = stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
    let live = "GET /live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(live.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    shown
}

#[tokio::test]
async fn commands_have_a_key_and_know_the_certificate() {
    let authority = Authority::new();
    authority.issue("admin", "admin", &["localhost", "127.0.0.1"]);
    let node = FakeNode::start(|_| ok("yes")).await;
    let tls = format!("tls: {{ {} }}, {}", authority.pair("admin"), auth(""));
    let text = yaml(&node, &tls);
    let proxy = Proxy::start(&text);
    let address = proxy.admin.unwrap().to_string();
    let file = authority.path("sockeye.yaml");
    std::fs::write(&file, text.replace("127.0.0.1:0', tls", &format!("{address}', tls"))).unwrap();
    let key_file = authority.path("key");
    std::fs::write(&key_file, "key of ci\n").unwrap();
    let (file, key_file) = (file.display().to_string(), key_file.display().to_string());
    let ca = authority.path("ca.pem").display().to_string();

    let by_file = ["nodes", "--json", "--config", &file, "--admin-key-file", &key_file];
    let (code, shown, error) = said(&sockeye(&by_file, None));
    assert_eq!(code, Some(0), "{error}");
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["upstreams"][0]["name"], "chat");
    let by_authority = ["nodes", "--admin", &address, "--admin-ca", &ca];
    let (code, _, error) = said(&sockeye(&by_authority, Some("ann:secret")));
    assert_eq!(code, Some(0), "{error}");

    let (code, _, error) = said(&sockeye(&["nodes", "--config", &file], None));
    assert!(code == Some(1) && error.contains("a key is needed"), "{error}");
    let (code, _, error) = said(&sockeye(&["reload", "--config", &file], Some("ann:secret")));
    assert!(code == Some(1) && error.contains("this needs `operate`"), "{error}");
    let other = Authority::new();
    let ca = other.path("ca.pem").display().to_string();
    let by_other = ["nodes", "--admin", &address, "--admin-ca", &ca];
    let (code, _, error) = said(&sockeye(&by_other, Some("ann:secret")));
    assert_eq!(code, Some(1), "a certificate of another authority is not accepted: {error}");
}

fn sockeye(arguments: &[&str], key: Option<&str>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sockeye"));
    command.args(arguments).env_remove("SOCKEYE_ADMIN_KEY");
    if let Some(key) = key {
        command.env("SOCKEYE_ADMIN_KEY", key);
    }
    command.output().unwrap()
}

fn said(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}
