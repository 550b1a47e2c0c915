//! Clients that send what costs work and carries nothing.

use std::future::poll_fn;
use std::pin::Pin;

use tokio::sync::oneshot;

use super::raw::*;
use super::*;

const ENHANCE_YOUR_CALM: u32 = 11;

/// Writes `frames` over and over, up to `times`; ends when the server does.
async fn flood(server: &Server, frames: impl Fn(u32) -> Vec<u8>, times: u32) -> Vec<Frame> {
    let stream = server.send(&[]).await;
    let (mut read, mut write) = stream.into_split();
    let writing = async {
        for number in 0..times {
            if write.write_all(&frames(number)).await.is_err() {
                return;
            }
        }
        // Whatever the server does not refuse, it must answer.
        std::future::pending::<()>().await;
    };
    let reading = async {
        let mut bytes = Vec::new();
        // A reset is an end, too.
        let _ = read.read_to_end(&mut bytes).await;
        bytes
    };
    let bytes = soon(async {
        tokio::pin!(writing);
        tokio::pin!(reading);
        tokio::select! {
            bytes = &mut reading => bytes,
            () = &mut writing => reading.await,
        }
    })
    .await;
    parse(&bytes)
}

fn parse(mut bytes: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    while let [high, middle, low, kind, flags, a, b, c, d, rest @ ..] = bytes {
        let length = u32::from_be_bytes([0, *high, *middle, *low]) as usize;
        let Some((payload, behind)) = rest.split_at_checked(length) else { break };
        let stream = u32::from_be_bytes([*a, *b, *c, *d]);
        frames.push(Frame { kind: *kind, flags: *flags, stream, payload: payload.to_vec() });
        bytes = behind;
    }
    frames
}

#[tokio::test]
async fn ten_thousand_rapid_resets_end_their_connection_alone() {
    let mut server = Server::start_http2().await;
    let mut other = Client::connect(&server).await;
    let reset = frame(RST_STREAM, 0, 1, &8u32.to_be_bytes());
    let request_and_reset = |number: u32| {
        let id = 2 * number + 1;
        let mut reset = reset.clone();
        reset[5..9].copy_from_slice(&id.to_be_bytes());
        [get(id, "/slow"), reset].concat()
    };
    flood(&server, request_and_reset, 10_000).await;
    assert!(server.requests() < 2000, "{}", server.requests());
    let end = server.end().await;
    assert!(matches!(end, ConnectionEnd::Flooded(_) | ConnectionEnd::Http2Failed(_)), "{end:?}");
    assert_eq!(whole(other.get("/a")).await.0, 200);
}

#[tokio::test]
async fn pings_settings_and_unknown_frames_are_bounded() {
    for (name, one) in [
        ("PING", frame(PING, 0, 0, b"12345678")),
        ("SETTINGS", frame(SETTINGS, 0, 0, b"")),
        ("PRIORITY", frame(2, 0, 1, &[0, 0, 0, 3, 0])),
        ("unknown", frame(0xbe, 0, 0, b"")),
    ] {
        let mut server = Server::start_http2().await;
        flood(&server, |_| one.clone(), 100_000).await;
        let end = server.end().await;
        assert!(matches!(end, ConnectionEnd::Flooded(_)), "{name}: {end:?}");
    }
}

#[tokio::test]
async fn a_header_block_without_end_is_bounded() {
    let mut server = Server::start_http2().await;
    let first = frame(HEADERS, END_STREAM, 1, &block(&[(":method", "GET")]));
    let more = frame(CONTINUATION, 0, 1, b"");
    let frames = |number| if number == 0 { first.clone() } else { more.clone() };
    let answered = flood(&server, frames, 100_000).await;
    let away = answered.iter().find(|frame| frame.kind == GOAWAY);
    assert_eq!(away.map(Frame::code), Some(ENHANCE_YOUR_CALM));
    assert!(matches!(server.end().await, ConnectionEnd::Http2Failed(_)));
}

