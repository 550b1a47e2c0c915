//! Session ids as strangers make them up: each gets an answer, and none becomes anything else on its way.

use h2::RecvStream;

use crate::support::http::Response;
use crate::support::http2::{connect, soon, websocket_request};
use crate::support::node::{open_packet, response};
use crate::support::websocket::UPGRADE;
use crate::support::{Client, FakeNode, Proxy, ProxyProcess, Reply, config, get, ok, request};

/// Values for `sid=`, as they are written in a query. What a client cannot write in a request line, such as
/// a bare CR, is refused before anybody reads a query; here it is encoded.
pub fn forged() -> Vec<String> {
    let long = "a".repeat(8 * 1024);
    let long_encoded = "%61".repeat(2_500);
    let dots = ".".repeat(3_000);
    let written = [
        "",
        "%0d%0aX-Injected:%20yes",
        "a%0d%0a%0d%0aGET%20/injected%20HTTP/1.1%0d%0aHost:%20a%0d%0a%0d%0a",
        "%0a",
        "%00",
        "a%00b",
        "../../../etc/passwd",
        "..%2f..%2fetc%2fpasswd",
        "%2e%2e/admin",
        "a&sid=b",
        "a&sid=a",
        "&sid",
        "a;sid=b",
        "a%26sid=b",
        "%",
        "%4",
        "%zz",
        "%ff%fe",
        "%c0%ae",
        "%F0%9F%92%A9",
        "{\"sid\":\"a\"}",
        "%22%2c%22upgrades%22:[]",
        "<script>",
        "+",
        "a0.",
        ".a0",
        "a0.AAAAAAAA",
        "a0.AAAAAAAAAAA",
        "a0.AAAAAAAAAAA.AAAAAAAAAAA",
        "a0.%41AAAAAAAAAA",
        "a0.~~~~~~~~~~~",
        "toString",
        "__proto__",
        "0",
        "-1",
        "18446744073709551616",
    ];
    let written = written.into_iter().map(|sid| sid.replace(['"', '<', '>', '{', '}'], "%22"));
    written.chain([long, long_encoded, dots]).collect()
}

