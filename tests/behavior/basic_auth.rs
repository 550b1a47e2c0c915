//! Clients say who they are by a name and a password.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::join_all;
use tokio::time::timeout;

use crate::support::http::Response;
use crate::support::socketio::{NodeServer, held, run_client};
use crate::support::websocket::ask;
use crate::support::{Client, FakeNode, Proxy, ProxyProcess, config, request};

const POLL: &str = "/socket.io/?EIO=4&transport=polling";
const WEBSOCKET: &str = "/socket.io/?EIO=4&transport=websocket";

/// By libxcrypt: `secret`, and `open sesame`.
const ANN: &str = "ann:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a";
const ANN_LATER: &str = "ann:$2y$05$abcdefghijklmnopqrstuupx2xBUC4954936wVIjyyPHmUBFu0wCW";

/// By the reference implementation of Argon2: `password`.
const BOB: &str =
    "bob:$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";

fn authorization(pair: &str) -> String {
    format!("Authorization: Basic {}", STANDARD.encode(pair))
}

async fn send(proxy: &Proxy, method: &str, target: &str, fields: &[&str]) -> Response {
    let mut client = Client::connect(proxy.address).await;
    client.send(request(method, target, fields, "")).await;
    client.response().await
}

#[tokio::test]
async fn a_name_and_a_password_are_needed_at_every_request() {
    let node = FakeNode::engineio("a").await;
    let more = format!("{{ passwords: ['{ANN}', '{BOB}'], realm: The chat, user_field: X-User }}");
    let proxy = Proxy::before(&[&node], "", &format!("auth: {{ basic: {more} }}"));
    let bound = format!("{POLL}&sid=a0");
    let wrong = [
        String::new(),
        authorization("ann:password"),
        authorization("bob:secret"),
        authorization("eve:secret"),
        authorization("ann"),
        "Authorization: Basic ?".to_owned(),
        "Authorization: Bearer secret".to_owned(),
    ];
    for (method, target) in [("GET", POLL), ("GET", &*bound), ("POST", &*bound), ("GET", "/page")] {
        for fields in &wrong {
            let fields: Vec<&str> =
                Some(&**fields).filter(|field| !field.is_empty()).into_iter().collect();
            let refused = send(&proxy, method, target, &fields).await;
            assert_eq!(refused.status(), 401, "{method} {target} {fields:?}");
            let challenge = "Basic realm=\"The chat\", charset=\"UTF-8\"";
            assert_eq!(refused.head.field("www-authenticate"), Some(challenge));
        }
    }
    let (ann, bob) = (authorization("ann:secret"), authorization("bob:password"));
    assert_eq!(send(&proxy, "GET", POLL, &[&ann, &bob]).await.status(), 401, "two of them");
    assert_eq!(ask(proxy.address, WEBSOCKET, &[&wrong[1]]).await.1.status(), 401);
    assert_eq!(node.requests().len(), 0, "the node is spared");

    for (fields, name) in [(&ann, "ann"), (&bob, "bob"), (&ann, "ann")] {
        let found = send(&proxy, "GET", POLL, &[fields, "X-User: root", "X_User: root"]).await;
        assert_eq!(found.status(), 200, "{name}");
        let seen = node.requests().pop().unwrap();
        let named: Vec<_> =
            seen.head.fields.iter().filter(|(name, _)| name.ends_with("user")).collect();
        assert_eq!(named, [&("x-user".to_owned(), name.to_owned())]);
    }
    assert_eq!(ask(proxy.address, WEBSOCKET, &[&ann]).await.1.status(), 101);
}

#[tokio::test]
async fn many_requests_with_a_password_and_many_with_wrong_ones_all_get_their_verdict() {
    let node = FakeNode::engineio("a").await;
    let auth = format!("auth: {{ basic: {{ passwords: ['{ANN}'] }} }}");
    let proxy = Proxy::before(&[&node], "", &auth);
    let one = async |number: usize| {
        let pair = if number.is_multiple_of(2) {
            "ann:secret".to_owned()
        } else {
            format!("ann:{number}")
        };
        send(&proxy, "GET", POLL, &[&authorization(&pair)]).await.status()
    };
    let found = join_all((0..20).map(one)).await;
    let expected: Vec<u16> =
        (0..20).map(|number: usize| if number.is_multiple_of(2) { 200 } else { 401 }).collect();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_password_that_is_changed_in_the_file_counts_without_a_restart() {
    let node = FakeNode::engineio("a").await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("htpasswd");
    std::fs::write(&path, format!("# users\n{ANN}\n")).unwrap();
    let auth = format!("auth: {{ basic: {{ htpasswd_file: '{}' }} }}", path.display());
    let yaml = config(&[node.address], "", &auth);
    let mut process = ProxyProcess::start(&yaml).await;
    let (before, after) = (authorization("ann:secret"), authorization("ann:open sesame"));
    let address = process.address;
    let status = async |fields: &str| ask(address, WEBSOCKET, &[fields]).await.1.status();
    assert_eq!((status(&before).await, status(&after).await), (101, 401));
    std::fs::write(&path, "ann:$apr1$abcdefgh$123").unwrap();
    let line = process.until_log("what it said before stays").await;
    assert!(line.contains("htpasswd -B"), "{line}");
    assert_eq!((status(&before).await, status(&after).await), (101, 401));
    std::fs::write(&path, ANN_LATER).unwrap();
    let read_again = process.until_log("the file was read again");
    timeout(Duration::from_secs(5), read_again).await.expect("as the manual promises");
    assert_eq!((status(&before).await, status(&after).await), (401, 101), "nothing is remembered");

    // A start and `sockeye check` say what is wrong with the file.
    std::fs::write(&path, "ann:$apr1$abcdefgh$123").unwrap();
    let error = sockeye::parse("test.yaml", &yaml).unwrap_err().to_string();
    assert!(error.contains("line 1: the hash is neither bcrypt nor Argon2id"), "{error}");
    assert!(!error.contains("abcdefgh"), "{error}");
}

#[tokio::test]
async fn real_clients_connect_with_a_password_and_learn_that_they_are_refused_without() {
    let server = NodeServer::start(&["--allow-eio3"]).await;
    let auth = format!("auth: {{ basic: {{ passwords: ['{ANN}'] }} }}");
    let proxy = Proxy::start(&config(&[server.address().parse().unwrap()], "", &auth));
    let url = format!("http://{}", proxy.address);
    let headers = format!("{{\"Authorization\":\"Basic {}\"}}", STANDARD.encode("ann:secret"));
    let refused = ["--url", &url, "--scenario", "refused"];
    for line in ["4", "3", "2"] {
        let status = ["--line", line, "--status", "401"];
        held(run_client(&[&refused[..], &status].concat()).await);
        let admitted = ["--line", line, "--headers", &headers, "--status", "200"];
        held(run_client(&[&refused[..], &admitted].concat()).await);
    }
}
