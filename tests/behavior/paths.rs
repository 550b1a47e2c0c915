//! Routes that change the path: what nodes see, and what clients get back.

use http::Request;
use serde_json::Value;

use crate::support::http2::{self, websocket_request};
use crate::support::node::Request as Seen;
use crate::support::socketio::{NodeServer, held, run_client};
use crate::support::websocket::{self, ask, open};
use crate::support::{Client, FakeNode, Proxy, ProxyProcess, Reply, get, ok, request};

/// A proxy before `node` with this route for both versions of HTTP.
fn proxy(node: &FakeNode, route: &str) -> Proxy {
    Proxy::start(&yaml(node, route))
}

fn yaml(node: &FakeNode, route: &str) -> String {
    let address = node.address;
    format!(
        "listeners: [{{ bind: '127.0.0.1:0', http2: on, trusted_proxies: [127.0.0.9] }}]\n\
         upstreams: {{ chat: {{ nodes: ['{address}'], health: off }} }}\n\
         routes: [{{ upstream: chat, {route} }}]\n"
    )
}

/// What the node saw last.
fn last(node: &FakeNode) -> Seen {
    node.requests().pop().unwrap()
}

#[tokio::test]
async fn nodes_see_the_rest_of_the_path_byte_for_byte() {
    let node = FakeNode::start(|_| ok("")).await;
    for (route, targets) in [
        (
            "path: /app, strip_prefix: /app/",
            &[
                ("/app", "/"),
                ("/app?a=b", "/?a=b"),
                ("/app/", "/"),
                ("/app/a%2Fb/%C3%A4?x=%20&y", "/a%2Fb/%C3%A4?x=%20&y"),
                ("http://test/app/x?y", "/x?y"),
                ("/app//host.example/", "/host.example/"),
            ][..],
        ),
        ("path: /, add_prefix: /v2", &[("/", "/v2/"), ("/x?y", "/v2/x?y"), ("/v2", "/v2/v2")]),
        (
            "path: { exact: /app/health }, strip_prefix: /app, add_prefix: /v2/api",
            &[("/app/health?x", "/v2/api/health?x")],
        ),
    ] {
        let proxy = proxy(&node, route);
        for (target, expected) in targets {
            assert_eq!(get(proxy.address, target).await.status(), 200, "{target}");
            assert_eq!(last(&node).head.target, *expected, "{target}");
        }
    }
    let proxy = proxy(&node, "path: /app, strip_prefix: /app");
    for target in ["/apple", "/app%2Fx", "/APP/x"] {
        assert_eq!(get(proxy.address, target).await.status(), 404, "{target}");
    }
    for target in ["/app/../x", "/app/%2e%2e/x"] {
        assert_eq!(get(proxy.address, target).await.status(), 400, "{target}");
    }
}

#[tokio::test]
async fn a_node_is_told_the_prefix_that_it_does_not_see() {
    let node = FakeNode::start(|_| ok("")).await;
    let stripping = proxy(&node, "path: /app/, strip_prefix: /app");
    let adding = proxy(&node, "path: /app/, add_prefix: /v2");
    let told = async |proxy: &Proxy, from: &str| {
        let mut client = Client::connect_from(from, proxy.address).await;
        let fields = ["X-Forwarded-Prefix: /outer/"];
        client.send(request("GET", "/app/x", &fields, "")).await;
        assert_eq!(client.response().await.status(), 200);
        let head = last(&node).head;
        let told = head.fields.into_iter().filter(|(name, _)| name == "x-forwarded-prefix");
        told.map(|(_, value)| value).collect::<Vec<_>>()
    };
    assert_eq!(told(&stripping, "127.0.0.1").await, ["/app"], "a stranger is not believed");
    assert_eq!(told(&stripping, "127.0.0.9").await, ["/outer/app"]);
    assert_eq!(told(&adding, "127.0.0.1").await, [""; 0]);
    assert_eq!(told(&adding, "127.0.0.9").await, ["/outer/"]);
}

