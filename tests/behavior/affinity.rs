//! A session comes back to its node.

use crate::support::{
    Client, FakeNode, Proxy, ProxyProcess, Site, get, ok, open_packet, request, websocket,
};
use crate::support::{config, response};

/// The sid in an open packet of any form.
fn sid(body: &str) -> String {
    let (_, rest) = body.split_once("\"sid\":\"").expect(body);
    rest.split('"').next().unwrap().to_owned()
}

fn poll(sid: &str) -> String {
    format!("/socket.io/?EIO=4&transport=polling&sid={sid}&t=x")
}

const OPEN: &str = "/socket.io/?EIO=4&transport=polling&t=x";

async fn three_nodes() -> [FakeNode; 3] {
    [FakeNode::engineio("a").await, FakeNode::engineio("b").await, FakeNode::engineio("c").await]
}

#[tokio::test]
async fn polls_posts_and_the_upgrade_go_to_the_node_that_opened_the_session() {
    let nodes = three_nodes().await;
    let proxy = Proxy::default_before(&nodes.each_ref());
    for _ in 0..12 {
        let open = get(proxy.address, OPEN).await;
        let sid = sid(&open.text());
        let node = &sid[..1];
        assert!(sid.contains('.'), "the sid {sid} has a tag");
        for _ in 0..5 {
            assert_eq!(get(proxy.address, &poll(&sid)).await.text(), format!("4{node}"));
        }
        let mut client = Client::connect(proxy.address).await;
        client.send(request("POST", &poll(&sid), &[], "40")).await;
        assert_eq!(client.response().await.text(), "ok");
        let target = format!("/socket.io/?EIO=4&transport=websocket&sid={sid}");
        websocket::open(proxy.address, &target).await;
    }
    let unknown = nodes
        .iter()
        .flat_map(FakeNode::requests)
        .filter(|request| request.query("sid").is_some_and(|sid| sid.contains('.')));
    assert_eq!(unknown.count(), 0, "a node sees its own sids, without tags");
}

#[tokio::test]
async fn new_sessions_are_spread_over_the_nodes() {
    let nodes = three_nodes().await;
    let proxy = Proxy::default_before(&nodes.each_ref());
    let mut client = Client::connect(proxy.address).await;
    for _ in 0..30 {
        client.get(OPEN).await;
    }
    for node in &nodes {
        let count = node.requests().len();
        assert!((8..=12).contains(&count), "{count} of 30 sessions on one of three nodes");
    }
}

#[tokio::test]
async fn a_second_proxy_and_a_restarted_one_know_the_sessions_of_the_first() {
    let nodes = three_nodes().await;
    let first = Proxy::default_before(&nodes.each_ref());
    let sid = sid(&get(first.address, OPEN).await.text());
    drop(first);
    let addresses: Vec<_> = nodes.iter().map(|node| node.address).collect();
    let second = ProxyProcess::start(&config(&addresses, "", "")).await;
    for _ in 0..5 {
        assert_eq!(get(second.address, &poll(&sid)).await.text(), format!("4{}", &sid[..1]));
    }
}

