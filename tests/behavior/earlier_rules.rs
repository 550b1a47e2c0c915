//! A session goes on by the rule under which it was opened, whatever a reload says of new ones.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::{Client, FakeNode, Reply, Site, ok, open_packet, request, response};

/// A session as its client knows it.
struct Session {
    node: String,
    eio: u8,
    sid: String,
    cookie: Option<String>,
}

impl Session {
    async fn open(proxy: SocketAddr, eio: u8) -> Self {
        let target = format!("/socket.io/?EIO={eio}&transport=polling&room=x");
        let answer = Client::connect(proxy).await.get(&target).await;
        let body = answer.text();
        let (_, rest) = body.split_once("\"sid\":\"").expect(&body);
        let sid = rest.split('"').next().unwrap().to_owned();
        let cookie = answer.head.field("set-cookie").and_then(|set| set.split(';').next());
        Self { node: sid[..1].to_owned(), eio, cookie: cookie.map(str::to_owned), sid }
    }

    /// What a poll of it is answered with.
    async fn poll(&self, proxy: SocketAddr) -> String {
        let (eio, sid) = (self.eio, &self.sid);
        let target = format!("/socket.io/?EIO={eio}&transport=polling&room=x&sid={sid}");
        let cookie = self.cookie.as_ref().map(|cookie| format!("Cookie: {cookie}"));
        let fields: Vec<&str> = cookie.as_deref().into_iter().collect();
        let mut client = Client::connect(proxy).await;
        client.send(request("GET", &target, &fields, "")).await;
        client.response().await.text()
    }
}

/// Some of EIO=4 and some of EIO=3.
async fn open_sessions(proxy: SocketAddr) -> Vec<Session> {
    let mut sessions = Vec::new();
    for number in 0..12 {
        sessions.push(Session::open(proxy, 3 + number % 2).await);
    }
    sessions
}

async fn assert_known(proxy: SocketAddr, sessions: &[Session], why: &str) {
    for session in sessions {
        let expected = format!("4{}", session.node);
        assert_eq!(session.poll(proxy).await, expected, "{why}: {}", session.sid);
    }
}

/// A node that opens sessions of both protocols, called by its name and a number, and knows no others.
async fn node(name: &'static str) -> FakeNode {
    let count = AtomicUsize::new(0);
    FakeNode::start(move |request| match request.query("sid") {
        None => {
            let packet = open_packet(&format!("{name}{}", count.fetch_add(1, Ordering::Relaxed)));
            match request.query("EIO") {
                Some("3") => ok(&format!("{}:{packet}", packet.len())),
                _ => ok(&packet),
            }
        }
        Some(sid) if sid.starts_with(name) && !sid.contains('.') => ok(&format!("4{name}")),
        Some(_) => {
            let unknown = r#"{"code":1,"message":"Session ID unknown"}"#;
            Reply::Bytes(response("400 Bad Request", unknown))
        }
    })
    .await
}

async fn four_nodes() -> [FakeNode; 4] {
    [node("a").await, node("b").await, node("c").await, node("d").await]
}

fn yaml(upstreams: &[(&str, &[FakeNode])], affinity: &str, route: &str) -> String {
    let upstreams = upstreams.iter().map(|(name, nodes)| {
        let nodes: Vec<_> = nodes.iter().map(|node| format!("'{}'", node.address)).collect();
        format!("{name}: {{ nodes: [{}], affinity: {affinity} }}", nodes.join(", "))
    });
    format!(
        "listeners: [{{ bind: '127.0.0.1:0' }}]\nupstreams: {{ {} }}\n\
         routes: [{{ path: /, upstream: {route} }}]\n",
        upstreams.collect::<Vec<_>>().join(", ")
    )
}

const RULES: [&str; 7] = [
    "sid",
    "{ sid: { keys: ['a secret of 21 letters'] } }",
    "{ sid: { tag_eio3: true } }",
    "cookie",
    "{ cookie: { name: other } }",
    "{ rendezvous: { by: { query: room } } }",
    "none",
];

#[tokio::test]
async fn another_affinity_is_for_new_sessions_and_loses_none_that_lives() {
    let nodes = four_nodes().await;
    let with = |affinity: &str| yaml(&[("chat", &nodes)], affinity, "chat");
    for first in RULES {
        let site = Site::start(&with(first));
        let sessions = match first {
            "none" => Vec::new(),
            _ => open_sessions(site.address()).await,
        };
        for next in RULES {
            site.reload(&with(next)).await.unwrap();
            assert_known(site.address(), &sessions, &format!("{first} and then {next}")).await;
        }
    }
}

#[tokio::test]
async fn another_upstream_of_a_route_is_for_new_sessions_too() {
    let nodes = four_nodes().await;
    let (old, new) = nodes.split_at(2);
    let (blue, green) = (("blue", old), ("green", new));
    // check(the upstreams that are left, what they are for new sessions)
    let check = async |affinity: &str, left: &[(&str, &[FakeNode])]| {
        let site = Site::start(&yaml(&[blue, green], affinity, "blue"));
        let sessions = open_sessions(site.address()).await;
        site.reload(&yaml(left, affinity, "green")).await.unwrap();
        assert_known(site.address(), &sessions, affinity).await;
        let fresh = open_sessions(site.address()).await;
        assert!(fresh.iter().all(|session| "cd".contains(&session.node)), "new ones go to green");
        assert_known(site.address(), &fresh, affinity).await;
        // The same again changes nothing, and back is back.
        site.reload(&yaml(&[blue, green], affinity, "blue")).await.unwrap();
        assert_known(site.address(), &sessions, affinity).await;
        assert_known(site.address(), &fresh, affinity).await;
    };
    for affinity in ["sid", "cookie", "{ rendezvous: { by: { query: room } } }"] {
        check(affinity, &[green]).await;
        check(affinity, &[blue, green]).await;
    }
}
