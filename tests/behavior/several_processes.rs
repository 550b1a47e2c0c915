//! Several processes behind one address: a dispatcher gives a whole TCP connection to one of them, by
//! the first request on it, as `@socket.io/sticky` and PM2 do.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::support::http::{read_body, read_head};
use crate::support::{Client, Proxy, config, get, open_packet, request, response};

const OPEN: &str = "/socket.io/?EIO=4&transport=polling";
const ADMIN: &str = "admin: { bind: '127.0.0.1:0' }\n";
const UNKNOWN: &str = r#"{"code":1,"message":"Session ID unknown"}"#;

/// A node of two processes, and how many refusals it gave.
struct Cluster {
    address: std::net::SocketAddr,
    refusals: Arc<AtomicUsize>,
    connections: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

/// The dispatcher of a cluster.
struct Dispatcher {
    refusals: Arc<AtomicUsize>,
    /// When each session was opened.
    sessions: Mutex<HashMap<String, Instant>>,
    /// When it hears of a session after it was opened.
    hears_after: Duration,
}

impl Dispatcher {
    /// The process of the session `sid`, if the dispatcher has heard of it.
    fn owner(&self, sid: &str) -> Option<usize> {
        let opened = *self.sessions.lock().unwrap().get(sid)?;
        (opened.elapsed() >= self.hears_after).then(|| process_of(sid))
    }
}

fn process_of(sid: &str) -> usize {
    usize::from(sid.starts_with('b'))
}

impl Cluster {
    async fn start() -> Self {
        Self::start_with(Duration::ZERO).await
    }

    /// A cluster whose dispatcher hears of a session so late.
    async fn start_with(hears_after: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let refusals: Arc<AtomicUsize> = Arc::default();
        let connections: Arc<AtomicUsize> = Arc::default();
        let count = connections.clone();
        let (refused, sessions) = (refusals.clone(), Mutex::default());
        let dispatcher = Arc::new(Dispatcher { refusals: refused, sessions, hears_after });
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut workers = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let number = count.fetch_add(1, Ordering::Relaxed);
                workers.spawn(serve(stream, number, dispatcher.clone()));
            }
        });
        Self { address, refusals, connections, _tasks: tasks }
    }
}

/// One connection: its first request chooses the process, which knows its own sessions alone.
async fn serve(mut stream: TcpStream, number: usize, dispatcher: Arc<Dispatcher>) {
    let (mut buffer, mut process) = (Vec::new(), None);
    let mut opened = 0;
    while let Some(head) = read_head(&mut stream, &mut buffer).await {
        let body = read_body(&mut stream, &mut buffer, &head).await;
        assert!(body.is_some());
        let sid = head.target.split_once("sid=").map(|(_, sid)| sid.to_owned());
        let owner = sid.as_deref().and_then(|sid| dispatcher.owner(sid));
        let process = *process.get_or_insert_with(|| owner.unwrap_or(number % 2));
        let answer = match sid {
            None => {
                opened += 1;
                let name = if process == 0 { "a" } else { "b" };
                let sid = format!("{name}-{number}-{opened}");
                dispatcher.sessions.lock().unwrap().insert(sid.clone(), Instant::now());
                response("200 OK", &open_packet(&sid))
            }
            Some(sid) if process_of(&sid) != process => {
                dispatcher.refusals.fetch_add(1, Ordering::Relaxed);
                response("400 Bad Request", UNKNOWN)
            }
            Some(_) if head.method == "POST" => response("200 OK", "ok"),
            Some(_) => response("200 OK", "6"),
        };
        if stream.write_all(&answer).await.is_err() {
            return;
        }
    }
}

async fn sessions(proxy: &Proxy, count: usize) -> Vec<String> {
    let mut sids = Vec::new();
    for _ in 0..count {
        let text = get(proxy.address, OPEN).await.text();
        let (_, sid) = text.split_once("\"sid\":\"").expect("an open packet");
        sids.push(sid.split_once('"').unwrap().0.to_owned());
    }
    sids
}

