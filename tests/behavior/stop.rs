//! The stop of the process: polls are waited for, tunnels leave one by one, nobody is refused who
//! could be served.

use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::support::balancer::Balancer;
use crate::support::http::read_head;
use crate::support::socketio::{NodeServer, held, run_client};
use crate::support::websocket::{open, text};
use crate::support::{
    Client, FakeNode, ProxyProcess, Reply, Site, config, get, ok, request, response,
};

/// What a node says in the end to whom it let wait.
const NOOP: &str = "6";

/// A node whose polls are answered by the test, and the proxy's side of the first of them.
async fn pending_poll(proxy: std::net::SocketAddr) -> (Client, &'static str) {
    let mut poll = Client::connect(proxy).await;
    poll.send(request("GET", "/socket.io/?EIO=4&transport=polling&sid=x", &[], "")).await;
    (poll, NOOP)
}

#[tokio::test]
async fn a_pending_poll_is_answered_after_the_stop_began() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let yaml = config(&[listener.local_addr().unwrap()], "", "");
    let mut site = Site::start(&format!("{yaml}shutdown: {{ timeout: 20s }}\n"));
    let (mut poll, noop) = pending_poll(site.address()).await;
    let (stream, _) = listener.accept().await.unwrap();
    let mut node = Client { stream, buffer: Vec::new() };
    read_head(&mut node.stream, &mut node.buffer).await.unwrap();

    let mut idle = Client::connect(site.address()).await;

    site.begin_stop();
    until_closed(site.address()).await;
    // A second later the stop has reached every connection.
    assert_eq!(idle.until_end().await, b"");
    node.send(response("200 OK", noop)).await;

    let answer = poll.response().await;
    assert_eq!((answer.status(), answer.text().as_str()), (200, noop));
    assert_eq!(answer.head.field("connection"), Some("close"));
    timeout(Duration::from_secs(5), site.ended()).await.expect("nothing is left to wait for");
}

#[tokio::test]
async fn a_poll_that_is_on_its_way_when_the_stop_begins_is_served() {
    let node = FakeNode::start(|_| ok(NOOP)).await;
    let mut site = Site::start(&config(&[node.address], "", ""));
    let mut client = Client::connect(site.address()).await;
    assert_eq!(client.get("/").await.head.field("connection"), None);

    site.begin_stop();
    until_closed(site.address()).await;

    let answer = client.get("/").await;
    assert_eq!((answer.status(), answer.head.field("connection")), (200, Some("close")));
    assert_eq!(client.until_end().await, b"");
}

