//! Bytes pass, in order, and no more of them are kept than allowed.

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use futures_util::poll;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::timeout;

use super::*;
use crate::websocket::Counts;

#[tokio::test(start_paused = true)]
async fn messages_pass_both_ways_and_are_counted() {
    let mut rig = Rig::start();
    let (up, down) = (masked(0x81, b"ping?"), unmasked(0x82, b"pong!"));
    for _ in 0..3 {
        rig.client.write_all(&up).await.unwrap();
        expect(&mut rig.node, &up).await;
        rig.node.write_all(&down).await.unwrap();
        expect(&mut rig.client, &down).await;
    }
    rig.client.write_all(&masked(0x01, b"half")).await.unwrap();
    rig.client.write_all(&masked(0x89, b"")).await.unwrap();
    rig.client.shutdown().await.unwrap();
    rig.node.shutdown().await.unwrap();

    let (report, _) = rig.report().await;
    let bytes = 3 * 11 + 10 + 6;
    let up = Counts { bytes, frames: 5, messages: 3, control_frames: 1 };
    assert_eq!(report.from_client, up);
    let down = Counts { bytes: 3 * 7, frames: 3, messages: 3, control_frames: 0 };
    assert_eq!(report.from_node, down);
}

#[tokio::test(start_paused = true)]
async fn what_was_read_ahead_goes_first() {
    let mut rig = Rig::start_with(|setup| {
        setup.client_read_ahead = Bytes::from(masked(0x81, b"early"));
        setup.node_read_ahead = Bytes::from(unmasked(0x81, b"0{}"));
    });
    rig.client.write_all(&masked(0x81, b"late")).await.unwrap();
    rig.node.write_all(&unmasked(0x81, b"40")).await.unwrap();
    expect(&mut rig.node, &[masked(0x81, b"early"), masked(0x81, b"late")].concat()).await;
    expect(&mut rig.client, &[unmasked(0x81, b"0{}"), unmasked(0x81, b"40")].concat()).await;
}

#[tokio::test(start_paused = true)]
async fn a_close_frame_that_was_read_ahead_ends_the_tunnel() {
    let close = unmasked(0x88, &1008_u16.to_be_bytes());
    let mut rig = Rig::start_with(|setup| {
        setup.node_read_ahead = Bytes::from([&close[..], b"behind it"].concat());
    });
    expect(&mut rig.client, &close).await;
    rig.client.write_all(&masked(0x88, &[])).await.unwrap();
    expect_fin(&mut rig.client).await;
    assert_eq!(rig.report().await.0.end, End::NodeClosed(Some(1008)));
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_never_reads_stops_a_writer_that_never_stops() {
    const BUFFER_BYTES: usize = 4096;
    for flooder_is_client in [true, false] {
        let mut rig = Rig::start_with(|setup| setup.limits.buffer_bytes = BUFFER_BYTES);
        let flooder = if flooder_is_client { &mut rig.client } else { &mut rig.node };
        let message = if flooder_is_client { masked(0x82, b"") } else { unmasked(0x82, b"") };
        let flood = message.repeat(10_000);

        let mut taken = 0;
        while let Ok(written) = timeout(SECOND, flooder.write(&flood[taken..])).await {
            taken += written.unwrap();
        }

        // Two pipes are full, and the tunnel keeps one read.
        assert!(taken > 2 * PIPE_BYTES, "{taken} bytes taken");
        assert!(taken <= 2 * PIPE_BYTES + BUFFER_BYTES, "{taken} bytes taken");
    }
}

#[tokio::test(start_paused = true)]
async fn one_stopped_direction_does_not_stop_the_other() {
    let mut rig = Rig::start();
    while timeout(SECOND, rig.node.write(&[0; 100])).await.is_ok() {}
    rig.client.write_all(&masked(0x81, b"still here")).await.unwrap();
    expect(&mut rig.node, &masked(0x81, b"still here")).await;
}

#[tokio::test(start_paused = true)]
async fn all_bytes_arrive_in_order_through_narrow_pipes() {
    let message: Vec<u8> = (0..119).collect();
    let sent = masked(0x82, &message).repeat(1600);
    let mut rig = Rig::start_with(|setup| setup.limits.buffer_bytes = 3000);
    let Rig { client, node, .. } = &mut rig;
    let write = async {
        client.write_all(&sent).await.unwrap();
        client.shutdown().await.unwrap();
    };
    let mut received = Vec::new();
    let read = async { node.read_to_end(&mut received).await.unwrap() };
    tokio::join!(write, read);
    assert_eq!(received[..sent.len()], sent);
    assert_eq!(rig.report().await.0.from_client.bytes, 200_000);
}

#[tokio::test(start_paused = true)]
async fn bytes_that_are_no_frames_pass() {
    let mut rig = Rig::start();
    let refusal = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\nno";
    rig.node.write_all(refusal).await.unwrap();
    rig.node.shutdown().await.unwrap();
    expect(&mut rig.client, refusal).await;
    expect_fin(&mut rig.client).await;
    assert_eq!(rig.report().await.0.end, End::NodeLeft);
}

#[tokio::test]
async fn two_sides_that_never_wait_let_others_run() {
    let (_shutdown, watch) = Shutdown::new();
    let mut tunnel = pin!(tokio::task::unconstrained(run(Endless, Endless, setup(watch))));
    // Each poll would never return if the tunnel relied on a stream to make it wait.
    for _ in 0..10 {
        assert!(poll!(tunnel.as_mut()).is_pending());
    }
}

/// Always has bytes, takes all bytes.
struct Endless;

impl Stream for Endless {}

impl AsyncRead for Endless {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        buffer.initialize_unfilled();
        buffer.advance(buffer.remaining());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Endless {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
