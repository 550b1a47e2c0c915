//! What an operator sees of single sessions, and what can be done about one.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::AsyncReadExt as _;

use crate::support::socketio::{NodeServer, StayingClients};
use crate::support::websocket::{self, text};
use crate::support::{Client, FakeNode, Proxy, get, request};

const WEBSOCKET: &str = "/socket.io/?EIO=4&transport=websocket";

/// The admin listener's answer in JSON.
async fn ask(admin: SocketAddr, method: &str, target: &str) -> (u16, Value) {
    let mut client = Client::connect(admin).await;
    client.send(request(method, target, &[], "").replace("Host: test", "Host: localhost")).await;
    let response = client.response().await;
    (response.status(), serde_json::from_slice(&response.body).unwrap())
}

async fn seen(proxy: &Proxy, target: &str) -> Value {
    let (status, answer) = ask(proxy.admin.unwrap(), "GET", target).await;
    assert_eq!(status, 200, "{target}: {answer:#}");
    answer
}

/// Waits until `/sessions` with these parameters has so many open sessions, and at least so many ended ones: a
/// client on a busy machine may give a session up and open another.
async fn until(proxy: &Proxy, query: &str, (open, ended): (usize, usize)) -> Value {
    let count = |answer: &Value, name: &str| answer[name].as_array().unwrap().len();
    let mut last = Value::Null;
    for _ in 0..200 {
        last = seen(proxy, &format!("/sessions?{query}")).await;
        if count(&last, "sessions") == open && count(&last, "ended") >= ended {
            return last;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{query}: not {open} open, {ended} ended: {last:#}");
}

fn yaml(nodes: &[String]) -> String {
    let nodes: Vec<_> = nodes.iter().map(|node| format!("'{node}'")).collect();
    format!(
        "listeners: [{{ bind: '127.0.0.1:0', trusted_proxies: [127.0.0.1/8] }}]\n\
         upstreams: {{ chat: {{ nodes: [{}] }} }}\n\
         routes: [{{ path: /, upstream: chat }}]\n\
         admin: {{ bind: '127.0.0.1:0' }}\n",
        nodes.join(", ")
    )
}

#[tokio::test]
async fn sessions_are_found_by_what_they_are() {
    let nodes =
        (NodeServer::start(&["--name", "a"]).await, NodeServer::start(&["--name", "b"]).await);
    let proxy = Proxy::start(&yaml(&[nodes.0.address(), nodes.1.address()]));
    let url = format!("http://{}", proxy.address);
    let clients = StayingClients::start(&["--url", &url, "--clients", "6"]).await;
    let all = until(&proxy, "transport=websocket", (6, 0)).await;
    assert_eq!((&all["matching"], &all["shown"]), (&6.into(), &6.into()));
    let mut ids = std::collections::HashSet::new();
    for session in all["sessions"].as_array().unwrap() {
        assert!(ids.insert(session["id"].as_str().unwrap().to_owned()));
        assert_eq!((&session["client"], &session["http"]), (&"127.0.0.1".into(), &"http1".into()));
        assert_eq!((&session["upstream"], &session["route"]), (&"chat".into(), &"*/".into()));
        assert!(session["session"].as_str().unwrap().ends_with('…'), "no whole sid: {session}");
        assert!(session["messages_from_node"].as_u64().unwrap() > 0);
    }
    let of_a =
        seen(&proxy, &format!("/sessions?transport=websocket&node=chat/{}", nodes.0.address()))
            .await;
    let of_b =
        seen(&proxy, &format!("/sessions?transport=websocket&node={}", nodes.1.address())).await;
    let count = |answer: &Value| answer["matching"].as_u64().unwrap();
    assert_eq!((count(&of_a) + count(&of_b), count(&of_a) > 0), (6, true));
    for (query, expected) in [
        ("client=10.0.0.0/8", 0),
        ("client=127.0.0.0/8&sort=messages&limit=2", 2),
        ("transport=upgrade", 0),
        ("max_age_seconds=0", 0),
        ("min_rate=1000", 0),
        ("route=nothing", 0),
        ("user=nobody", 0),
    ] {
        let found = seen(&proxy, &format!("/sessions?{query}")).await;
        assert_eq!(found["sessions"].as_array().unwrap().len(), expected, "{query}: {found:#}");
    }
    let (status, refused) = ask(proxy.admin.unwrap(), "GET", "/sessions?sort=size").await;
    assert_eq!((status, refused["error"].as_str().unwrap().contains("write age")), (400, true));
    drop(clients);
    until(&proxy, "transport=websocket", (0, 6)).await;
}

#[tokio::test]
async fn a_time_line_goes_from_the_handshake_to_the_end_and_keeps_the_id() {
    let node = NodeServer::start(&[]).await;
    let proxy = Proxy::start(&yaml(&[node.address()]));
    let open = get(proxy.address, "/socket.io/?EIO=4&transport=polling").await.text();
    let sid = open.split('"').nth(3).unwrap().to_owned();
    let polling = until(&proxy, "transport=polling", (1, 0)).await;
    let id = polling["sessions"][0]["id"].as_str().unwrap().to_owned();
    let mut client = websocket::open(proxy.address, &format!("{WEBSOCKET}&sid={sid}")).await;
    client.send(text("2probe")).await;
    assert_eq!(client.frame().await.unwrap().1, b"3probe");
    client.send([text("5"), text("40")].concat()).await;
    assert!(client.frame().await.unwrap().1.starts_with(b"40"));
    for number in 0..6 {
        client.send(text(&format!("42[\"collect\",{number}]"))).await;
    }
    let upgraded = until(&proxy, "transport=websocket", (1, 0)).await;
    assert_eq!(upgraded["sessions"][0]["id"], *id, "an upgrade changes no id");
    let shown = seen(&proxy, &format!("/sessions/{id}")).await;
    let moments = |shown: &Value| -> Vec<String> {
        let line = shown["timeline"].as_array().unwrap().iter();
        line.map(|moment| moment["what"].as_str().unwrap().to_owned()).collect()
    };
    let line = moments(&shown);
    assert_eq!(line[..2], ["session opened by polling", "websocket opened"], "{shown:#}");
    assert!(line.iter().any(|what| what.starts_with("upgraded")), "{shown:#}");
    let packets = shown["packets"].as_array().unwrap();
    assert!(packets.iter().any(|packet| packet["from"] == "client"), "{shown:#}");
    assert!(!shown.to_string().contains("collect"), "no payload is shown");

    client.send(websocket::close(1000)).await;
    until(&proxy, "", (0, 1)).await;
    let shown = seen(&proxy, &format!("/sessions/{id}")).await;
    assert_eq!(moments(&shown).last().unwrap(), "ended: client_closed", "{shown:#}");
    assert_eq!(shown["ended"]["cause"], Value::Null, "an ordinary end has no cause");
    assert_eq!(ask(proxy.admin.unwrap(), "GET", "/sessions/ffff").await.0, 404);
    assert_eq!(ask(proxy.admin.unwrap(), "GET", "/sessions/..%2f").await.0, 404);
}

#[tokio::test]
async fn an_operator_ends_one_session_and_no_other() {
    let node = FakeNode::engineio("a").await;
    let proxy = Proxy::start(&yaml(&[node.address.to_string()]));
    let mut first = websocket::open(proxy.address, WEBSOCKET).await;
    let listed = until(&proxy, "", (1, 0)).await;
    let id = listed["sessions"][0]["id"].as_str().unwrap().to_owned();
    let mut second = websocket::open(proxy.address, WEBSOCKET).await;
    until(&proxy, "", (2, 0)).await;
    let (status, _) = ask(proxy.admin.unwrap(), "GET", &format!("/sessions/{id}/end")).await;
    assert_eq!(status, 405, "a command is a POST");
    let (status, answer) = ask(proxy.admin.unwrap(), "POST", &format!("/sessions/{id}/end")).await;
    assert_eq!((status, &answer["ended"]), (200, &true.into()));
    loop {
        let (opcode, payload) = first.frame().await.expect("a Close frame before the end");
        if opcode == 8 {
            assert_eq!(payload, b"\x03\xe9ended by the operator");
            break;
        }
    }
    first.send(websocket::close(1001)).await;
    let ended = until(&proxy, "", (1, 1)).await;
    assert_eq!(
        (&ended["ended"][0]["end"], &ended["ended"][0]["by"]),
        (&"ended".into(), &"operator".into())
    );
    second.send(text("still here")).await;
    while second.frame().await.expect("it is open").1 != b"still here" {}

    let (status, _) = ask(proxy.admin.unwrap(), "POST", &format!("/sessions/{id}/end")).await;
    assert_eq!(status, 404, "it has ended");
}

#[tokio::test]
async fn a_session_that_polls_is_ended_by_its_server_alone() {
    let node = NodeServer::start(&[]).await;
    let proxy = Proxy::start(&yaml(&[node.address()]));
    get(proxy.address, "/socket.io/?EIO=4&transport=polling").await;
    let listed = until(&proxy, "", (1, 0)).await;
    let id = listed["sessions"][0]["id"].as_str().unwrap().to_owned();
    let (status, answer) = ask(proxy.admin.unwrap(), "POST", &format!("/sessions/{id}/end")).await;
    assert_eq!(status, 409);
    assert!(answer["error"].as_str().unwrap().contains("socket.disconnect(true)"));
}

#[tokio::test]
async fn ends_and_handshakes_are_told_as_they_come() {
    let node = FakeNode::engineio("a").await;
    let proxy = Proxy::start(&yaml(&[node.address.to_string()]));
    let mut tail = Client::connect(proxy.admin.unwrap()).await;
    let ask = request("GET", "/tail?what=ends,handshakes", &[], "").replace("test", "localhost");
    tail.send(ask).await;
    let mut told = Tail { client: tail, text: String::new() };
    told.until(":\n").await;
    let mut client = websocket::open(proxy.address, WEBSOCKET).await;
    let handshake = told.until("event: handshake").await;
    assert!(handshake.contains("\"status\":101"), "{handshake}");
    client.send(websocket::close(1000)).await;
    let end = told.until("event: end").await;
    assert!(end.contains("\"end\":\"client_closed\""), "{end}");
}

#[tokio::test]
async fn the_frames_of_a_session_are_watched_without_secrets_to_its_end() {
    let node = NodeServer::start(&[]).await;
    let proxy = Proxy::start(&yaml(&[node.address()]));
    let mut client = websocket::open(proxy.address, WEBSOCKET).await;
    client.send(text("40")).await;
    while !client.frame().await.unwrap().1.starts_with(b"40") {}
    let listed = until(&proxy, "", (1, 0)).await;
    let id = listed["sessions"][0]["id"].as_str().unwrap().to_owned();
    for (payload, shown) in [("", false), ("?payload=1", true)] {
        let mut watcher = Client::connect(proxy.admin.unwrap()).await;
        let ask = request("GET", &format!("/sessions/{id}/watch{payload}"), &[], "");
        watcher.send(ask.replace("test", "localhost")).await;
        let mut told = Tail { client: watcher, text: String::new() };
        told.until(":\n").await;
        // The tunnel was told to show its frames before the answer began, and does at its next poll.
        let mut pace = tokio::time::interval(Duration::from_millis(50));
        let frame = loop {
            pace.tick().await;
            client.send(text("42[\"collect\",{\"password\":\"hunter2\",\"n\":7}]")).await;
            let seen = told.until("\"from\":\"client\"");
            if let Ok(frame) = tokio::time::timeout(Duration::from_millis(500), seen).await {
                break frame;
            }
        };
        assert!(!told.text.contains("hunter2"), "{}", told.text);
        assert_eq!(told.text.contains("\\\"n\\\":7"), shown, "{}", told.text);
        assert!(told.text.contains("\"event\":\"collect\""), "{frame}");
        assert!(told.text.contains("\"namespace\":\"/\""), "{frame}");
        if shown {
            client.send(websocket::close(1000)).await;
            let end = told.until("event: ended").await;
            assert!(end.contains("\"end\":\"client_closed\""), "{end}");
        }
    }
    let (status, _) = ask(proxy.admin.unwrap(), "GET", &format!("/sessions/{id}/watch")).await;
    assert_eq!(status, 404, "it has ended");
}

/// Server-sent events as they come.
struct Tail {
    client: Client,
    text: String,
}

impl Tail {
    /// The text from `part` to the end of its line and the next one.
    async fn until(&mut self, part: &str) -> String {
        let read = async {
            loop {
                if let Some(at) = self.text.find(part)
                    && let Some(end) = self.text[at..].find("\n\n")
                {
                    return self.text[at..at + end].to_owned();
                }
                let mut bytes = [0; 4096];
                let length = self.client.stream.read(&mut bytes).await.unwrap();
                assert!(length > 0, "the stream ended: {}", self.text);
                self.text.push_str(&String::from_utf8_lossy(&bytes[..length]));
            }
        };
        tokio::time::timeout(Duration::from_secs(20), read).await.expect("an event in time")
    }
}
