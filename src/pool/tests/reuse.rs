//! Which connections are kept and used again, and which are closed.

use super::*;
use crate::net::proxy_header::Version;
use crate::upstream::settings::Settings;

#[tokio::test]
async fn a_connection_is_used_again_when_its_answer_was_read() {
    let bench = Bench::new().await;
    let mut socket = bench.idle().await;
    for answer in [
        WHOLE,
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nA: b\r\n\r\n",
    ] {
        let connection = bench.take().expect("an idle connection");
        assert_eq!(bench.idle_count(), 0);
        let (sent, ()) = tokio::join!(get(connection), answer_with(&mut socket, answer));
        let response = answered(sent);
        assert_eq!(bench.idle_count(), 0, "not before the answer was read");
        response.into_body().collect().await.unwrap();
    }
    assert_eq!(bench.idle_count(), 1);
}

#[tokio::test]
async fn the_connection_that_became_idle_last_is_taken_first() {
    let bench = Bench::new().await;
    let (_first, mut second) = (bench.idle().await, bench.idle().await);
    let connection = bench.take().unwrap();
    let (answer, ()) = tokio::join!(get(connection), answer_with(&mut second, WHOLE));
    read_to_end(answer).await;
}

#[tokio::test]
async fn connections_of_another_node_are_not_taken() {
    let (bench, other) = (Bench::new().await, Bench::new().await);
    let _socket = bench.idle().await;
    assert!(bench.pool.take(&other.node, Sharing::Any, bench.options.owner()).is_none());
    assert!(bench.take().is_some());
}

#[tokio::test]
async fn a_connection_that_was_idle_for_long_is_closed() {
    let bench = Bench::new().await;
    let mut socket = bench.idle().await;
    let later = Instant::now() + IDLE;
    let taken =
        bench.pool.idle().take(bench.node.identity(), (Sharing::Any, bench.options.owner()), later);
    assert!(taken.is_none());
    assert_closed(&mut socket).await;
}

#[tokio::test]
async fn idle_connections_are_closed_though_nobody_asks_for_any() {
    let bench = Bench::new().await;
    let mut socket = bench.idle().await;
    tokio::time::pause();
    for (after, idle) in [(IDLE / 2, 1), (IDLE / 2 + SWEEP_EVERY, 0)] {
        tokio::time::advance(after).await;
        tokio::task::yield_now().await;
        assert_eq!(bench.idle_count(), idle);
    }
    assert!(bench.pool.idle().of_node.is_empty());
    // The kernel knows no other time.
    tokio::time::resume();
    assert_closed(&mut socket).await;

    let sweeping = bench.pool.sweeping.clone();
    drop(bench);
    timeout(ENOUGH, sweeping.ended()).await.expect("it ends with the pool");
}

#[tokio::test]
async fn the_pool_is_bounded() {
    let bench = Bench::new().await;
    let mut first = bench.idle().await;
    let mut others = Vec::new();
    for _ in 0..IDLE_PER_NODE_MAX {
        others.push(bench.idle().await);
    }
    assert_eq!(bench.idle_count(), IDLE_PER_NODE_MAX);
    assert_closed(&mut first).await;
}

/// Waits until the close of the connection that is idle has arrived.
async fn until_closed(bench: &Bench<'_>) {
    let identity = bench.node.identity();
    let idle = bench.pool.idle().of_node.get_mut(&identity).unwrap().pop_back().unwrap();
    timeout(ENOUGH, idle.connection.stream.tcp().unwrap().ready(Interest::READABLE))
        .await
        .unwrap()
        .unwrap();
    bench.pool.idle().of_node.get_mut(&identity).unwrap().push_back(idle);
}

#[tokio::test]
async fn a_connection_that_the_node_closed_is_not_taken() {
    let bench = Bench::new().await;
    drop(bench.idle().await);
    until_closed(&bench).await;
    assert!(bench.take().is_none());
}

#[tokio::test]
async fn a_connection_on_which_the_node_spoke_unasked_is_not_taken() {
    let bench = Bench::new().await;
    bench.idle().await.write_all(WHOLE.as_bytes()).await.unwrap();
    until_closed(&bench).await;
    assert!(bench.take().is_none());
}