#[tokio::test]
async fn redirects_and_cookies_of_a_node_lead_back_below_the_prefix() {
    let node = FakeNode::start(|request| {
        let location = request.query("to").unwrap_or_default();
        let head = format!(
            "HTTP/1.1 302 Found\r\nLocation: {location}\r\nSet-Cookie: a=1; Path=/; HttpOnly\r\n\
             Set-Cookie: __Host-b=2; Path=/; Secure\r\nContent-Length: 0\r\n\r\n"
        );
        Reply::Bytes(head.into_bytes())
    })
    .await;
    let proxy = proxy(&node, "path: /app/, strip_prefix: /app");
    let mut requests = http2::connect(proxy.address).await;
    for (location, expected) in [
        ("/login", "/app/login"),
        ("login", "login"),
        ("http://test/login", "http://test/app/login"),
        ("//test/login", "//test/app/login"),
        ("http://other.example/login", "http://other.example/login"),
        ("/app/login", "/app/login"),
    ] {
        let target = format!("/app/x?to={location}");
        let answer = get(proxy.address, &target).await.head;
        assert_eq!(answer.field("location"), Some(expected), "{location}");
        let cookies = answer.fields.iter().filter(|(name, _)| name == "set-cookie");
        let cookies: Vec<_> = cookies.map(|(_, value)| value.as_str()).collect();
        assert_eq!(cookies, ["a=1; Path=/app; HttpOnly", "__Host-b=2; Path=/; Secure"]);

        let request = Request::get(format!("http://test{target}")).body(()).unwrap();
        let answer = http2::ask(&mut requests, request).await;
        assert_eq!(answer.headers()["location"], expected, "HTTP/2");
        assert_eq!(answer.headers()["set-cookie"], "a=1; Path=/app; HttpOnly");
    }
}

#[tokio::test]
async fn our_own_cookie_is_for_the_prefix_and_brings_the_client_back() {
    let nodes = [FakeNode::engineio("a").await, FakeNode::engineio("b").await];
    let addresses = nodes.each_ref().map(|node| format!("'{}'", node.address)).join(", ");
    let proxy = Proxy::start(&format!(
        "listeners: [{{ bind: '127.0.0.1:0' }}]\n\
         upstreams: {{ chat: {{ nodes: [{addresses}], affinity: cookie }} }}\n\
         routes: [{{ path: /app/socket.io/, upstream: chat, strip_prefix: /app }}]\n"
    ));
    let target = "/app/socket.io/?EIO=4&transport=polling";
    let opened = get(proxy.address, target).await;
    let cookie = opened.head.field("set-cookie").unwrap().to_owned();
    assert!(cookie.contains("; Path=/app;"), "{cookie}");
    let (pair, text) = (cookie.split(';').next().unwrap(), opened.text());
    let bound = format!("{target}&sid={}", text.split('"').nth(3).unwrap());
    for _ in 0..4 {
        let mut client = Client::connect(proxy.address).await;
        client.send(request("GET", &bound, &[&format!("Cookie: {pair}")], "")).await;
        assert_eq!(client.response().await.status(), 200);
    }
}

#[tokio::test]
async fn a_tagged_session_goes_on_below_a_prefix_by_polling_and_by_both_kinds_of_websocket() {
    let node = FakeNode::engineio("a").await;
    let proxy = proxy(&node, "path: /app/socket.io/, strip_prefix: /app");
    let target = "/app/socket.io/?EIO=4&transport=";
    let text = get(proxy.address, &format!("{target}polling")).await.text();
    let sid = text.split('"').nth(3).unwrap();
    assert!(sid.starts_with("a0."), "it is tagged: {sid}");
    let bound = format!("{target}polling&sid={sid}");
    assert_eq!(get(proxy.address, &bound).await.text(), "4a");
    assert_eq!(last(&node).head.target, "/socket.io/?EIO=4&transport=polling&sid=a0");

    let upgrade = format!("{target}websocket&sid={sid}");
    let seen = "/socket.io/?EIO=4&transport=websocket&sid=a0";
    let mut client = open(proxy.address, &upgrade).await;
    assert_eq!(last(&node).head.target, seen);
    client.send(websocket::text("2probe")).await;
    assert_eq!(client.frame().await.unwrap().1, b"2probe");

    let mut requests = http2::connect(proxy.address).await;
    let (answer, _sent) = requests.send_request(websocket_request(&upgrade), false).unwrap();
    assert_eq!(answer.await.unwrap().status(), 200);
    assert_eq!(last(&node).head.target, seen);
}

/// noVNC asks for `websockify` next to its page, with a subprotocol.
#[tokio::test]
async fn a_plain_websocket_below_a_prefix_reaches_its_node() {
    let node = FakeNode::start(|request| match request.head.is_upgrade() {
        true => Reply::Echo { behind: b"\x82\x0cRFB 003.008\n".to_vec() },
        false => ok("<title>noVNC</title>"),
    })
    .await;
    let proxy = proxy(&node, "path: /vnc/7, strip_prefix: /vnc/7");
    assert_eq!(get(proxy.address, "/vnc/7/vnc.html").await.text(), "<title>noVNC</title>");
    assert_eq!(last(&node).head.target, "/vnc.html");
    let (mut client, answer) = ask(proxy.address, "/vnc/7/websockify?token=a%2Fb", &[]).await;
    assert_eq!(answer.status(), 101);
    assert_eq!(last(&node).head.target, "/websockify?token=a%2Fb");
    assert_eq!(client.frame().await.unwrap().1, b"RFB 003.008\n");
    client.send(websocket::frame(2, b"RFB 003.008\n", Some([1, 2, 3, 4]))).await;
    assert_eq!(client.frame().await.unwrap().1, b"RFB 003.008\n");
}

