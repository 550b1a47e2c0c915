//! `sockeye route`: what would become of a request, by the file and by a running process, and that the
//! request then does become that.

use std::process::Command;

use serde_json::Value;

use crate::admin::ask_at;
use crate::support::{FakeNode, Proxy, Reply, get, ok, open_packet};

/// The exit code and the text of `sockeye route`.
fn route(arguments: &[&str]) -> (i32, String) {
    let output =
        Command::new(env!("CARGO_BIN_EXE_sockeye")).arg("route").args(arguments).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(said).unwrap())
}

/// A file with this configuration.
fn file(yaml: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), yaml).unwrap();
    file
}

const YAML: &str = "
listeners: [{ bind: ':8080', trusted_proxies: [10.9.0.0/16] }]
upstreams:
  chat:
    nodes:
      - { address: '10.0.0.1:1', name: n1 }
      - { address: '10.0.0.2:1', name: n2 }
      - { address: '10.0.0.4:1', name: n4, drain: true }
  web: { nodes: ['10.0.0.3:1'], affinity: cookie }
routes:
  - { host: chat.example.com, path: /socket.io/, upstream: chat }
  - { host: '*.example.com', upstream: web }
  - host: app.example.com
    path: /app/
    upstream: web
    strip_prefix: /app
    deny: [192.0.2.0/24]
    auth: { basic: { passwords: ['ann:$2y$05$abcdefghijklmnopqrstuuu9bJ8gW5sWhhVnhlvYsPBWkzBR5Yl5C'] } }
    request_headers:
      set: { Host: app.internal, Authorization: hidden-secret, X-Auth-Token: hidden-secret }
      add: { Cookie: a=hidden-secret }
      remove: [X-Debug]
    response_headers: { set: { X-Frame-Options: DENY, X-Credential: hidden-secret } }
    cors: { origins: ['https://www.example.com'] }
";

/// `sockeye route` with [`YAML`] exits with this code and says all of `parts`.
fn check(arguments: &[&str], code: i32, parts: &[&str]) {
    let file = file(YAML);
    let config = ["--config", file.path().to_str().unwrap()];
    let (found, said) = route(&[arguments, &config[..]].concat());
    for part in parts {
        assert!(said.contains(part), "{part:?} is not in:\n{said}");
    }
    assert_eq!(found, code, "{said}");
    assert!(!said.contains("hidden-secret"), "{said}");
}

#[test]
fn a_request_has_a_route_an_upstream_and_nodes() {
    check(
        &["GET", "http://chat.example.com:8080/socket.io/?EIO=4&transport=polling"],
        0,
        &[
            "GET /socket.io/ for chat.example.com, from 127.0.0.1",
            "opens an Engine.IO session by polling",
            "listener   0.0.0.0:8080",
            "route      chat.example.com /socket.io/",
            "upstream   chat",
            "affinity   sid: any node may get it",
            "node       n1: may get it",
            "n4: if no other can",
            "*.example.com /: matches, but its host is less specific",
            "app.example.com /app/: the host does not match",
        ],
    );
}

#[test]
fn what_is_changed_and_who_may_use_it_is_said() {
    check(
        &[
            "GET",
            "http://app.example.com/app/x?y=1",
            "--header",
            "X-Debug: 1",
            "--header",
            "Origin: https://www.example.com",
        ],
        0,
        &[
            "access     deny: passes",
            "auth.basic: a name and a password, in Authorization: not checked",
            "path       the node gets /x?y=1",
            "+ host: app.internal",
            "+ authorization: (hidden)",
            "+ x-auth-token: (hidden)",
            "+ cookie: (hidden)",
            "+ x-credential: (hidden)",
            "- x-debug",
            "x-forwarded-prefix: /app",
            "to client  + ",
            "+ x-frame-options: DENY",
            "cors       pages of https://www.example.com may read the response",
        ],
    );
    check(
        &["GET", "http://app.example.com/app/", "--client", "192.0.2.7"],
        1,
        &["access     deny: refuses", "refused    403 address_refused"],
    );
    let behind_proxy = ["--client", "10.9.0.1", "--header", "X-Forwarded-For: 192.0.2.7"];
    let request = ["GET", "http://app.example.com/app/"];
    check(&[&request[..], &behind_proxy].concat(), 1, &["from 192.0.2.7", "deny: refuses"]);
    let preflight = [
        "OPTIONS",
        "http://app.example.com/app/",
        "--header",
        "Origin: https://www.example.com",
        "--header",
        "Access-Control-Request-Method: PUT",
    ];
    check(&preflight, 0, &["answered   204 self: cors of the route answers preflights"]);
}