#[tokio::test]
async fn the_shorter_keep_alive_of_a_node_is_respected() {
    let bench = Bench::new().await;
    for (field, expected) in [
        ("", IDLE),
        ("Keep-Alive: timeout=2\r\n", Duration::from_secs(1)),
        ("Keep-Alive: timeout=1\r\n", Duration::from_millis(500)),
        ("Keep-Alive: timeout=60\r\n", IDLE),
    ] {
        let (connection, mut socket) = bench.open().await;
        let answer = format!("HTTP/1.1 200 OK\r\n{field}Content-Length: 2\r\n\r\nok");
        let (sent, ()) = tokio::join!(get(connection), answer_with(&mut socket, &answer));
        read_to_end(sent).await;
        assert_eq!(bench.take().expect("it is idle").idle_max(), expected, "{field}");
    }
}

#[tokio::test]
async fn a_session_has_a_connection_of_its_own_where_that_is_asked_for() {
    let bench = Bench::new().await;
    let (mine, other) = (SessionKey::new("mine"), SessionKey::new("other"));
    let (mut connection, mut socket) = bench.open().await;
    connection.set_session(Some(mine));
    let (sent, ()) = tokio::join!(get(connection), answer_with(&mut socket, WHOLE));
    read_to_end(sent).await;
    for sharing in [Sharing::Session(Some(other)), Sharing::Session(None)] {
        assert!(bench.pool.take(&bench.node, sharing, bench.options.owner()).is_none());
    }
    let taken =
        bench.pool.take(&bench.node, Sharing::Session(Some(mine)), bench.options.owner()).unwrap();
    assert!(taken.is_of(Some(mine)) && !taken.is_of(Some(other)));
}

#[tokio::test]
async fn a_connection_whose_request_goes_on_is_not_taken() {
    let bench = Bench::new().await;
    let (connection, mut socket) = bench.open().await;
    let post = post_nothing(connection, RequestFraming::Chunked);
    let (answer, ()) = tokio::join!(post, answer_with(&mut socket, WHOLE));
    assert_eq!(read_to_end(answer).await, "ok");
    assert!(bench.take().is_none());
}

#[tokio::test]
async fn a_connection_outlives_no_pool() {
    let bench = Bench::new().await;
    let mut socket = bench.idle().await;
    drop(bench.pool);
    assert_closed(&mut socket).await;
}

#[tokio::test]
async fn a_connection_that_began_with_a_body_is_used_again_only_where_that_is_safe() {
    for reuses_after_body in [false, true] {
        let bench = Bench::new().await;
        let (connection, mut socket) = bench.open().await;
        let head = head(&Method::POST, RequestFraming::Length(2));
        let limits = SendLimits { reuses_after_body, ..limits() };
        let sending = connection.send(&head, Full::from("hi").boxed(), limits);
        let (sent, ()) = tokio::join!(sending, answer_with(&mut socket, WHOLE));
        read_to_end(sent).await;
        assert_eq!(bench.idle_count(), usize::from(reuses_after_body));
    }
}

#[tokio::test]
async fn a_connection_that_may_not_be_idle_is_closed() {
    let bench = Bench::new().await;
    let (connection, mut socket) = bench.open().await;
    let limits = SendLimits { idle: Duration::ZERO, ..limits() };
    let head = head(&Method::GET, RequestFraming::None);
    let sending = connection.send(&head, Full::default().boxed(), limits);
    let (sent, ()) = tokio::join!(sending, answer_with(&mut socket, WHOLE));
    assert_eq!(read_to_end(sent).await, "ok");
    assert_closed(&mut socket).await;
    assert_eq!(bench.idle_count(), 0);
}

#[tokio::test]
async fn a_connection_with_a_clients_header_is_reused_for_this_client_only() {
    let settings =
        Settings { proxy_protocol: Some(Version::V1), ..Settings::new("chat", Vec::new()) };
    let [mine, others] = ["203.0.113.9:4711", "203.0.113.9:4712"]
        .map(|client| ConnectOptions::for_client(&settings, client.parse().unwrap()));
    let bench = Bench { options: mine, ..Bench::new().await };
    let (connection, mut socket) = bench.open().await;
    let port = bench.listener.local_addr().unwrap().port();
    let expected = format!("PROXY TCP4 203.0.113.9 127.0.0.1 4711 {port}\r\n");
    let mut header = vec![0; expected.len()];
    socket.read_exact(&mut header).await.unwrap();
    assert_eq!(String::from_utf8(header).unwrap(), expected);
    let (answer, ()) = tokio::join!(get(connection), answer_with(&mut socket, WHOLE));
    read_to_end(answer).await;
    assert_eq!(bench.idle_count(), 1);

    let without = ConnectOptions::within(ENOUGH);
    for options in [others, without] {
        assert!(bench.pool.take(&bench.node, Sharing::Any, options.owner()).is_none());
    }
    assert!(bench.take().is_some());
}
