//! Requests that are answered: keep-alive, idle connections, upgrades, shutdown, close.

use std::num::NonZeroU32;

use super::*;
use crate::net::SocketOptions;

#[tokio::test]
async fn a_connection_is_kept_alive_and_pipelined_requests_are_answered_in_order() {
    let mut server = Server::start().await;
    let mut stream = server.connect().await;
    let client = stream.local_addr().unwrap();
    for _ in 0..2 {
        stream.write_all(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        let answer = until(&mut stream, &format!("/a  {client}")).await;
        assert!(answer.contains("\r\nDate: "), "{answer}");
    }
    stream
        .write_all(
            b"POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi\
              POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\ny\r\n0\r\n\r\n\
              GET /d HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        )
        .await
        .unwrap();
    let answers = rest(&mut stream).await;
    let offsets = ["/b hi", "/c y", "/d "].map(|body| answers.find(body).unwrap());
    assert!(offsets.is_sorted(), "{answers}");
    assert_eq!(server.requests(), 5);
    assert!(matches!(server.end().await, ConnectionEnd::Closed));
    assert_eq!(server.permits.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn an_idle_connection_is_closed_without_an_answer() {
    let mut server = Server::start_with(Duration::from_secs(60), Duration::from_millis(200)).await;
    let mut silent = server.connect().await;
    assert_eq!(rest(&mut silent).await, "");
    assert!(matches!(server.end().await, ConnectionEnd::Idle));
    let answer = server.ask("GET /a HTTP/1.1\r\nHost: a\r\n\r\n\r\n").await;
    assert_eq!(count(&answer, "HTTP/1.1 "), 1, "{answer}");
    assert!(matches!(server.end().await, ConnectionEnd::Idle));
}

#[tokio::test]
async fn a_shutdown_finishes_pending_requests_and_closes_idle_connections_after_a_last_request() {
    let mut server = Server::start().await;
    let mut pending = server.connect().await;
    pending.write_all(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    soon(server.arrived.notified()).await;
    let mut idle = server.connect().await;
    idle.write_all(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let client = idle.local_addr().unwrap().to_string();
    until(&mut idle, &client).await;

    let mut silent = server.connect().await;
    silent.write_all(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let client = silent.local_addr().unwrap().to_string();
    until(&mut silent, &client).await;

    server.shutdown.begin(Duration::from_secs(60));

    // As if it was under way when the shutdown began.
    idle.write_all(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let answer = rest(&mut idle).await;
    assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
    drop(idle);
    assert!(matches!(server.end().await, ConnectionEnd::Closed));
    assert_eq!(rest(&mut silent).await, "");
    assert!(matches!(server.end().await, ConnectionEnd::Idle));
    server.release.notify_one();
    let answer = rest(&mut pending).await;
    assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
    assert!(answer.contains("/slow"), "{answer}");
    drop(pending);
    assert!(matches!(server.end().await, ConnectionEnd::Closed));
}

#[tokio::test]
async fn a_request_is_dropped_with_its_client() {
    let mut server = Server::start().await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    soon(server.arrived.notified()).await;
    drop(stream);
    assert!(
        matches!(server.end().await, ConnectionEnd::Failed(error) if error.is_incomplete_message())
    );
}

#[tokio::test]
async fn the_last_of_the_requests_of_a_connection_says_so_and_may_become_a_tunnel() {
    let minute = Duration::from_secs(60);
    let three = NonZeroU32::new(3).unwrap();
    let settings = Settings { keep_alive_requests: three, ..settings(minute, minute) };
    let mut server = Server::start_on(&settings).await;
    let answers = server.ask(&"GET /a HTTP/1.1\r\nHost: a\r\n\r\n".repeat(9)).await;
    assert_eq!((count(&answers, "HTTP/1.1 200"), server.requests()), (3, 3), "{answers}");
    assert_eq!(count(&answers, "Connection: close"), 1, "{answers}");
    let (_, last) = answers.rsplit_once("HTTP/1.1 200").unwrap();
    assert!(last.contains("\r\nConnection: close\r\n"), "{answers}");
    assert!(matches!(server.end().await, ConnectionEnd::Spent));

    let mut stream = server.connect().await;
    let upgrade = "GET /tunnel HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
    let requests = ["GET /a HTTP/1.1\r\nHost: a\r\n\r\n"; 2].concat() + upgrade;
    stream.write_all(requests.as_bytes()).await.unwrap();
    let switched = until(&mut stream, "Upgrade: x\r\n").await;
    assert_eq!(count(&switched, "Connection: close"), 0, "{switched}");
    let mut raw = soon(server.tunnels.recv()).await.unwrap();
    assert!(matches!(server.end().await, ConnectionEnd::Upgraded));
    stream.write_all(b"x").await.unwrap();
    assert_eq!(soon(raw.stream.read_u8()).await.unwrap(), b'x');
}

#[tokio::test]
async fn a_panic_costs_its_connection_alone() {
    let server = Server::start().await;
    let mut slow = server.connect().await;
    slow.write_all(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    soon(server.arrived.notified()).await;
    assert_eq!(server.ask("GET /panic HTTP/1.1\r\nHost: a\r\n\r\n").await, "");
    assert_eq!(server.permits.load(Ordering::Relaxed), 1, "its permit has returned");
    server.release.notify_one();
    let client = slow.local_addr().unwrap();
    until(&mut slow, &format!("/slow  {client}")).await;
    slow.write_all(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    until(&mut slow, &format!("/a  {client}")).await;
}

#[tokio::test]
async fn a_tunnel_gets_the_socket_the_bytes_that_were_read_ahead_and_the_permit() {
    let mut server = Server::start().await;
    let mut stream = server.connect().await;
    stream
        .write_all(b"GET /tunnel HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n\0ahead\n")
        .await
        .unwrap();
    until(&mut stream, "\r\n\r\n").await;
    let socket = soon(server.tunnels.recv()).await.unwrap();
    let RawSocket { stream: mut raw, read_ahead, permit, options } = socket;
    assert!(matches!(server.end().await, ConnectionEnd::Upgraded));
    assert_eq!(read_ahead, "\0ahead\n");
    assert_eq!(options, Some(SocketOptions::default()));

    stream.write_all(b"later").await.unwrap();
    let mut later = [0; 5];
    soon(raw.read_exact(&mut later)).await.unwrap();
    assert_eq!(&later, b"later");
    assert_eq!(server.permits.load(Ordering::Relaxed), 1);
    drop(permit);
    assert_eq!(server.permits.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn bytes_behind_a_refused_upgrade_are_not_a_request() {
    let server = Server::start().await;
    let answer = server
        .ask(
            "GET /a HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n\
             GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        )
        .await;
    assert_eq!(count(&answer, "HTTP/1.1 200 OK"), 1, "{answer}");
    assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn a_client_that_still_sends_is_not_reset_before_it_has_its_answer() {
    let mut server = Server::start().await;
    for request in [
        "GET / HTTP/1.1\r\n\r\n",
        "POST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n",
    ] {
        let mut stream = server.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = rest(&mut stream).await;
        assert_eq!(count(&answer, "\r\nDate: "), 1, "{answer}");
        // The first write to a closed socket succeeds and causes the reset.
        for _ in 0..3 {
            stream.write_all(b"more").await.unwrap();
        }
        drop(stream);
        server.end().await;
    }
}