#[tokio::test]
async fn a_regular_expression_serves_what_no_prefix_but_the_shortest_does() {
    let nodes = ["all", "regex", "late", "prefix"];
    let nodes = nodes.map(|name| FakeNode::start(move |_| ok(name)));
    let nodes = futures_util::future::join_all(nodes).await;
    let upstreams = ["all", "regex", "late", "prefix"].iter().zip(&nodes);
    let upstreams =
        upstreams.map(|(name, node)| format!("{name}: {{ nodes: ['{}'] }}", node.address));
    let proxy = Proxy::start(&format!(
        "listeners: [{{ bind: '127.0.0.1:0' }}]\n\
         upstreams: {{ {} }}\n\
         routes:\n\
         - {{ upstream: all }}\n\
         - {{ path: {{ regex: '^/v[0-9]+/' }}, upstream: regex, add_prefix: /api }}\n\
         - {{ path: {{ regex: '^/v1/' }}, upstream: late }}\n\
         - {{ path: /v1/chat/, upstream: prefix }}\n",
        upstreams.collect::<Vec<_>>().join(", ")
    ));
    for (target, expected) in [
        ("/v12/x?y", "regex"),
        ("/v1/x", "regex"),
        ("/v1/chat/x", "prefix"),
        ("/x/v1/", "all"),
        ("/V1/", "all"),
    ] {
        assert_eq!(get(proxy.address, target).await.text(), expected, "{target}");
    }
    assert_eq!(nodes[1].requests()[0].head.target, "/api/v12/x?y");
}

#[tokio::test]
async fn no_spelling_of_a_path_avoids_the_route_of_the_plain_one() {
    let node = FakeNode::start(|_| ok("")).await;
    let address = node.address;
    let proxy = Proxy::start(&format!(
        "listeners: [{{ bind: '127.0.0.1:0' }}]\n\
         upstreams: {{ chat: {{ nodes: ['{address}'], health: off }} }}\n\
         routes:\n\
         - {{ path: /app, strip_prefix: /app, upstream: chat }}\n\
         - {{ path: /app/admin, respond: {{ status: 403 }} }}\n"
    ));
    assert_eq!(get(proxy.address, "/app/admin/x").await.status(), 403);
    for target in ["/app//admin/x", "/app/%61dmin", "/app/ad%6din/x?y", "/app///admin"] {
        assert_eq!(get(proxy.address, target).await.status(), 400, "{target}");
    }
    assert_eq!(node.requests().len(), 0);
    for target in ["/app//administrators", "/app/%7Euser//x", "/app/a%2Fb"] {
        assert_eq!(get(proxy.address, target).await.status(), 200, "{target}");
    }
    assert_eq!(last(&node).head.target, "/a%2Fb");
}

#[tokio::test]
async fn the_log_shows_the_path_of_the_client() {
    let node = FakeNode::engineio("a").await;
    let yaml = yaml(&node, "path: /app/socket.io/, strip_prefix: /app");
    let mut process = ProxyProcess::start(&yaml).await;
    let target = "/app/socket.io/?EIO=4&transport=polling";
    assert_eq!(get(process.address, target).await.status(), 200);
    let line = process.until_log("answered").await;
    assert!(line.contains("path=\"/app/socket.io/\"") || line.contains("path=/app/socket.io/"));
}

#[tokio::test]
async fn real_clients_use_a_server_below_a_prefix() {
    let node = NodeServer::start(&["--allow-eio3"]).await;
    let proxy = Proxy::start(&format!(
        "listeners: [{{ bind: '127.0.0.1:0' }}]\n\
         upstreams: {{ chat: {{ nodes: ['{}'] }} }}\n\
         routes: [{{ path: /chat/socket.io/, upstream: chat, strip_prefix: /chat }}]\n",
        node.address()
    ));
    let url = format!("http://{}", proxy.address);
    for line in ["4", "3", "2"] {
        let arguments = ["--url", &url, "--line", line, "--path", "/chat/socket.io/"];
        let result: Value = run_client(&[&arguments[..], &["--scenario", "basics"]].concat()).await;
        held(result);
    }
}