#[test]
fn a_request_that_goes_nowhere_says_why() {
    check(
        &["GET", "http://other.test/"],
        1,
        &["route      none", "404", "the host does not match"],
    );
    check(
        &["GET", "http://example.com/"],
        1,
        &["*.example.com /: the host does not match: only names below it do"],
    );
    check(&["GET", "/socket.io/"], 1, &["for no host", "404"]);
    check(&["GET", "http://chat.example.com/a/../b"], 1, &["400 bad_target", "`.` or `..`"]);
    check(&["GET", "http://chat.example.com/%2e%2e/b"], 1, &["400 bad_target"]);
    check(&["CONNECT", "http://chat.example.com/"], 1, &["400 bad_target"]);
    check(&["GET", "http://chat.example.com/?EIO=4&EIO=3&transport=polling"], 1, &["400"]);
    check(
        &["GET", "http://chat.example.com/socket.io/", "--header", "Host: other.test"],
        1,
        &["none"],
    );
}

#[test]
fn what_the_listener_refuses_is_refused() {
    let request = ["GET", "http://www.example.com/"];
    let refused = |field: &str, part: &str| {
        check(&[&request[..], &["--header", field]].concat(), 1, &["refused    400 refused", part]);
    };
    refused("Transfer-Encoding: gzip", "Transfer-Encoding is chunked");
    refused("Content-Length: -1", "not one decimal number");
    check(&[&request[..], &["--header", "Content-Length: 1"]].concat(), 0, &["upstream   web"]);
    let long = format!("X: {}", "a".repeat(70_000));
    check(&[&request[..], &["--header", &long]].concat(), 1, &["refused    431 refused"]);
    check(&["OPTIONS", "*"], 0, &["answered   200 self"]);
    check(&["GET", "HTTPS://www.example.com?x=1"], 0, &["upstream   web"]);
}

#[test]
fn wrong_use_and_a_wrong_file_are_2() {
    check(&["GET", "http://a b/"], 2, &["is not a URL"]);
    check(&["GET", "ftp://a/"], 2, &["is not a URL: write https://"]);
    check(&["G T", "/"], 2, &["is not a method"]);
    check(&["GET", "/", "--header", "Host"], 2, &["write NAME:VALUE"]);
    check(&["GET", "/", "--client", "me"], 2, &["invalid value"]);
    check(&["GET"], 2, &["<URL>"]);
    assert_eq!(route(&["GET", "/", "--config", "configs/nowhere.yaml"]).0, 2);
    let broken = file("routes: 5");
    let (code, said) = route(&["GET", "/", "--config", broken.path().to_str().unwrap()]);
    assert!(code == 2 && said.contains("is not a list"), "{said}");
}

#[test]
fn an_upgrade_is_completed_as_a_client_does() {
    let websocket = "opens a WebSocket that is not Engine.IO's";
    check(&["GET", "ws://www.example.com/chat"], 0, &[websocket]);
    let upgrade = ["GET", "http://www.example.com/chat", "--header", "Upgrade:websocket"];
    check(&upgrade, 0, &[websocket]);
    check(
        &["GET", "wss://chat.example.com/socket.io/?EIO=4&transport=websocket"],
        0,
        &["opens an Engine.IO session by a WebSocket", "no listener has the port of the URL"],
    );
    check(
        &["POST", "http://www.example.com/chat", "--header", "Upgrade:websocket"],
        1,
        &["not a valid handshake: the method is not GET"],
    );
}