/// All requests that carry such a sid: to poll, to post, to upgrade.
fn requests(sid: &str) -> [(&'static str, String); 4] {
    let polling = format!("/socket.io/?EIO=4&transport=polling&sid={sid}");
    let websocket = format!("/socket.io/?EIO=4&transport=websocket&sid={sid}");
    let older = format!("/socket.io/?EIO=3&transport=polling&sid={sid}");
    [
        ("GET", request("GET", &polling, &[], "")),
        ("POST", request("POST", &polling, &[], "4message")),
        ("upgrade", request("GET", &websocket, &UPGRADE, "")),
        ("EIO=3", request("GET", &older, &[], "")),
    ]
}

fn assert_nothing_injected(asked: &str, response: &Response) {
    let fields = &response.head.fields;
    assert!(!fields.iter().any(|(name, _)| name.contains("injected")), "{asked}: {response:?}");
    assert!(!response.text().contains("X-Injected: yes\r\n"), "{asked}: {response:?}");
}

async fn nodes_and_proxy() -> ([FakeNode; 2], Proxy) {
    let nodes = [FakeNode::engineio("a").await, FakeNode::engineio("b").await];
    let proxy = Proxy::default_before(&nodes.each_ref());
    (nodes, proxy)
}

#[tokio::test]
async fn every_sid_gets_an_answer_and_none_becomes_a_field_or_a_request() {
    let (nodes, proxy) = nodes_and_proxy().await;
    for sid in forged() {
        for (kind, request) in requests(&sid) {
            let asked = format!("{kind} {:.60}", sid);
            let mut client = Client::connect(proxy.address).await;
            client.send(request).await;
            let response = client.response().await;
            let status = response.status();
            assert!((200..500).contains(&status) || status == 101, "{asked}: {response:?}");
            assert_nothing_injected(&asked, &response);
            drop(client);
        }
    }
    for request in nodes.iter().flat_map(FakeNode::requests) {
        let Some(target) = request.head.target.strip_prefix("/socket.io/?") else {
            panic!("a request that nobody sent: {request:?}");
        };
        assert!(target.bytes().all(|byte| byte.is_ascii_graphic()), "{target:?}");
        let fields = &request.head.fields;
        assert!(!fields.iter().any(|(name, _)| name.contains("injected")), "{request:?}");
    }
    assert_eq!(get(proxy.address, "/socket.io/?EIO=4&transport=polling").await.status(), 200);
}

#[tokio::test]
async fn a_tag_that_was_moved_to_another_sid_leads_nowhere() {
    let (nodes, proxy) = nodes_and_proxy().await;
    let opened = get(proxy.address, "/socket.io/?EIO=4&transport=polling").await.text();
    let tagged = opened.split('"').nth(3).expect("a sid").to_owned();
    let (own, tag) = tagged.rsplit_once('.').expect("a tag");
    let ask = async |sid: &str| {
        get(proxy.address, &format!("/socket.io/?EIO=4&transport=polling&sid={sid}")).await
    };
    assert_eq!(ask(&tagged).await.status(), 200, "as it was given");
    let unknown = ask(&format!("victim.{tag}")).await;
    assert_eq!(unknown.status(), 400, "{unknown:?}");
    assert!(unknown.text().contains("Session ID unknown"), "{unknown:?}");
    for forged in [
        format!("{own}x.{tag}"),
        format!("{own}.{}", tag.chars().rev().collect::<String>()),
        format!("{own}.{tag}.{tag}"),
    ] {
        ask(&forged).await;
    }
    let seen = nodes.iter().flat_map(FakeNode::requests);
    let as_own = seen.filter(|request| request.query("sid") == Some(own)).count();
    assert_eq!(as_own, 1, "only the request with its tag was for the session");
}

#[tokio::test]
async fn a_session_survives_what_strangers_do_to_its_sid() {
    let (_nodes, proxy) = nodes_and_proxy().await;
    let opened = get(proxy.address, "/socket.io/?EIO=4&transport=polling").await.text();
    let sid = opened.split('"').nth(3).expect("a sid").to_owned();
    let polling = "/socket.io/?EIO=4&transport=polling&sid=";
    for forged in [
        format!("{sid}%00"),
        format!("{sid}%0d%0a"),
        format!("{sid}/../x"),
        format!("{sid}&sid=other"),
        format!("other&sid={sid}"),
        format!("%20{sid}"),
    ] {
        let status = get(proxy.address, &format!("{polling}{forged}")).await.status();
        assert!((200..500).contains(&status), "{forged}: {status}");
    }
    assert_eq!(get(proxy.address, &format!("{polling}{sid}")).await.status(), 200);
}

#[tokio::test]
async fn a_stranger_who_repeats_a_made_up_sid_fills_no_log() {
    let node = FakeNode::engineio("a").await;
    let mut proxy = ProxyProcess::start(&config(&[node.address], "", "")).await;
    let log = proxy.pass_log();
    for _ in 0..10 {
        let response = get(proxy.address, "/socket.io/?EIO=4&transport=polling&sid=made-up").await;
        assert_eq!(response.status(), 400);
        assert!(response.text().contains("Session ID unknown"), "{response:?}");
    }
    let asked = node.requests().len();
    assert!(asked < 10, "the node is asked for {asked} of 10");
    drop(proxy);
    let warnings = log.await.unwrap();
    assert!(warnings.is_empty(), "{warnings:#?}");
}

/// What came of a request over HTTP/2: the status and the body, or `None` if the stream was reset.
///
/// A response that goes on, such as a WebSocket, has no body here.
async fn told(answer: Result<http::Response<RecvStream>, h2::Error>) -> Option<(u16, String)> {
    let response = match answer {
        Ok(response) => response,
        Err(error) => {
            assert!(error.is_reset(), "it costs more than its stream: {error}");
            return None;
        }
    };
    let has_body = response.headers().contains_key("content-length");
    let (status, mut body) = (response.status().as_u16(), response.into_body());
    let mut text = Vec::new();
    while has_body && let Some(Ok(data)) = soon(body.data()).await {
        text.extend_from_slice(&data);
    }
    Some((status, String::from_utf8_lossy(&text).into_owned()))
}

#[tokio::test]
async fn over_http_2_every_sid_gets_an_answer_on_one_connection() {
    let nodes = [FakeNode::engineio("a").await, FakeNode::engineio("b").await];
    let proxy = Proxy::start(&with_http2(&nodes.each_ref(), ""));
    let mut requests = connect(proxy.address).await;
    for sid in forged().into_iter().filter(|sid| sid.is_ascii()) {
        let target = |transport: &str| format!("/socket.io/?EIO=4&transport={transport}&sid={sid}");
        let Ok(uri) = format!("http://a.test{}", target("polling")).parse::<http::Uri>() else {
            continue;
        };
        let get = http::Request::get(uri.clone()).body(()).unwrap();
        let post = http::Request::post(uri).header("content-length", 8).body(()).unwrap();
        let mut asked = Vec::new();
        asked.push(requests.send_request(get, true).unwrap());
        let (posted, mut body) = requests.send_request(post, false).unwrap();
        body.send_data("4message".into(), true).unwrap();
        asked.push((posted, body));
        asked.push(requests.send_request(websocket_request(&target("websocket")), false).unwrap());
        for (answer, _sent) in asked {
            if let Some((status, text)) = told(soon(answer).await).await {
                assert!((200..500).contains(&status), "{sid:.60}: {status} {text}");
                assert!(!text.contains("X-Injected: yes\r\n"), "{sid:.60}: {text}");
            }
        }
    }
    for request in nodes.iter().flat_map(FakeNode::requests) {
        assert!(request.head.target.starts_with("/socket.io/?"), "nobody sent it: {request:?}");
        let fields = &request.head.fields;
        assert!(!fields.iter().any(|(name, _)| name.contains("injected")), "{request:?}");
    }
    let open = http::Request::get("http://a.test/socket.io/?EIO=4&transport=polling");
    let (answer, _) = requests.send_request(open.body(()).unwrap(), true).unwrap();
    assert_eq!(told(soon(answer).await).await.unwrap().0, 200, "the connection goes on");
}

#[tokio::test]
async fn a_valid_tag_of_another_cluster_is_an_unknown_session() {
    // Nodes that know their own sid alone, as it was given.
    let node = async || {
        FakeNode::start(|request| match request.query("sid") {
            None => ok(&open_packet("a0")),
            Some("a0") => ok("4hello"),
            Some(_) => {
                let body = r#"{"code":1,"message":"Session ID unknown"}"#;
                Reply::Last(response("400 Bad Request", body))
            }
        })
        .await
    };
    let nodes = [node().await, node().await];
    let with_key = |key: &str| {
        let affinity = format!(", affinity: {{ sid: {{ keys: ['{key}'] }} }}");
        Proxy::start(&with_http2(&nodes.each_ref(), &affinity))
    };
    let (own, other) = (with_key("the key of one cluster"), with_key("the key of another one"));
    let polling = "/socket.io/?EIO=4&transport=polling";
    let opened = get(other.address, polling).await.text();
    let foreign = opened.split('"').nth(3).expect("a sid").to_owned();
    assert!(foreign.contains('.'), "it has a tag: {foreign}");
    let target = format!("{polling}&sid={foreign}");
    assert_eq!(get(other.address, &target).await.status(), 200, "where it is from");
    for (kind, request) in requests(&foreign) {
        let mut client = Client::connect(own.address).await;
        client.send(request).await;
        let response = client.response().await;
        assert_eq!(response.status(), 400, "{kind}: {response:?}");
        assert!(response.text().contains("Session ID unknown"), "{kind}: {response:?}");
    }
    let mut requests = connect(own.address).await;
    let poll = http::Request::get(format!("http://a.test{target}")).body(()).unwrap();
    let upgrade = websocket_request(&target.replace("polling", "websocket"));
    for (request, is_whole) in [(poll, true), (upgrade, false)] {
        let (answer, _sent) = requests.send_request(request, is_whole).unwrap();
        let (status, text) = told(soon(answer).await).await.expect("an answer");
        assert_eq!(status, 400, "{text}");
        assert!(text.contains("Session ID unknown"), "{text}");
    }
    assert_eq!(get(other.address, &target).await.status(), 200, "the session lives");
}

/// A proxy with HTTP/2 before these nodes; `upstream` holds more keys.
fn with_http2(nodes: &[&FakeNode], upstream: &str) -> String {
    let addresses: Vec<_> = nodes.iter().map(|node| format!("'{}'", node.address)).collect();
    format!(
        "listeners: [{{ bind: '127.0.0.1:0', http2: on }}]\n\
         upstreams: {{ chat: {{ nodes: [{}]{upstream} }} }}\n\
         routes: [{{ path: /, upstream: chat }}]\n",
        addresses.join(", ")
    )
}
