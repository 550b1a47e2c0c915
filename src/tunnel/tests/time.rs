//! Idleness, shutdowns, and how long each end may take.

use super::*;
use crate::metrics::TunnelCounts;
use crate::tunnel::end::Who;

#[tokio::test(start_paused = true)]
async fn a_silent_tunnel_ends_after_its_idle_timeout() {
    let mut rig = Rig::start();
    expect(&mut rig.client, &unmasked(0x88, b"\x03\xe9idle")).await;
    assert_eq!(rig.begun_at.elapsed(), Limits::PLAIN_IDLE_TIMEOUT);
    expect_masked_close(&mut rig.node, b"\x03\xe9idle").await;
    rig.client.write_all(&masked(0x88, b"\x03\xe9")).await.unwrap();
    rig.node.write_all(&unmasked(0x88, b"\x03\xe9")).await.unwrap();
    expect_fin(&mut rig.client).await;
    expect_fin(&mut rig.node).await;

    let (report, after) = rig.report().await;
    assert_eq!((report.end, report.close_code), (End::Idle, Some(1001)));
    assert_eq!((report.end.label(), report.end.who()), ("idle", Who::Proxy));
    assert_eq!((after, report.duration), (Limits::PLAIN_IDLE_TIMEOUT, after));
}

#[tokio::test(start_paused = true)]
async fn a_side_that_does_not_answer_our_close_gets_fin_after_five_seconds() {
    let mut rig = Rig::start();
    expect(&mut rig.client, &unmasked(0x88, b"\x03\xe9idle")).await;
    expect_fin(&mut rig.client).await;
    assert_eq!(rig.report().await.1, Limits::PLAIN_IDLE_TIMEOUT + 5 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_byte_from_either_side_is_life() {
    let mut rig = Rig::start();
    tokio::time::sleep(200 * SECOND).await;
    rig.client.write_all(&masked(0x89, b"")).await.unwrap();
    tokio::time::sleep(200 * SECOND).await;
    rig.node.write_all(&[0x81, 1]).await.unwrap();
    let (report, after) = rig.report().await;
    assert_eq!(report.end, End::Idle);
    // 400 s of life, 300 s of silence, 10 s for the node's frame to end, 5 s for an answer.
    assert_eq!(after, 715 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn the_idle_timeout_is_as_configured_or_off() {
    for (idle_timeout, expected) in [
        (IdleTimeout::After(7 * SECOND), Some(7 * SECOND)),
        (IdleTimeout::After(Duration::MAX), None),
        (IdleTimeout::Off, None),
    ] {
        let mut rig = Rig::start_with(|setup| setup.limits.idle_timeout = idle_timeout);
        let year = Duration::from_secs(365 * 24 * 3600);
        let closed = tokio::time::timeout(year, rig.client.read(&mut [0; 64])).await;
        assert_eq!(closed.ok().map(|_| rig.begun_at.elapsed()), expected, "{idle_timeout:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_open_packet_sets_the_idle_timeout() {
    for (limit, expected) in
        [(IdleTimeout::Auto, 15 * SECOND), (IdleTimeout::After(60 * SECOND), 60 * SECOND)]
    {
        let mut rig = Rig::start_with(|setup| {
            setup.limits.idle_timeout = limit;
            setup.protocol = Protocol::EngineIo { silence_max: None, open: Some(read_open()) };
            setup.node_read_ahead = Bytes::from_static(b"\x81");
        });
        rig.node.write_all(b"\x02").await.unwrap();
        rig.node.write_all(b"0!").await.unwrap();
        expect(&mut rig.client, b"\x81\x020!").await;
        expect(&mut rig.client, &unmasked(0x88, b"\x03\xe9idle")).await;
        assert_eq!(rig.begun_at.elapsed(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_from_polling_lives_by_what_its_own_handshake_said() {
    for (silence_max, expected) in [(Some(OPENED), OPENED), (None, Limits::PLAIN_IDLE_TIMEOUT)] {
        let mut rig = Rig::start_with(|setup| {
            setup.protocol = Protocol::EngineIo { silence_max, open: None }
        });
        expect(&mut rig.client, &unmasked(0x88, b"\x03\xe9idle")).await;
        assert_eq!(rig.begun_at.elapsed(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_first_frame_that_cannot_be_read_leaves_the_idle_timeout_alone() {
    let mut rig = Rig::start_with(|setup| {
        setup.protocol = Protocol::EngineIo { silence_max: None, open: Some(read_open()) };
    });
    rig.node.write_all(&unmasked(0x81, b"other")).await.unwrap();
    expect(&mut rig.client, &unmasked(0x81, b"other")).await;
    expect(&mut rig.client, &unmasked(0x88, b"\x03\xe9idle")).await;
    assert_eq!(rig.begun_at.elapsed(), Limits::PLAIN_IDLE_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn absurd_timings_of_a_node_do_no_harm() {
    let silence_max = Some(Duration::from_millis(u64::MAX));
    let mut rig =
        Rig::start_with(|setup| setup.protocol = Protocol::EngineIo { silence_max, open: None });
    rig.node.write_all(b"\x81\x00").await.unwrap();
    expect(&mut rig.client, b"\x81\x00").await;
}

#[tokio::test(start_paused = true)]
async fn our_close_waits_for_the_end_of_a_frame() {
    let mut rig = Rig::start();
    let message = unmasked(0x81, b"slowly");
    let (begin, rest) = message.split_at(4);
    rig.node.write_all(begin).await.unwrap();
    expect(&mut rig.client, begin).await;
    expect_masked_close(&mut rig.node, b"\x03\xe9idle").await;

    tokio::time::sleep(9 * SECOND).await;
    rig.node
        .write_all(&[rest, &unmasked(0x81, b"too late"), &unmasked(0x88, b"")].concat())
        .await
        .unwrap();
    expect(&mut rig.client, rest).await;
    expect(&mut rig.client, &unmasked(0x88, b"\x03\xe9idle")).await;
    expect_fin(&mut rig.node).await;
    rig.client.write_all(&masked(0x88, b"")).await.unwrap();
    expect_fin(&mut rig.client).await;
    assert_eq!(rig.report().await.1, Limits::PLAIN_IDLE_TIMEOUT + 9 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_does_not_end_is_cut_after_ten_seconds() {
    let mut rig = Rig::start();
    let begin = &unmasked(0x81, b"slowly")[..4];
    rig.node.write_all(begin).await.unwrap();
    expect(&mut rig.client, begin).await;
    expect_fin(&mut rig.client).await;
    assert_eq!(rig.begun_at.elapsed(), Limits::PLAIN_IDLE_TIMEOUT + 10 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn our_close_waits_for_a_long_frame_as_long_as_it_moves_and_a_minute_at_most() {
    for (bytes_a_second, expected) in [(200, 60), (50, 10)] {
        let mut rig = Rig::start_with(|setup| {
            setup.limits.idle_timeout = IdleTimeout::Off;
            setup.limits.max_age = Some(10 * SECOND);
        });
        rig.node.write_all(b"\x82\x7f\0\0\0\0\0\x0f\0\0").await.unwrap();
        expect(&mut rig.client, b"\x82\x7f\0\0\0\0\0\x0f\0\0").await;
        let part = vec![7; bytes_a_second];
        let (mut is_over, mut ticks) = (false, tokio::time::interval(SECOND));
        while !is_over {
            ticks.tick().await;
            is_over = rig.node.write_all(&part).await.is_err()
                || rig.client.read(&mut [0; 4096]).await.unwrap() == 0;
        }
        let waited = rig.begun_at.elapsed().as_secs();
        assert!((expected + 9..=expected + 12).contains(&waited), "{waited} s");
        assert_eq!(rig.report().await.0.end, End::MaxAge);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_cannot_be_followed_gets_fin_at_once() {
    let mut rig = Rig::start();
    rig.node.write_all(b"HTTP/1.1 400").await.unwrap();
    expect(&mut rig.client, b"HTTP/1.1 400").await;
    expect_fin(&mut rig.client).await;
    assert_eq!(rig.begun_at.elapsed(), Limits::PLAIN_IDLE_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_closes_each_side_with_its_own_code() {
    let mut rig = Rig::start();
    rig.shutdown.begin(8 * SECOND);
    expect(&mut rig.client, &unmasked(0x88, b"\x03\xf4drained")).await;
    expect_masked_close(&mut rig.node, b"\x03\xe9drained").await;
    rig.client.write_all(&masked(0x88, b"\x03\xf4")).await.unwrap();
    rig.node.write_all(&unmasked(0x88, b"\x03\xe9")).await.unwrap();

    let (report, after) = rig.report().await;
    assert_eq!((report.end, report.close_code), (End::Shutdown, Some(1012)));
    assert_eq!((report.end.label(), report.end.who()), ("drained", Who::Operator));
    assert!(after < 8 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_is_spread_evenly_and_leaves_time_for_the_answers() {
    const TUNNELS: usize = 400;
    let (shutdown, watch) = Shutdown::new();
    let mut tunnels = JoinSet::new();
    let mut far_ends = Vec::new();
    for _ in 0..TUNNELS {
        let (client, client_side) = duplex(PIPE_BYTES);
        let (node, node_side) = duplex(PIPE_BYTES);
        tunnels.spawn(run(client_side, node_side, setup(watch.clone())));
        far_ends.push((client, node));
    }
    tokio::task::yield_now().await;
    shutdown.begin(45 * SECOND);

    // Neither side answers, so each report comes 5 s after its tunnel's slot.
    let mut turns_of_quarters = [0; 4];
    while let Some(report) = tunnels.join_next().await {
        let turn = report.unwrap().duration - 5 * SECOND;
        // A slot in the last millisecond is used one later, because the timer rounds up.
        turns_of_quarters[((turn.as_secs_f64() / 10.0) as usize).min(3)] += 1;
    }
    for turns in turns_of_quarters {
        assert!((60..=140).contains(&turns), "{turns_of_quarters:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_that_begins_in_a_shutdown_ends_in_it() {
    let mut rig = Rig::start_with(|setup| {
        let (shutdown, watch) = Shutdown::new();
        shutdown.begin(8 * SECOND);
        setup.shutdown = watch;
    });
    let (report, after) = rig.report().await;
    assert_eq!(report.end, End::Shutdown);
    assert!(after < 13 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_that_changes_its_task_still_sees_its_timer_and_the_shutdown() {
    for (shutdown_timeout, end) in [(None, End::Idle), (Some(8 * SECOND), End::Shutdown)] {
        let (shutdown, watch) = Shutdown::new();
        let ((_client, client_side), (_node, node_side)) = (duplex(1), duplex(1));
        let mut tunnel = Box::pin(run(client_side, node_side, setup(watch)));
        assert!(futures_util::poll!(&mut tunnel).is_pending());
        let mut other_task = JoinSet::new();
        other_task.spawn(tunnel);
        tokio::task::yield_now().await;
        if let Some(timeout) = shutdown_timeout {
            shutdown.begin(timeout);
        }
        assert_eq!(other_task.join_next().await.unwrap().unwrap().end, end);
    }
}

/// Reads `0!` as an open packet.
fn read_open() -> ReadOpen {
    ReadOpen(Box::new(|payload| (payload == b"0!").then_some(OPENED)))
}

/// How long both sides wait for each other.
const OPENED: Duration = Duration::from_secs(15);

#[tokio::test(start_paused = true)]
async fn what_passes_is_counted_before_the_end() {
    let counts = Arc::<TunnelCounts>::default();
    let of_tunnel = counts.clone();
    let mut rig = Rig::start_with(|setup| {
        setup.limits.idle_timeout = IdleTimeout::After(30 * SECOND);
        setup.counts = of_tunnel;
    });
    let frame = masked(0x81, b"hello");
    for _ in 0..3 {
        rig.client.write_all(&frame).await.unwrap();
        expect(&mut rig.node, &frame).await;
        tokio::time::sleep(20 * SECOND).await;
    }
    let counted = (counts.from_clients.bytes.get(), counts.from_clients.messages.get());
    assert_eq!(counted, (3 * frame.len() as u64, 3));
    assert_eq!(counts.from_nodes.bytes.get(), 0);
}
