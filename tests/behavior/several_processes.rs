//! Several processes behind one address: a dispatcher gives a whole TCP connection to one of them, by
//! the first request on it, as `@socket.io/sticky` and PM2 do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

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

impl Cluster {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let refusals: Arc<AtomicUsize> = Arc::default();
        let connections: Arc<AtomicUsize> = Arc::default();
        let (refused, count) = (Arc::clone(&refusals), connections.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut workers = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let number = count.fetch_add(1, Ordering::Relaxed);
                workers.spawn(serve(stream, number, refused.clone()));
            }
        });
        Self { address, refusals, connections, _tasks: tasks }
    }
}

/// One connection: its first request chooses the process, which knows its own sessions alone.
async fn serve(mut stream: TcpStream, number: usize, refusals: Arc<AtomicUsize>) {
    let (mut buffer, mut process) = (Vec::new(), None);
    let mut opened = 0;
    while let Some(head) = read_head(&mut stream, &mut buffer).await {
        let body = read_body(&mut stream, &mut buffer, &head).await;
        assert!(body.is_some());
        let sid = head.target.split_once("sid=").map(|(_, sid)| sid.to_owned());
        let owner = sid.as_deref().map_or(number % 2, |sid| usize::from(sid.starts_with('b')));
        let process = *process.get_or_insert(owner);
        let answer = match sid {
            None => {
                opened += 1;
                let name = if process == 0 { "a" } else { "b" };
                response("200 OK", &open_packet(&format!("{name}-{number}-{opened}")))
            }
            Some(_) if owner != process => {
                refusals.fetch_add(1, Ordering::Relaxed);
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
