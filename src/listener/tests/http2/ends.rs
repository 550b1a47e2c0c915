//! Deadlines, the shutdown, and when a client is told to go away.

use super::raw::*;
use super::*;

const NO_ERROR: u32 = 0;

fn short() -> Duration {
    Duration::from_millis(100)
}

fn minute() -> Duration {
    Duration::from_secs(60)
}

#[tokio::test]
async fn an_idle_connection_is_told_to_go_away_and_closed() {
    let mut server = Server::start_on(&http2_settings(minute(), short())).await;
    let mut stream = server.send(&get(1, "/a")).await;
    let away = next_of(&mut stream, &[GOAWAY]).await.unwrap();
    assert_eq!(away.code(), NO_ERROR);
    assert_eq!(read_frame(&mut stream).await, None);
    drop(stream);
    assert!(matches!(server.end().await, ConnectionEnd::Idle));
    assert_eq!(server.permits.load(Ordering::Relaxed), 0);

    let mut silent = server.connect().await;
    assert_eq!(rest(&mut silent).await, "");
    assert!(matches!(server.end().await, ConnectionEnd::Idle));
}

#[tokio::test]
async fn a_connection_with_a_request_or_a_tunnel_is_not_idle() {
    let mut server = Server::start_on(&http2_settings(minute(), short())).await;
    let mut client = Client::connect(&server).await;
    let slow = client.get("/slow");
    let tunnel = client.tunnel(&mut server).await;
    tokio::time::sleep(3 * short()).await;
    server.release.notify_one();
    assert_eq!(whole(slow).await.0, 200);
    tokio::time::sleep(3 * short()).await;
    drop(tunnel);
    assert!(client.end().await.is_ok());
    assert!(matches!(server.end().await, ConnectionEnd::Idle));
}

#[tokio::test]
async fn a_preface_or_a_header_block_that_does_not_end_is_not_waited_for() {
    let mut server = Server::start_on(&http2_settings(short(), minute())).await;
    // Enough to be HTTP/2, and the first part of SETTINGS.
    let mut settings = server.connect().await;
    settings.write_all(&preface()[..24]).await.unwrap();
    let started = frame(HEADERS, END_STREAM, 1, &block(&[(":method", "GET")]));
    let half = frame(HEADERS, END_HEADERS | END_STREAM, 1, b"abcdef");
    for block in [&started[..], &half[..12], &half[..5]] {
        let mut stream = server.send(block).await;
        let away = next_of(&mut stream, &[GOAWAY]).await.unwrap();
        assert_ne!(away.code(), NO_ERROR, "{block:?}");
        drop(stream);
        let end = server.end().await;
        assert!(matches!(end, ConnectionEnd::SlowHead), "{block:?}: {end:?}");
    }
}

#[tokio::test]
async fn a_preface_that_does_not_go_on_is_not_waited_for() {
    let mut server = Server::start_on(&http2_settings(short(), minute())).await;
    let mut stream = server.connect().await;
    stream.write_all(b"PRI * HTTP/2.0\r\n").await.unwrap();
    // Its bytes were not read, so that the end may be a reset.
    let read = soon(stream.read(&mut [0])).await;
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    assert!(matches!(server.end().await, ConnectionEnd::SlowHead));
}

#[tokio::test]
async fn a_shutdown_ends_idle_connections_and_waits_for_requests() {
    let mut server = Server::start_http2().await;
    let mut idle = Client::connect(&server).await;
    assert_eq!(whole(idle.get("/a")).await.0, 200);
    let mut busy = Client::connect(&server).await;
    let slow = busy.get("/slow");
    soon(server.arrived.notified()).await;
    server.shutdown.begin(minute());
    assert!(idle.end().await.is_ok());
    assert!(matches!(server.end().await, ConnectionEnd::Closed));
    server.release.notify_one();
    assert_eq!(whole(slow).await.0, 200);
    assert!(busy.end().await.is_ok());
    assert!(matches!(server.end().await, ConnectionEnd::Closed));
}

#[tokio::test]
async fn no_goaway_is_sent_while_a_tunnel_is_open() {
    let mut server = Server::start_http2().await;
    let connect = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "http"),
        (":authority", "a"),
        (":path", "/tunnel"),
    ];
    let mut stream = server.send(&frame(HEADERS, END_HEADERS, 1, &block(&connect))).await;
    next_of(&mut stream, &[HEADERS]).await.unwrap();
    let RawStream { stream: mut tunnel, permit } = soon(server.streams.recv()).await.unwrap();
    server.shutdown.begin(minute());
    for id in [3, 5, 7] {
        // Requests are still served, and each response comes without a GOAWAY before it.
        stream.write_all(&get(id, "/a")).await.unwrap();
        let found = next_of(&mut stream, &[HEADERS, GOAWAY]).await.unwrap();
        assert_eq!((found.kind, found.stream), (HEADERS, id));
    }
    tunnel.write_all(b"last").await.unwrap();
    tunnel.shutdown().await.unwrap();
    drop((tunnel, permit));
    let data = next_of(&mut stream, &[DATA, GOAWAY]).await.unwrap();
    let data = if data.payload.is_empty() || data.stream != 1 {
        next_of(&mut stream, &[DATA, GOAWAY]).await.unwrap()
    } else {
        data
    };
    assert_eq!(data.kind, DATA, "the tunnel's last bytes come first");
    let away = next_of(&mut stream, &[GOAWAY]).await.unwrap();
    assert_eq!(away.code(), NO_ERROR);
    // This client answers no PING, so it is idle.
    while read_frame(&mut stream).await.is_some() {}
    drop(stream);
    let end = server.end().await;
    assert!(matches!(end, ConnectionEnd::Closed | ConnectionEnd::Idle), "{end:?}");
}

#[tokio::test]
async fn a_client_that_goes_away_itself_is_closed_after_its_requests() {
    let mut server = Server::start_http2().await;
    let goaway = frame(GOAWAY, 0, 0, &[0; 8]);
    let mut stream = server.send(&[get(1, "/slow"), goaway].concat()).await;
    soon(server.arrived.notified()).await;
    server.release.notify_one();
    assert_eq!(next_of(&mut stream, &[HEADERS]).await.unwrap().stream, 1);
    while read_frame(&mut stream).await.is_some() {}
    drop(stream);
    assert!(matches!(server.end().await, ConnectionEnd::Closed));
}
