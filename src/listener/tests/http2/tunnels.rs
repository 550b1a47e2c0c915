//! Streams that become tunnels.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::Poll;

use h2::Reason;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::*;
use crate::net::Http2Stream;

/// Reads `length` bytes from the client's half.
async fn receive(received: &mut RecvStream, length: usize) -> Vec<u8> {
    let mut all = Vec::new();
    while all.len() < length {
        let data = soon(received.data()).await.unwrap().unwrap();
        received.flow_control().release_capacity(data.len()).unwrap();
        all.extend_from_slice(&data);
    }
    all
}

async fn collect(stream: &mut Http2Stream) {
    poll_fn(|cx| {
        stream.collect(cx);
        Poll::Ready(())
    })
    .await;
}

/// Checks that nothing but END_STREAM comes.
async fn ends(received: &mut RecvStream) {
    while let Some(data) = soon(received.data()).await {
        assert_eq!(data.unwrap(), "");
    }
}

async fn try_write(stream: &mut Http2Stream, bytes: &[u8]) -> Option<io::Result<usize>> {
    poll_fn(|cx| {
        Poll::Ready(match Pin::new(&mut *stream).poll_write(cx, bytes) {
            Poll::Ready(written) => Some(written),
            Poll::Pending => None,
        })
    })
    .await
}

#[tokio::test]
async fn bytes_go_both_ways_and_each_side_ends_by_itself() {
    let mut server = Server::start_http2().await;
    let mut client = Client::connect(&server).await;
    let (mut received, mut sent, RawStream { mut stream, .. }) = client.tunnel(&mut server).await;
    stream.write_all(b"to the client").await.unwrap();
    assert_eq!(receive(&mut received, 13).await, b"to the client");

    sent.send_data(Bytes::from("to the node"), true).unwrap();
    let mut text = String::new();
    soon(stream.read_to_string(&mut text)).await.unwrap();
    assert_eq!(text, "to the node");
    // Half closed: the other direction goes on.
    stream.write_all(b"still").await.unwrap();
    assert_eq!(receive(&mut received, 5).await, b"still");
    stream.shutdown().await.unwrap();
    ends(&mut received).await;
    drop(stream);

    let (mut received, mut sent, RawStream { mut stream, .. }) = client.tunnel(&mut server).await;
    stream.shutdown().await.unwrap();
    ends(&mut received).await;
    sent.send_data(Bytes::from("after"), true).unwrap();
    let mut text = String::new();
    soon(stream.read_to_string(&mut text)).await.unwrap();
    assert_eq!(text, "after");
}

#[tokio::test]
async fn a_reset_of_one_side_is_seen_by_the_other() {
    let mut server = Server::start_http2().await;
    let mut client = Client::connect(&server).await;
    let (_received, mut sent, RawStream { mut stream, .. }) = client.tunnel(&mut server).await;
    sent.send_reset(Reason::CANCEL);
    let error = soon(stream.read(&mut [0])).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    let error = soon(stream.write(b"x")).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);

    let (mut received, _sent, RawStream { stream, .. }) = client.tunnel(&mut server).await;
    drop(stream);
    let error = soon(received.data()).await.unwrap().unwrap_err();
    assert_eq!(error.reason(), Some(Reason::CANCEL));

    // What was written before arrives before the reset.
    let (mut received, _sent, RawStream { mut stream, .. }) = client.tunnel(&mut server).await;
    stream.write_all(b"last").await.unwrap();
    soon(poll_fn(|cx| stream.poll_reset(cx))).await;
    assert_eq!(receive(&mut received, 4).await, b"last");
    let error = soon(received.data()).await.unwrap().unwrap_err();
    assert_eq!(error.reason(), Some(Reason::CANCEL));
    assert!(soon(stream.read(&mut [0])).await.is_err());
    assert!(soon(stream.write(b"x")).await.is_err());

    let (_received, _sent, RawStream { mut stream, .. }) = client.tunnel(&mut server).await;
    drop((client, _received, _sent));
    let read = soon(stream.read(&mut [0])).await;
    assert!(read.is_err(), "the connection is lost: {read:?}");
}