#[tokio::test]
async fn new_connections_are_taken_during_the_delay_and_refused_behind_it() {
    let node = FakeNode::start(|_| ok("yes")).await;
    let yaml = config(&[node.address], "", "");
    let mut site = Site::start(&format!("{yaml}shutdown: {{ delay: 2s }}\n"));
    assert_eq!(get(site.address(), "/").await.text(), "yes");
    assert!(site.readiness.is_ready());

    let begun = Instant::now();
    site.begin_stop();
    let unready = async {
        while site.readiness.is_ready() {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(1), unready).await.expect("at once");
    let during = get(site.address(), "/").await;
    assert_eq!((during.status(), during.head.field("connection")), (200, None));
    until_closed(site.address()).await;
    assert!(begun.elapsed() >= Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn tunnels_are_closed_one_after_the_other() {
    let node = FakeNode::start(|_| Reply::Echo { behind: Vec::new() }).await;
    let yaml = config(&[node.address], "", "");
    let mut site = Site::start(&format!("{yaml}shutdown: {{ timeout: 5s }}\n"));
    let mut tunnels = tokio::task::JoinSet::new();
    let mut clients = Vec::new();
    for _ in 0..40 {
        clients.push(open(site.address(), "/ws").await);
    }

    let begun = Instant::now();
    site.begin_stop();
    for mut client in clients {
        tunnels.spawn(async move {
            client.send(text("to the end")).await;
            assert_eq!(client.frame().await, Some((1, b"to the end".to_vec())));
            let (opcode, payload) = client.frame().await.expect("a Close frame");
            assert_eq!((opcode, &payload[..2]), (8, &1012u16.to_be_bytes()[..]));
            begun.elapsed()
        });
    }
    let mut times = tunnels.join_all().await;
    times.sort();
    // Evenly over the 3.75 s that leave time for the answers; by chance they are a little uneven.
    let early = times.iter().filter(|time| **time < Duration::from_secs(1)).count();
    assert!(early < 25, "{times:?}");
    assert!(times[39] > Duration::from_secs(2), "{times:?}");
    assert!(times[39] < Duration::from_secs(6), "{times:?}");
}

#[tokio::test]
async fn what_does_not_end_in_time_is_cut_and_the_end_is_in_order() {
    let node = FakeNode::start(|_| Reply::Silence).await;
    let yaml = config(&[node.address], "", "");
    let mut proxy = ProxyProcess::start(&format!("{yaml}shutdown: {{ timeout: 1s }}\n")).await;
    proxy.until_log(" ready").await;
    let (mut poll, _) = pending_poll(proxy.address).await;
    node.until_requests(1).await;
    let begun = Instant::now();
    proxy.signal("TERM");
    assert_eq!(proxy.child.wait().await.unwrap().code(), Some(0));
    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
    assert!(poll.next_response().await.is_none());
}

#[tokio::test]
async fn a_tunnel_that_is_cut_has_its_line() {
    let node = FakeNode::start(|_| Reply::Echo { behind: Vec::new() }).await;
    let yaml = config(&[node.address], "", "");
    let mut proxy = ProxyProcess::start(&format!("{yaml}shutdown: {{ timeout: 1s }}\n")).await;
    proxy.until_log(" ready").await;
    // It does not answer the Close frame, for which it has 5 s.
    let _client = open(proxy.address, "/ws").await;
    proxy.signal("TERM");
    let line = proxy.until_log("tunnel ended").await;
    assert!(line.contains("end=\"drained\"") && line.contains("by=\"operator\""), "{line}");
    assert_eq!(proxy.child.wait().await.unwrap().code(), Some(0));
}

#[tokio::test]
async fn a_second_signal_ends_at_once_and_says_so() {
    let node = FakeNode::start(|_| Reply::Silence).await;
    for during in ["shutdown: { delay: 5m }\n", "shutdown: { timeout: 1h }\n"] {
        let yaml = config(&[node.address], "", "") + during;
        let mut proxy = ProxyProcess::start(&yaml).await;
        proxy.until_log(" ready").await;
        let seen = node.requests().len();
        let (mut poll, _) = pending_poll(proxy.address).await;
        node.until_requests(seen + 1).await;
        proxy.signal("TERM");
        proxy.until_log("stopping").await;
        proxy.signal("INT");
        let ended = timeout(Duration::from_secs(10), proxy.child.wait()).await.expect("at once");
        let status = ended.unwrap();
        assert_eq!((status.code(), status.signal()), (Some(1), None), "{during}");
        proxy.until_log("second signal").await;
        assert!(poll.next_response().await.is_none());
    }
}

#[tokio::test]
async fn a_polling_session_goes_on_through_the_other_proxy_without_a_lost_message() {
    let nodes =
        [NodeServer::start(&["--name", "n1"]).await, NodeServer::start(&["--name", "n2"]).await];
    let addresses: Vec<_> = nodes.iter().map(|node| node.address().parse().unwrap()).collect();
    let yaml = config(&addresses, "", "") + "shutdown: { timeout: 20s }\n";
    let mut leaving = ProxyProcess::start(&yaml).await;
    leaving.until_log(" ready").await;
    let staying = ProxyProcess::start(&yaml).await;
    let balancer = Balancer::over(vec![leaving.address, staying.address]).await;
    let url = balancer.url();
    let arguments =
        ["--url", &url, "--scenario", "ordered", "--transports", "polling", "--messages", "20000"];
    let talk = async {
        held(run_client(&arguments).await);
        Instant::now()
    };
    let stop = async {
        // The session's handshake.
        leaving.until_log("answered").await;
        balancer.take_out(leaving.address);
        leaving.signal("TERM");
        assert_eq!(leaving.child.wait().await.unwrap().code(), Some(0));
        Instant::now()
    };

    let (told, stopped) = tokio::join!(talk, stop);

    assert!(stopped < told, "it went on for {:?} behind its last word", stopped - told);
}

/// Waits until nobody accepts at `address`.
async fn until_closed(address: std::net::SocketAddr) {
    let closed = async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(10), closed).await.expect("the listener ends");
}
