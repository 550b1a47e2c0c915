//! What ends a tunnel, and what each side gets then.

use crate::tunnel::end::Who;
use std::io;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::*;

#[tokio::test(start_paused = true)]
async fn a_client_that_closes_is_answered_and_both_sides_end() {
    let close = masked(0x88, b"\x03\xe8bye");
    for i in 0..=close.len() {
        let mut rig = Rig::start();
        let (first, second) = close.split_at(i);
        rig.client.write_all(first).await.unwrap();
        tokio::task::yield_now().await;
        rig.client.write_all(second).await.unwrap();
        expect(&mut rig.node, &close).await;
        rig.node.write_all(&unmasked(0x88, b"\x03\xe8")).await.unwrap();
        expect(&mut rig.client, &unmasked(0x88, b"\x03\xe8")).await;
        expect_fin(&mut rig.client).await;
        expect_fin(&mut rig.node).await;

        let (report, after) = rig.report().await;
        assert_eq!((report.end, report.close_code), (End::ClientClosed(Some(1000)), Some(1000)));
        assert_eq!(after, Duration::ZERO);
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_closes_hears_what_the_client_still_had_to_say() {
    let mut rig = Rig::start();
    rig.node.write_all(&unmasked(0x88, b"")).await.unwrap();
    expect(&mut rig.client, &unmasked(0x88, b"")).await;
    let rest = [masked(0x81, b"41"), masked(0x88, b"")].concat();
    rig.client.write_all(&rest).await.unwrap();
    expect(&mut rig.node, &rest).await;
    expect_fin(&mut rig.node).await;
    expect_fin(&mut rig.client).await;

    let (report, _) = rig.report().await;
    assert_eq!((report.end, report.close_code), (End::NodeClosed(None), None));
    assert_eq!((report.end.label(), report.end.who()), ("node_closed", Who::Node));
}

#[tokio::test(start_paused = true)]
async fn a_close_that_is_not_answered_gets_fin_after_five_seconds() {
    let mut rig = Rig::start();
    rig.client.write_all(&masked(0x88, b"\x0f\xa0")).await.unwrap();
    expect(&mut rig.node, &masked(0x88, b"\x0f\xa0")).await;

    expect_fin(&mut rig.client).await;
    expect_fin(&mut rig.node).await;
    let (report, after) = rig.report().await;
    assert_eq!(report.end, End::ClientClosed(Some(4000)));
    assert_eq!(after, 5 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn nothing_passes_behind_a_close() {
    let mut rig = Rig::start();
    let close = masked(0x88, b"");
    rig.client.write_all(&[&close[..], &masked(0x81, b"no")].concat()).await.unwrap();
    rig.client.write_all(&masked(0x81, b"no")).await.unwrap();
    expect(&mut rig.node, &close).await;
    rig.node.write_all(&unmasked(0x88, b"")).await.unwrap();
    expect_fin(&mut rig.node).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_gets_the_nodes_last_words() {
    let mut rig = Rig::start();
    rig.client.write_all(&masked(0x81, b"last")).await.unwrap();
    rig.client.shutdown().await.unwrap();

    expect(&mut rig.node, &masked(0x81, b"last")).await;
    expect_fin(&mut rig.node).await;
    let last = [unmasked(0x81, b"well"), unmasked(0x88, b"\x03\xe9")].concat();
    rig.node.write_all(&last).await.unwrap();
    expect(&mut rig.client, &last).await;
    expect_fin(&mut rig.client).await;

    let (report, after) = rig.report().await;
    assert_eq!((report.end, report.close_code), (End::ClientLeft, None));
    assert_eq!(after, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_leaves_takes_its_client_along() {
    let mut rig = Rig::start();
    rig.node.write_all(&unmasked(0x81, b"last")).await.unwrap();
    rig.node.shutdown().await.unwrap();

    expect(&mut rig.client, &unmasked(0x81, b"last")).await;
    expect_fin(&mut rig.client).await;
    rig.client.shutdown().await.unwrap();

    let (report, after) = rig.report().await;
    assert_eq!((report.end, report.close_code), (End::NodeLeft, None));
    assert_eq!(after, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_side_whose_other_side_is_gone_has_a_second_to_answer() {
    for client_leaves in [true, false] {
        let mut rig = Rig::start();
        let (leaves, stays) = match client_leaves {
            true => (&mut rig.client, &mut rig.node),
            false => (&mut rig.node, &mut rig.client),
        };
        leaves.shutdown().await.unwrap();
        stays.read_to_end(&mut Vec::new()).await.unwrap();
        assert_eq!(rig.begun_at.elapsed(), Duration::ZERO);
        assert_eq!(rig.report().await.1, SECOND);
    }
}

#[tokio::test(start_paused = true)]
async fn inside_a_frame_there_is_fin_without_a_close() {
    for cut in [1, 2, 3, 7] {
        let mut rig = Rig::start();
        let part = &unmasked(0x81, b"not all")[..cut];
        rig.node.write_all(part).await.unwrap();
        rig.node.shutdown().await.unwrap();
        expect(&mut rig.client, part).await;
        expect_fin(&mut rig.client).await;
        assert_eq!(rig.report().await.0.close_code, None);

        let mut rig = Rig::start();
        let part = &masked(0x81, b"not all")[..cut];
        rig.client.write_all(part).await.unwrap();
        rig.client.shutdown().await.unwrap();
        expect(&mut rig.node, part).await;
        expect_fin(&mut rig.node).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_side_gets_what_is_kept_before_the_end_and_has_its_time_to_read_it() {
    let message = unmasked(0x82, &[7; 120]);
    let last = [&message.repeat(15)[..], &unmasked(0x88, b"\x0f\xa0bye")].concat();
    for (client_leaves, expected) in [(true, 30 * SECOND), (false, 60 * SECOND)] {
        let mut rig = Rig::start_with(|setup| setup.node_read_ahead = Bytes::from(last.clone()));
        tokio::time::sleep(2 * SECOND).await;
        expect(&mut rig.client, &last).await;
        tokio::time::sleep(28 * SECOND).await;
        let heartbeat = masked(0x81, b"3");
        rig.client.write_all(&heartbeat).await.expect("no reset takes the rest away");
        if client_leaves {
            rig.client.shutdown().await.unwrap();
            rig.node.shutdown().await.unwrap();
        }
        assert_eq!(rig.report().await.1, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_side_that_reads_slowly_gets_all_before_the_end_in_a_minute_at_most() {
    let message = unmasked(0x82, &[7; 120]);
    let last = [&message.repeat(120)[..], &unmasked(0x88, b"\x0f\xa0bye")].concat();
    for (bytes_a_second, gets_all, expected) in [(300, true, 49), (110, false, 60), (0, false, 10)]
    {
        let mut rig = Rig::start_with(|setup| setup.node_read_ahead = Bytes::from(last.clone()));
        let mut received = Vec::new();
        let mut part = vec![0; bytes_a_second];
        while rig.tunnel.try_join_next().is_none() && received.len() < last.len() {
            tokio::time::sleep(SECOND).await;
            let length = rig.client.read(&mut part).await.unwrap();
            received.extend_from_slice(&part[..length]);
        }
        assert_eq!(received == last, gets_all, "{} bytes", received.len());
        let waited = rig.begun_at.elapsed().as_secs();
        assert!(waited.abs_diff(expected) <= 2, "{waited} s at {bytes_a_second} bytes a second");
    }
}

#[tokio::test(start_paused = true)]
async fn a_side_that_takes_no_bytes_any_more_has_reset() {
    let mut rig = Rig::start();
    rig.node = duplex(1).0;
    rig.client.write_all(&masked(0x81, b"hello?")).await.unwrap();
    expect_fin(&mut rig.client).await;
    assert_eq!(rig.report().await.0.end, End::NodeReset);
}

#[tokio::test(start_paused = true)]
async fn a_side_whose_host_the_kernel_gave_up_is_lost_and_the_other_side_is_told_at_once() {
    let (_shutdown, watch) = Shutdown::new();
    let (mut node, node_side) = duplex(PIPE_BYTES);
    let mut tunnel = JoinSet::new();
    let begun_at = Instant::now();
    tunnel.spawn(run(GivenUp, node_side, setup(watch)));
    expect_masked_close(&mut node, b"\x03\xe9client lost").await;
    expect_fin(&mut node).await;
    assert_eq!(begun_at.elapsed(), Duration::ZERO);
    drop(node);
    let report = tunnel.join_next().await.unwrap().unwrap();
    assert_eq!(report.end, End::KeepaliveLost(Side::Client));
}

/// A connection of which the kernel says that its host acknowledges nothing.
struct GivenUp;

impl Stream for GivenUp {}

impl AsyncRead for GivenUp {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncWrite for GivenUp {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_cause_wins() {
    let mut rig = Rig::start();
    rig.client.write_all(&masked(0x88, b"\x03\xe8")).await.unwrap();
    expect(&mut rig.node, &masked(0x88, b"\x03\xe8")).await;
    rig.shutdown.begin(SECOND);
    rig.node.shutdown().await.unwrap();
    expect_fin(&mut rig.client).await;
    assert_eq!(rig.report().await.0.end, End::ClientClosed(Some(1000)));
}

#[tokio::test(start_paused = true)]
async fn both_streams_are_closed_when_the_future_is_ready_and_when_it_is_dropped() {
    let (_shutdown, watch) = Shutdown::new();
    let (mut client, client_side) = duplex(PIPE_BYTES);
    let (mut node, node_side) = duplex(PIPE_BYTES);
    let mut tunnel = Box::pin(run(client_side, node_side, setup(watch.clone())));
    node.shutdown().await.unwrap();
    tunnel.as_mut().await;
    client.read_to_end(&mut Vec::new()).await.unwrap();
    client.write_all(b"x").await.unwrap_err();
    node.write_all(b"x").await.unwrap_err();

    let (mut client, client_side) = duplex(PIPE_BYTES);
    let (mut node, node_side) = duplex(PIPE_BYTES);
    drop(run(client_side, node_side, setup(watch)));
    expect_fin(&mut client).await;
    expect_fin(&mut node).await;
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_that_is_cut_has_a_report() {
    for (closes, end) in [(false, End::Shutdown), (true, End::ClientClosed(Some(1000)))] {
        let (_shutdown, watch) = Shutdown::new();
        let (mut client, client_side) = duplex(PIPE_BYTES);
        let (mut node, node_side) = duplex(PIPE_BYTES);
        let mut tunnel = Box::pin(run(client_side, node_side, setup(watch)));
        let frame = if closes { masked(0x88, b"\x03\xe8") } else { masked(0x81, b"hello") };
        client.write_all(&frame).await.unwrap();
        assert!(futures_util::poll!(&mut tunnel).is_pending());
        tokio::time::advance(SECOND).await;
        let report = tunnel.as_mut().cut().unwrap();
        assert_eq!((report.end, report.duration), (end, SECOND));
        assert_eq!(report.from_client.bytes, frame.len() as u64);
        assert!(tunnel.as_mut().cut().is_none());
        expect_fin(&mut client).await;
        expect(&mut node, &frame).await;
        expect_fin(&mut node).await;
    }
}
