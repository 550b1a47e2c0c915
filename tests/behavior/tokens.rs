//! Clients say who they are by a JSON Web Token.

use std::path::Path;

use serde_json::Value;

use crate::support::socketio::{NodeServer, held, run_client, run_tokens};
use crate::support::websocket::{ask, text};
use crate::support::{Client, FakeNode, Proxy, ProxyProcess, config, request};

const POLL: &str = "/socket.io/?EIO=4&transport=polling";
const WEBSOCKET: &str = "/socket.io/?EIO=4&transport=websocket";
const ALGORITHMS: [&str; 4] = ["RS256", "ES256", "EdDSA", "HS256"];

/// Tokens of another maker than Sockeye's library, and a route that knows their keys.
struct Issuer {
    tokens: Value,
    directory: tempfile::TempDir,
}

impl Issuer {
    async fn start(arguments: &[&str]) -> Self {
        let made = run_tokens(arguments).await;
        let directory = tempfile::tempdir().unwrap();
        let issuer = Self { tokens: made["tokens"].clone(), directory };
        issuer.publish(&made["jwks"]);
        issuer
    }

    fn publish(&self, jwks: &Value) {
        std::fs::write(self.path(), jwks.to_string()).unwrap();
    }

    fn path(&self) -> impl AsRef<Path> + use<> {
        self.directory.path().join("jwks.json")
    }

    /// The keys of a route; `more` are more of `jwt`.
    fn route(&self, more: &str) -> String {
        format!("auth: {{ jwt: {{ jwks_file: '{}'{more} }} }}", self.path().as_ref().display())
    }

    fn bearer(&self, algorithm: &str) -> String {
        format!("Authorization: Bearer {}", self.token(algorithm))
    }

    fn token(&self, algorithm: &str) -> &str {
        self.tokens[algorithm].as_str().unwrap()
    }
}

/// The status of a request with these fields, and its challenge.
async fn status(proxy: &Proxy, method: &str, target: &str, fields: &[&str]) -> (u16, String) {
    let mut client = Client::connect(proxy.address).await;
    client.send(request(method, target, fields, "")).await;
    let answer = client.response().await;
    let challenge = answer.head.field("www-authenticate").unwrap_or_default().to_owned();
    (answer.status(), challenge)
}

#[tokio::test]
async fn tokens_of_another_maker_pass_at_every_request_and_strangers_at_none() {
    let issuer = Issuer::start(&[]).await;
    let node = FakeNode::engineio("a").await;
    let proxy = Proxy::before(&[&node], "", &issuer.route(""));
    let mut good = String::new();
    for algorithm in ALGORITHMS {
        good = issuer.bearer(algorithm);
        assert_eq!(status(&proxy, "GET", POLL, &[&good]).await.0, 200, "{algorithm}");
        assert_eq!(ask(proxy.address, WEBSOCKET, &[&good]).await.1.status(), 101, "{algorithm}");
    }
    let passed = node.requests().len();
    let bound = format!("{POLL}&sid=a0");
    let forged = format!("{good}A");
    for (method, target) in
        [("GET", POLL), ("GET", &*bound), ("POST", &*bound), ("GET", "/page"), ("OPTIONS", POLL)]
    {
        let none = (401, "Bearer".to_owned());
        assert_eq!(status(&proxy, method, target, &[]).await, none, "{method} {target}");
        let (found, challenge) = status(&proxy, method, target, &[&forged]).await;
        assert_eq!(found, 401, "{method} {target}");
        assert!(challenge.starts_with("Bearer error=\"invalid_token\""), "{challenge}");
    }
    let refused = ask(proxy.address, WEBSOCKET, &[&forged]).await.1;
    assert_eq!(refused.status(), 401);
    let twice = [&*good, &*good];
    assert_eq!(status(&proxy, "GET", POLL, &twice).await.0, 401, "two Authorization fields");
    assert_eq!(node.requests().len(), passed, "the node is spared");
    assert_eq!(status(&proxy, "GET", &bound, &[&good]).await.0, 200);

    // A preflight cannot carry a token, and the node answers it.
    let asks = ["Origin: https://app.example", "Access-Control-Request-Method: POST"];
    status(&proxy, "OPTIONS", POLL, &asks).await;
    assert_eq!(node.requests().last().unwrap().head.method, "OPTIONS");
}

#[tokio::test]
async fn cookies_and_queries_carry_tokens_where_the_route_says_so() {
    let issuer = Issuer::start(&[]).await;
    let node = FakeNode::engineio("a").await;
    let closed = Proxy::before(&[&node], "", &issuer.route(""));
    let open = Proxy::before(&[&node], "", &issuer.route(", cookie: tok, query: token"));
    let token = issuer.token("ES256");
    let cookie = format!("Cookie: a=b; tok={token}");
    let query = format!("{POLL}&token={token}");
    assert_eq!(status(&closed, "GET", POLL, &[&cookie]).await.0, 401);
    assert_eq!(status(&closed, "GET", &query, &[]).await.0, 401);
    assert_eq!(status(&open, "GET", POLL, &[&cookie]).await.0, 200);
    assert_eq!(status(&open, "GET", &query, &[]).await.0, 200);
    let twice = format!("{query}&token={token}");
    assert_eq!(status(&open, "GET", &twice, &[]).await.0, 401);
    let tossed = format!("Cookie: tok=x; tok={token}");
    assert_eq!(status(&open, "GET", POLL, &[&tossed]).await.0, 401);
    let long = format!("Cookie: tok={}", "x".repeat(9000));
    assert_eq!(status(&open, "GET", POLL, &[&long]).await.0, 401);
}