#[tokio::test]
async fn no_session_is_lost_and_the_node_is_known_as_several_processes() {
    let cluster = Cluster::start().await;
    let proxy = Proxy::start(&(config(&[cluster.address], "", "") + ADMIN));
    // At once, so that both processes get sessions.
    let (some, others) = tokio::join!(sessions(&proxy, 20), sessions(&proxy, 20));
    let sids = [some, others].concat();
    let mut client = Client::connect(proxy.address).await;
    for round in 0..3 {
        for sid in &sids {
            let target = format!("{OPEN}&sid={sid}");
            let answer = client.get(&target).await;
            assert_eq!((answer.status(), answer.text().as_str()), (200, "6"), "{round}: {sid}");
            client.send(request("POST", &target, &[], "4hello")).await;
            assert_eq!(client.response().await.text(), "ok");
        }
    }
    let mut admin = Client::connect(proxy.admin.unwrap()).await;
    admin.send("GET /nodes HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").await;
    let shown = admin.response().await.text();
    let both =
        sids.iter().any(|sid| sid.starts_with('a')) && sids.iter().any(|sid| sid.starts_with('b'));
    assert!(both, "both processes have sessions: {sids:?}");
    assert!(shown.contains("several processes"), "{shown}");
    assert_eq!(cluster.refusals.load(Ordering::Relaxed), 1, "one refusal is enough to know");
}

#[tokio::test]
async fn a_message_that_is_too_long_to_be_sent_twice_meets_its_own_process() {
    let cluster = Cluster::start().await;
    let proxy = Proxy::start(&config(&[cluster.address], "", ""));
    let (some, others) = tokio::join!(sessions(&proxy, 20), sessions(&proxy, 20));
    let message = "4".repeat(100_000);
    for sid in [some, others].concat() {
        let mut client = Client::connect(proxy.address).await;
        client.send(request("POST", &format!("{OPEN}&sid={sid}"), &[], &message)).await;
        assert_eq!(client.response().await.text(), "ok", "{sid}");
    }
    assert_eq!(cluster.refusals.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn sessions_of_one_process_share_connections() {
    let node = crate::support::FakeNode::engineio("n").await;
    let proxy = Proxy::start(&config(&[node.address], "", ""));
    let sids = sessions(&proxy, 5).await;
    for sid in &sids {
        assert_eq!(get(proxy.address, &format!("{OPEN}&sid={sid}")).await.text(), "4n");
    }
    assert_eq!(node.connections(), 1);
}

#[tokio::test]
async fn where_it_is_written_a_session_never_meets_another_process() {
    let cluster = Cluster::start().await;
    let proxy = Proxy::start(&config(&[cluster.address], "connections: per_session", ""));
    let sids = sessions(&proxy, 6).await;
    let mut client = Client::connect(proxy.address).await;
    for sid in &sids {
        for _ in 0..3 {
            assert_eq!(client.get(&format!("{OPEN}&sid={sid}")).await.text(), "6");
        }
    }
    assert_eq!(cluster.refusals.load(Ordering::Relaxed), 0);
    // The connection of a handshake is the session's own from then on.
    assert_eq!(cluster.connections.load(Ordering::Relaxed), sids.len());
}

#[tokio::test]
async fn requests_on_their_way_to_a_wrong_process_are_answered_when_the_node_is_found_out() {
    // Less than the pause before a refused request is sent on a new connection.
    let cluster = Cluster::start_with(Duration::from_millis(50)).await;
    let proxy = Proxy::start(&config(&[cluster.address], "", ""));
    let opened = join_all((0..40).map(async |_| {
        let mut client = Client::connect(proxy.address).await;
        let text = client.get(OPEN).await.text();
        let (_, sid) = text.split_once("\"sid\":\"").expect("an open packet");
        (client, sid.split_once('"').unwrap().0.to_owned())
    }));
    // All at once: none of them knows yet what the first refusal shows.
    let polled = opened.await.into_iter().map(async |(mut client, sid)| {
        let answer = client.get(&format!("{OPEN}&sid={sid}")).await;
        assert_eq!((answer.status(), answer.text().as_str()), (200, "6"), "{sid}");
    });
    join_all(polled).await;
    assert!(cluster.refusals.load(Ordering::Relaxed) > 1, "several met a wrong process");
}

#[tokio::test]
async fn a_new_connection_that_the_dispatcher_gives_to_a_wrong_process_costs_no_session() {
    let cluster = Cluster::start_with(Duration::from_millis(50)).await;
    // Each request has a connection of its own.
    let proxy = Proxy::start(&config(&[cluster.address], "pool_idle_timeout: off", ""));
    let sid = sessions(&proxy, 1).await.remove(0);
    let answer = get(proxy.address, &format!("{OPEN}&sid={sid}")).await;
    assert_eq!((answer.status(), answer.text().as_str()), (200, "6"));
    assert_eq!(cluster.refusals.load(Ordering::Relaxed), 1);
}