#[tokio::test]
async fn a_session_of_a_node_that_is_no_more_configured_is_answered_at_once() {
    let nodes = three_nodes().await;
    let all = Proxy::default_before(&nodes.each_ref());
    let mut client = Client::connect(all.address).await;
    let sid = loop {
        let sid = sid(&client.get(OPEN).await.text());
        if sid.starts_with('c') {
            break sid;
        }
    };
    let fewer = Proxy::before(&[&nodes[0], &nodes[1]], "", "");
    let before = nodes[0].requests().len() + nodes[1].requests().len();
    let gone = get(fewer.address, &poll(&sid)).await;
    assert_eq!(gone.status(), 400);
    assert_eq!(gone.text(), r#"{"code":1,"message":"Session ID unknown"}"#);
    let after = nodes[0].requests().len() + nodes[1].requests().len();
    assert_eq!(before, after, "no node was asked");
}

#[tokio::test]
async fn other_keys_make_other_tags_and_old_ones_are_read() {
    let nodes = three_nodes().await;
    let with = |keys: &str| {
        Proxy::before(&nodes.each_ref(), &format!("affinity: {{ sid: {{ keys: [{keys}] }} }}"), "")
    };
    let (old, new) = ("'an old secret of 16'", "'the new secret, 16+'");
    let first = with(old);
    let opened = sid(&get(first.address, OPEN).await.text());
    let rotated = with(&format!("{new}, {old}"));
    assert_eq!(get(rotated.address, &poll(&opened)).await.text(), format!("4{}", &opened[..1]));
    let reopened = sid(&get(rotated.address, OPEN).await.text());
    assert_ne!(opened.rsplit_once('.').unwrap().1, reopened.rsplit_once('.').unwrap().1);
}

/// A node that answers handshakes with `body` and knows all sessions.
async fn opens_with(bytes: impl Fn() -> Reply + Send + Sync + 'static) -> FakeNode {
    FakeNode::start(move |request| match request.query("sid") {
        Some(sid) => ok(&format!("4{sid}")),
        None => bytes(),
    })
    .await
}

use crate::support::Reply;

#[tokio::test]
async fn handshakes_of_every_form_are_tagged() {
    let more = format!("{}\u{1e}4hello", open_packet("Abc"));
    let packet = r#"0{"sid":"Abc","upgrades":[],"pingInterval":25000,"pingTimeout":20000}"#;
    let jsonp = format!("___eio[0]({});", serde_json::to_string(&open_packet("Abc")).unwrap());
    let forms: [(&str, String, &str); 4] = [
        ("plain", open_packet("Abc"), OPEN),
        ("with more packets", more, OPEN),
        (
            "other keys first",
            packet.replace("\"sid\":\"Abc\",", "").replace('}', ",\"sid\":\"Abc\"}"),
            OPEN,
        ),
        ("jsonp", jsonp, "/socket.io/?EIO=4&transport=polling&j=0"),
    ];
    for (name, body, target) in forms {
        let sent = body.clone();
        let node = opens_with(move || ok(&sent)).await;
        let proxy = Proxy::default_before(&[&node]);
        let open = get(proxy.address, target).await;
        assert_eq!(open.head.field("content-length"), Some(&*open.body.len().to_string()));
        let text = open.text().replace("\\\"", "\"");
        let tagged = sid(&text);
        assert_eq!(tagged.len(), "Abc".len() + 12, "{name}: {text}");
        let untagged = open.text().replace(&tagged["Abc".len()..], "");
        assert_eq!(untagged, body, "{name}: nothing else is changed");
    }
}

#[tokio::test]
async fn a_chunked_or_dribbled_handshake_is_tagged() {
    let body = open_packet("Abc") + "\u{1e}4hello";
    let chunks: String =
        body.chars().map(|letter| format!("{:x}\r\n{letter}\r\n", letter.len_utf8())).collect();
    let chunked = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n");
    let with_length = String::from_utf8(response("200 OK", &body)).unwrap();
    for answer in [chunked, with_length] {
        let pieces: Vec<_> = answer.bytes().map(|byte| vec![byte]).collect();
        let node = opens_with(move || Reply::Pieces(pieces.clone())).await;
        let proxy = Proxy::default_before(&[&node]);
        let open = get(proxy.address, OPEN).await.text();
        assert!(open.ends_with("\u{1e}4hello"), "{open}");
        assert!(sid(&open).starts_with("Abc."), "{open}");
    }
}

#[tokio::test]
async fn a_handshake_that_cannot_be_read_passes_untouched_and_is_asked_for() {
    let compressed =
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00";
    let node = opens_with(|| Reply::Bytes(compressed.to_vec())).await;
    let proxy = Proxy::default_before(&[&node]);
    let open = get(proxy.address, OPEN).await;
    assert_eq!(open.body, b"\x1f\x8b\x08\x00");
    assert_eq!(get(proxy.address, &poll("hidden")).await.text(), "4hidden");
}

#[tokio::test]
async fn a_node_is_not_asked_to_compress_a_handshake() {
    let node = FakeNode::engineio("a").await;
    let proxy = Proxy::default_before(&[&node]);
    let mut client = Client::connect(proxy.address).await;
    client.send(request("GET", OPEN, &["Accept-Encoding: gzip"], "")).await;
    let sid = sid(&client.response().await.text());
    client.send(request("GET", &poll(&sid), &["Accept-Encoding: gzip"], "")).await;
    client.response().await;
    let seen: Vec<_> = node
        .requests()
        .iter()
        .map(|request| request.head.field("accept-encoding").map(str::to_owned))
        .collect();
    assert_eq!(seen, [None, Some("gzip".to_owned())]);
}

#[tokio::test]
async fn sessions_of_engineio_3_keep_their_sid_and_come_back_by_the_table() {
    let open = |sid: &str| {
        let packet = open_packet(sid);
        format!("{}:{packet}2:40", packet.encode_utf16().count())
    };
    let node = |name: &'static str| {
        FakeNode::start(move |request| match request.query("sid") {
            None => ok(&open(name)),
            Some(sid) if sid == name => ok(name),
            Some(_) => Reply::Bytes(response("400 Bad Request", r#"{"code":1,"message":"x"}"#)),
        })
    };
    let nodes = [node("first").await, node("second").await];
    let proxy = Proxy::default_before(&nodes.each_ref());
    for _ in 0..6 {
        let open = get(proxy.address, "/socket.io/?EIO=3&transport=polling").await.text();
        let sid = sid(&open);
        assert!(sid == "first" || sid == "second", "{open}");
        let asked = |node: &FakeNode| node.requests().len();
        let before: usize = nodes.iter().map(asked).sum();
        let target = format!("/socket.io/?EIO=3&transport=polling&sid={sid}");
        assert_eq!(get(proxy.address, &target).await.text(), sid);
        assert_eq!(nodes.iter().map(asked).sum::<usize>(), before + 1, "asked one node only");
    }
}

#[tokio::test]
async fn sessions_of_engineio_3_are_tagged_by_opt_in() {
    let packet = open_packet("héllo");
    let body = format!("{}:{packet}2:40", packet.encode_utf16().count());
    let node = opens_with(move || ok(&body)).await;
    let proxy = Proxy::before(&[&node], "affinity: { sid: { tag_eio3: true } }", "");
    let open = get(proxy.address, "/socket.io/?EIO=3&transport=polling").await.text();
    let (length, rest) = open.split_once(':').unwrap();
    assert!(sid(&open).starts_with("héllo."), "{open}");
    let units = rest.strip_suffix("2:40").unwrap().encode_utf16().count();
    assert_eq!(length, units.to_string(), "{open}");
}

#[tokio::test]
async fn a_cookie_brings_a_client_back() {
    let nodes = [FakeNode::start(|_| ok("a")).await, FakeNode::start(|_| ok("b")).await];
    let proxy = Proxy::before(&nodes.each_ref(), "affinity: cookie", "");
    for _ in 0..6 {
        let first = get(proxy.address, "/").await;
        let cookie = first.head.field("set-cookie").expect("a cookie").to_owned();
        assert!(cookie.contains("HttpOnly"), "{cookie}");
        let pair = cookie.split(';').next().unwrap();
        for _ in 0..5 {
            let mut client = Client::connect(proxy.address).await;
            client.send(request("GET", "/", &[&format!("Cookie: x=1; {pair}")], "")).await;
            let again = client.response().await;
            assert_eq!(again.text(), first.text());
            assert_eq!(again.head.field("set-cookie"), None, "it has it already");
        }
    }
}

#[tokio::test]
async fn rendezvous_sends_the_same_key_to_the_same_node() {
    let nodes = three_nodes().await;
    let affinity = "affinity: { rendezvous: { by: { query: room } } }";
    let proxy = Proxy::before(&nodes.each_ref(), affinity, "");
    let mut homes = Vec::new();
    for room in 0..20 {
        let target = format!("/socket.io/?EIO=4&transport=polling&room={room}");
        let home = |text: String| sid(&text)[..1].to_owned();
        let first = home(get(proxy.address, &target).await.text());
        assert_eq!(home(get(proxy.address, &target).await.text()), first);
        homes.push(first);
    }
    homes.sort();
    homes.dedup();
    assert_eq!(homes.len(), 3, "twenty rooms on three nodes");
}

#[tokio::test]
async fn under_rendezvous_what_is_held_against_a_node_moves_no_session() {
    let nodes = three_nodes().await;
    let rendezvous = "affinity: { rendezvous: { by: { query: room } } }, max_connections: 1";
    let addresses = nodes.each_ref().map(|node| node.address);
    let site = Site::start(&config(&addresses, rendezvous, ""));
    let mut sessions = Vec::new();
    for room in 0..12 {
        let target = format!("{OPEN}&room={room}");
        let tagged = sid(&get(site.address(), &target).await.text());
        sessions.push((format!("{target}&sid={tagged}"), tagged));
    }
    let draining =
        addresses[1..].iter().map(|node| format!("{{ address: '{node}', drain: true }}"));
    let draining = draining.collect::<Vec<_>>().join(", ");
    let with_drains = format!("nodes: ['{}', {draining}]", addresses[0]);
    let yaml = config(&[], rendezvous, "").replace("nodes: []", &with_drains);
    site.reload(&yaml).await.unwrap();
    let mut tunnels = Vec::new();
    for _ in 0..3 {
        for (target, tagged) in &sessions {
            let (bare, _) = tagged.rsplit_once('.').expect("a tag");
            // As another proxy, which does not tag, would have opened it.
            for asked in [target.clone(), target.replace(tagged, bare)] {
                let answer = get(site.address(), &asked).await;
                assert_eq!(answer.status(), 200, "{asked}");
                assert_eq!(answer.text(), format!("4{}", &bare[..1]));
            }
        }
        let (target, _) = &sessions[tunnels.len()];
        let upgrade = target.replace("polling", "websocket");
        tunnels.push(websocket::open(site.address(), &upgrade).await);
    }
}

#[tokio::test]
async fn under_rendezvous_only_a_node_that_answers_can_deny_a_session() {
    let nodes = three_nodes().await;
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addresses = [nodes[0].address, gone.local_addr().unwrap(), nodes[1].address];
    drop(gone);
    let rendezvous = "affinity: { rendezvous: { by: { query: room } } }, health: off";
    let proxy = Proxy::start(&config(&addresses, rendezvous, ""));
    let mut statuses = Vec::new();
    for room in 0..12 {
        // Its node is down for a moment: nobody else may say that the session is unknown.
        let answer = get(proxy.address, &format!("{}&room={room}", poll("zzz"))).await;
        statuses.push(answer.status());
    }
    assert!(statuses.contains(&502), "{statuses:?}");
}

#[tokio::test]
async fn without_affinity_nothing_is_tagged() {
    let node = FakeNode::engineio("a").await;
    let proxy = Proxy::before(&[&node], "affinity: none", "");
    assert_eq!(get(proxy.address, OPEN).await.text(), open_packet("a0"));
}