#[tokio::test]
async fn nodes_learn_claims_from_fields_that_no_client_can_write() {
    let issuer = Issuer::start(&["--claims", r#"{"sub":"ann","roles":["a","b"]}"#]).await;
    let node = FakeNode::engineio("a").await;
    let claims = ", claims: [{ claim: sub, field: X-User-Id }, { claim: roles, field: X-Roles }, \
                  { claim: missing, field: X-Missing }]";
    let proxy = Proxy::before(&[&node], "", &issuer.route(claims));
    let bearer = issuer.bearer("RS256");
    let forged = [
        "X-User-Id: root",
        "X_User_Id: root",
        "X.User.Id: root",
        "X-Missing: root",
        "Connection: X-User-Id",
        &bearer,
    ];
    assert_eq!(status(&proxy, "GET", POLL, &forged).await.0, 200);
    let (_, answer) = ask(proxy.address, WEBSOCKET, &[forged[0], forged[1], forged[5]]).await;
    assert_eq!(answer.status(), 101);
    for seen in node.requests() {
        assert_eq!(seen.head.field("x-user-id"), Some("ann"));
        assert_eq!(seen.head.field("x-roles"), Some(r#"["a","b"]"#));
        assert_eq!(seen.head.field("x_user_id"), None);
        assert_eq!(seen.head.field("x.user.id"), None);
        assert_eq!(seen.head.field("x-missing"), None);
        let named = seen.head.fields.iter().filter(|(name, _)| name == "x-user-id");
        assert_eq!(named.count(), 1);
    }
}

#[tokio::test]
async fn a_token_that_expires_ends_its_websocket_and_its_polls() {
    // 28 of the 30 seconds by which clocks may differ have passed already.
    let issuer = Issuer::start(&["--lifetime=-28"]).await;
    let node = FakeNode::engineio("a").await;
    let proxy = Proxy::before(&[&node], "", &issuer.route(", close_expired: true"));
    let bearer = issuer.bearer("EdDSA");
    let (mut client, answer) = ask(proxy.address, WEBSOCKET, &[&bearer]).await;
    assert_eq!(answer.status(), 101);
    client.send(text("hello")).await;
    assert_eq!(client.frame().await.unwrap().1, b"hello");
    let (opcode, payload) = client.frame().await.unwrap();
    assert_eq!((opcode, &*payload), (8, &b"\x03\xe9token expired"[..]));
    let (found, challenge) = status(&proxy, "GET", &format!("{POLL}&sid=a0"), &[&bearer]).await;
    assert_eq!(found, 401);
    assert!(challenge.contains("the token has expired"), "{challenge}");
}

#[tokio::test]
async fn new_keys_count_without_a_restart_and_a_start_without_keys_fails() {
    let (first, second) = (Issuer::start(&[]).await, Issuer::start(&[]).await);
    let node = FakeNode::engineio("a").await;
    let yaml = config(&[node.address], "", &first.route(""));
    let mut process = ProxyProcess::start(&yaml).await;
    let status = async |bearer: &str| ask(process.address, WEBSOCKET, &[bearer]).await.1.status();
    assert_eq!(status(&first.bearer("RS256")).await, 101);
    assert_eq!(status(&second.bearer("RS256")).await, 401);
    std::fs::copy(second.path(), first.path()).unwrap();
    process.until_log("the file was read again").await;
    assert_eq!(ask(process.address, WEBSOCKET, &[&second.bearer("RS256")]).await.1.status(), 101);

    let gone = yaml.replace("jwks.json", "gone.json");
    let error = sockeye::parse("test.yaml", &gone).unwrap_err().to_string();
    assert!(error.contains("gone.json: No such file"), "{error}");
}

#[tokio::test]
async fn real_clients_connect_with_a_token_and_learn_that_they_are_refused_without() {
    let issuer = Issuer::start(&[]).await;
    let server = NodeServer::start(&["--allow-eio3"]).await;
    let route = issuer.route("");
    let proxy = Proxy::start(&config(&[server.address().parse().unwrap()], "", &route));
    let url = format!("http://{}", proxy.address);
    let bearer = format!("{{\"Authorization\":\"Bearer {}\"}}", issuer.token("ES256"));
    let refused = ["--url", &url, "--scenario", "refused"];
    for line in ["4", "3", "2"] {
        let status = ["--line", line, "--status", "401"];
        held(run_client(&[&refused[..], &status].concat()).await);
        let admitted = ["--line", line, "--headers", &bearer, "--status", "200"];
        held(run_client(&[&refused[..], &admitted].concat()).await);
    }
}

#[tokio::test]
async fn real_clients_lose_their_session_by_each_transport_when_their_token_expires() {
    let server = NodeServer::start(&[]).await;
    // 22 of the 30 seconds by which clocks may differ have passed already.
    let issuer = Issuer::start(&["--lifetime=-22"]).await;
    let route = issuer.route(", close_expired: true");
    let proxy = Proxy::start(&config(&[server.address().parse().unwrap()], "", &route));
    let url = format!("http://{}", proxy.address);
    let bearer = format!("{{\"Authorization\":\"Bearer {}\"}}", issuer.token("ES256"));
    held(run_client(&["--url", &url, "--scenario", "expires", "--headers", &bearer]).await);
}