#[tokio::test]
async fn empty_data_frames_are_bounded() {
    let mut server = Server::start_http2().await;
    let post = [(":method", "POST"), (":scheme", "http"), (":authority", "a"), (":path", "/slow")];
    let first = frame(HEADERS, END_HEADERS, 1, &block(&post));
    let frames = |number| if number == 0 { first.clone() } else { frame(DATA, 0, 1, b"") };
    flood(&server, frames, 100_000).await;
    assert!(matches!(server.end().await, ConnectionEnd::Http2Failed(_)));
}

#[tokio::test]
async fn more_streams_than_allowed_are_refused_one_by_one() {
    let minute = Duration::from_secs(60);
    let settings = Settings {
        http2_streams_max: std::num::NonZeroU32::new(2).unwrap(),
        ..http2_settings(minute, minute)
    };
    let server = Server::start_on(&settings).await;
    let frames = [get(1, "/slow"), get(3, "/slow"), get(5, "/slow")].concat();
    let mut stream = server.send(&frames).await;
    let refused = next_of(&mut stream, &[RST_STREAM, GOAWAY]).await.unwrap();
    const REFUSED_STREAM: u32 = 7;
    assert_eq!((refused.kind, refused.stream, refused.code()), (RST_STREAM, 5, REFUSED_STREAM));
    soon(server.arrived.notified()).await;
    server.release.notify_one();
    let answer = next_of(&mut stream, &[HEADERS]).await.unwrap();
    assert!([1, 3].contains(&answer.stream));
}

#[tokio::test]
async fn a_burst_of_small_messages_is_read_whatever_its_length() {
    let mut server = Server::start_http2().await;
    let mut client = Client::connect(&server).await;
    let (_received, mut sent, RawStream { mut stream, .. }) = client.tunnel(&mut server).await;
    let messages = 20_000;
    for _ in 0..messages {
        sent.send_data(Bytes::from_static(b"8 bytes!"), false).unwrap();
    }
    let mut all = vec![0; 8 * messages];
    // A task, like a tunnel: the test itself has its turn only after many others.
    let (done, is_done) = oneshot::channel();
    Tasks::default().spawn(async move {
        stream.read_exact(&mut all).await.unwrap();
        done.send(stream).unwrap();
    });
    soon(is_done).await.unwrap();
}

#[tokio::test]
async fn messages_that_nobody_reads_stop_no_other_stream() {
    let mut server = Server::start_http2().await;
    let mut client = Client::connect(&server).await;
    let (_received, mut sent, RawStream { stream: mut unread, .. }) =
        client.tunnel(&mut server).await;
    let (mut echoed, mut echo, RawStream { mut stream, .. }) = client.tunnel(&mut server).await;
    for _ in 0..5000 {
        sent.send_data(Bytes::from_static(b"8 bytes!"), false).unwrap();
    }
    let (stop, mut is_stopped) = oneshot::channel::<()>();
    let (done, is_done) = oneshot::channel();
    Tasks::default().spawn(async move {
        poll_fn(|cx| {
            unread.collect(cx);
            Pin::new(&mut is_stopped).poll(cx)
        })
        .await
        .unwrap();
        done.send(unread).unwrap();
    });
    for _ in 0..100 {
        echo.send_data(Bytes::from_static(b"ping"), false).unwrap();
        let mut ping = [0; 4];
        soon(stream.read_exact(&mut ping)).await.unwrap();
        stream.write_all(&ping).await.unwrap();
        let pong = soon(echoed.data()).await.unwrap().unwrap();
        echoed.flow_control().release_capacity(pong.len()).unwrap();
        assert_eq!(pong, "ping");
    }
    stop.send(()).unwrap();
    let mut unread = soon(is_done).await.unwrap();
    let mut all = vec![0; 8 * 5000];
    soon(unread.read_exact(&mut all)).await.unwrap();
}