#[tokio::test]
async fn a_client_whose_bytes_nobody_reads_has_to_stop() {
    const WINDOW: usize = 65_535;
    let mut server = Server::start_http2().await;
    let mut client = Client::connect(&server).await;
    let (_received, mut sent, RawStream { mut stream, .. }) = client.tunnel(&mut server).await;
    sent.send_data(Bytes::from(vec![b'x'; 2 * WINDOW]), false).unwrap();
    // What has arrived is collected, and gives nothing of the window back.
    let (mut other_received, mut other_sent, RawStream { stream: mut other, .. }) =
        client.tunnel(&mut server).await;
    collect(&mut stream).await;
    for _ in 0..3 {
        other_sent.send_data(Bytes::from("ping"), false).unwrap();
        let mut ping = [0; 4];
        soon(other.read_exact(&mut ping)).await.unwrap();
        other.write_all(&ping).await.unwrap();
        assert_eq!(receive(&mut other_received, 4).await, b"ping");
        collect(&mut stream).await;
    }
    let mut space = vec![0; 4 * WINDOW];
    let mut buffer = ReadBuf::new(&mut space);
    poll_fn(|cx| Pin::new(&mut stream).poll_read(cx, &mut buffer)).await.unwrap();
    assert_eq!(buffer.filled().len(), WINDOW);
    // Now it was read, and the rest comes.
    let mut left = vec![0; WINDOW];
    soon(stream.read_exact(&mut left)).await.unwrap();
}

#[tokio::test]
async fn what_is_written_is_what_the_window_of_the_client_takes() {
    let mut server = Server::start_http2().await;
    let mut builder = client::Builder::new();
    builder.initial_window_size(10);
    let mut client = Client::connect_with(&server, &builder).await;
    let (mut received, _sent, RawStream { mut stream, .. }) = client.tunnel(&mut server).await;
    assert_eq!(try_write(&mut stream, b"0123456789abcdef").await.unwrap().unwrap(), 10);
    assert!(!stream.has_unsent());
    assert!(try_write(&mut stream, b"abcdef").await.is_none());
    assert!(stream.has_unsent(), "the window is closed");
    assert_eq!(receive(&mut received, 10).await, b"0123456789");
    assert!(soon(stream.write(b"abcdef")).await.unwrap() > 0);
    assert!(!stream.has_unsent());
}

#[tokio::test]
async fn a_window_of_one_byte_is_enough() {
    let mut server = Server::start_http2().await;
    let mut builder = client::Builder::new();
    builder.initial_window_size(1);
    let mut client = Client::connect_with(&server, &builder).await;
    let (mut received, _sent, RawStream { mut stream, .. }) = client.tunnel(&mut server).await;
    let text = b"a message of some length";
    let (written, read) = tokio::join!(stream.write_all(text), receive(&mut received, text.len()));
    written.unwrap();
    assert_eq!(read, text);
}

#[tokio::test]
async fn a_tunnel_that_is_refused_is_an_ordinary_response() {
    let server = Server::start_http2().await;
    let mut client = Client::connect(&server).await;
    let mut request =
        Request::builder().method(Method::CONNECT).uri("http://a/refused").body(()).unwrap();
    request.extensions_mut().insert(Protocol::from_static("websocket"));
    let response = client.requests.send_request(request, false).unwrap().0;
    let (status, text) = whole(response).await;
    assert!(status == 200 && text.starts_with("/refused "), "{text}");
}

#[tokio::test]
async fn each_tunnel_counts_like_a_connection() {
    let mut server = Server::start_http2().await;
    let mut client = Client::connect(&server).await;
    let first = client.tunnel(&mut server).await;
    assert_eq!(server.permits.load(Ordering::Relaxed), 2);
    let second = client.tunnel(&mut server).await;
    assert_eq!(server.permits.load(Ordering::Relaxed), 3);
    drop((first, second));
    assert_eq!(server.permits.load(Ordering::Relaxed), 1);
}
