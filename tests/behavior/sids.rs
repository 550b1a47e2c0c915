//! Session ids as strangers make them up: each gets an answer, and none becomes anything else on its way.

use crate::support::http::Response;
use crate::support::websocket::UPGRADE;
use crate::support::{Client, FakeNode, Proxy, ProxyProcess, config, get, request};

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