#[test]
fn what_answers_without_a_node_is_said() {
    let file = file(
        "upstreams: { api: { nodes: ['10.0.0.1:1'] } }
routes:
  - { path: /old/, redirect: { to: 'https://new.example.com${path}', status: 301 } }
  - { path: { exact: /ping }, respond: { body: pong } }
  - { path: /app/, files: { root: /srv/www } }
  - { path: /, files: { root: /srv/www }, upstream: api }
",
    );
    let check = |arguments: &[&str], code: i32, parts: &[&str]| {
        let config = ["--config", file.path().to_str().unwrap()];
        let (found, said) = route(&[arguments, &config[..]].concat());
        for part in parts {
            assert!(said.contains(part), "{part:?} is not in:\n{said}");
        }
        assert_eq!(found, code, "{said}");
    };
    let to = "answered   301 redirect: to https://new.example.com/old/x";
    check(&["GET", "http://a.b/old/x"], 0, &["target     redirect", to]);
    check(&["GET", "http://a.b/ping"], 0, &["answered   200 respond"]);
    check(&["GET", "http://a.b/app/x"], 0, &["answered   200 files: if there is a file"]);
    check(&["POST", "http://a.b/app/x"], 1, &["refused    405 method_not_allowed"]);
    check(
        &["GET", "http://a.b/x"],
        0,
        &["upstream   api", "node       10.0.0.1:1", "a file is sent"],
    );
    check(&["POST", "http://a.b/x"], 0, &["upstream   api", "node       10.0.0.1:1"]);
}

#[test]
fn control_characters_are_not_printed() {
    check(&["GET", "http://chat.example.com/\u{1b}[31m"], 2, &["\\u{1b}"]);
    check(
        &["GET", "http://www.example.com/", "--header", "X: \u{1b}[31m"],
        2,
        &["control character"],
    );
    check(&["GET", "http://www.example.com/%1b[31m"], 0, &["/%1b[31m"]);
}

#[tokio::test]
async fn a_running_process_knows_the_node_of_a_session_and_the_states_of_its_nodes() {
    let node = || {
        FakeNode::start(|request| match request.query("sid") {
            None => ok(&open_packet("abc")),
            Some(_) => Reply::Silence,
        })
    };
    let (a, b) = (node().await, node().await);
    let yaml = format!(
        "listeners: [{{ bind: '127.0.0.1:0' }}]\nadmin: {{ bind: '127.0.0.1:0' }}\n\
         upstreams: {{ chat: {{ nodes: [{{ address: '{}', name: a }}, \
         {{ address: '{}', name: b, drain: true }}] }} }}\nroutes: [{{ upstream: chat }}]\n",
        a.address, b.address
    );
    let proxy = Proxy::start(&yaml);
    let admin = proxy.admin.unwrap().to_string();
    let open = get(proxy.address, "/socket.io/?EIO=4&transport=polling").await.text();
    let sid = open.split('"').nth(3).unwrap().to_owned();

    let path = format!("/socket.io/?EIO=4&transport=polling&sid={sid}");
    let (code, said) = tokio::task::spawn_blocking({
        let (admin, path) = (admin.clone(), path.clone());
        move || route(&["GET", &path, "--admin", &admin])
    })
    .await
    .unwrap();
    for part in [
        "polls an Engine.IO session",
        "affinity   sid: the tag of the sid names a",
        "path       the node gets /socket.io/?EIO=4&transport=polling&sid=abc",
        "node       a (up, 0 WebSockets, 0 pending requests): may get it",
    ] {
        assert!(said.contains(part), "{part:?} is not in:\n{said}");
    }
    assert_eq!(code, 0);

    let (_, said) = tokio::task::spawn_blocking({
        let admin = admin.clone();
        move || route(&["GET", "/", "--json", "--admin", &admin])
    })
    .await
    .unwrap();
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["live"], true);
    assert_eq!(said["nodes"][0]["name"], "a");
    assert_eq!(said["nodes"][1]["state"], "draining");
    assert_eq!(said["nodes"][1]["is_likely"], false);

    let (code, said) =
        tokio::task::spawn_blocking(move || route(&["GET", "http://a b/", "--admin", &admin]))
            .await
            .unwrap();
    assert!(code == 2 && said.contains("is not a URL"), "{said}");
}

#[tokio::test]
async fn the_endpoint_refuses_what_is_no_request() {
    let node = FakeNode::start(|_| ok("a")).await;
    let yaml = crate::support::config(&[node.address], "", "");
    let proxy = Proxy::start(&(yaml + "admin: { bind: '127.0.0.1:0' }\n"));
    let admin = proxy.admin.unwrap();
    for target in ["/route", "/route?url=", "/route?url=%ff", "/route?url=/&header=x", "/route?x"] {
        let (status, said) = ask_at(admin, "GET", target, &[]).await;
        assert_eq!(status, 400, "{target}");
        assert!(!said["error"].as_str().unwrap().is_empty(), "{target}");
    }
    assert_eq!(ask_at(admin, "GET", "/route?url=/", &[]).await.0, 200);
    assert_eq!(ask_at(admin, "POST", "/route?url=/", &[]).await.0, 405);
}
