//! Pings, the maximum age, missing messages, and sides that do not read.

use super::*;
use crate::tunnel::end::Who;

fn keepalive(every: u64, lost_after: u64) -> impl Fn(&mut Setup) {
    let times =
        KeepaliveTimes { every: every as u32 * SECOND, lost_after: lost_after as u32 * SECOND };
    move |setup| setup.limits.keepalive = Keepalive::On(times)
}

/// Reads a Ping of ours to the client and makes the Pong that answers it.
async fn client_pinged(rig: &mut Rig) -> Vec<u8> {
    let mut frame = [0; 10];
    rig.client.read_exact(&mut frame).await.unwrap();
    assert_eq!(frame[..2], [0x89, 8], "{frame:02x?}");
    masked(0x8a, &frame[2..])
}

/// Reads a Ping of ours to the node and makes the Pong that answers it.
async fn node_pinged(rig: &mut Rig) -> Vec<u8> {
    let mut frame = [0; 14];
    rig.node.read_exact(&mut frame).await.unwrap();
    assert_eq!(frame[..2], [0x89, 0x88], "{frame:02x?}");
    let payload = frame[6..].iter().zip(frame[2..6].iter().cycle()).map(|(byte, key)| byte ^ key);
    unmasked(0x8a, &payload.collect::<Vec<_>>())
}

#[tokio::test(start_paused = true)]
async fn quiet_sides_are_pinged_and_their_answers_are_life_that_the_other_side_does_not_see() {
    let mut rig = Rig::start_with(|setup| setup.limits = Limits::default());
    for i in 1..40_u32 {
        let pong = client_pinged(&mut rig).await;
        rig.client.write_all(&pong[..(i as usize) % pong.len()]).await.unwrap();
        tokio::task::yield_now().await;
        rig.client.write_all(&pong[(i as usize) % pong.len()..]).await.unwrap();
        let pong = node_pinged(&mut rig).await;
        rig.node.write_all(&pong).await.unwrap();
        assert_eq!(rig.begun_at.elapsed(), i * 25 * SECOND);
    }
    rig.client.write_all(&masked(0x81, b"up")).await.unwrap();
    expect(&mut rig.node, &masked(0x81, b"up")).await;
    rig.node.write_all(&unmasked(0x81, b"down")).await.unwrap();
    expect(&mut rig.client, &unmasked(0x81, b"down")).await;
}

#[tokio::test(start_paused = true)]
async fn a_side_that_stays_quiet_is_lost() {
    for lost in [Side::Client, Side::Node] {
        let mut rig = Rig::start_with(keepalive(25, 20));
        let (to_client, to_node) = (client_pinged(&mut rig).await, node_pinged(&mut rig).await);
        let (to_client, to_node) = match lost {
            Side::Client => {
                rig.node.write_all(&to_node).await.unwrap();
                (&b"\x03\xe9keepalive lost"[..], &b"\x03\xe9client lost"[..])
            }
            Side::Node => {
                rig.client.write_all(&to_client).await.unwrap();
                (&b"\x03\xf4node lost"[..], &b"\x03\xe9keepalive lost"[..])
            }
        };
        expect(&mut rig.client, &unmasked(0x88, to_client)).await;
        expect_masked_close(&mut rig.node, to_node).await;
        assert_eq!(rig.begun_at.elapsed(), 45 * SECOND);
        expect_fin(&mut rig.client).await;
        expect_fin(&mut rig.node).await;
        let (report, after) = rig.report().await;
        assert_eq!((report.end, after), (End::KeepaliveLost(lost), 46 * SECOND));
        let who = if lost == Side::Client { Who::Client } else { Who::Node };
        assert_eq!((report.end.label(), report.end.who()), ("keepalive_lost", who));
    }
}

#[tokio::test(start_paused = true)]
async fn a_side_that_never_answers_is_not_lost_unless_that_is_asked_for() {
    let mut rig = Rig::start_with(|setup| {
        setup.limits = Limits { idle_timeout: IdleTimeout::Off, ..Limits::default() };
    });
    for i in 0..100_u32 {
        client_pinged(&mut rig).await;
        node_pinged(&mut rig).await;
        assert_eq!(rig.begun_at.elapsed(), (25 + i * 20) * SECOND);
    }
}

#[tokio::test(start_paused = true)]
async fn any_byte_is_life_and_a_foreign_pong_passes() {
    let mut rig = Rig::start_with(keepalive(25, 20));
    let (_, pong) = (client_pinged(&mut rig).await, node_pinged(&mut rig).await);
    rig.node.write_all(&pong).await.unwrap();
    let foreign = masked(0x8a, b"87654321");
    rig.client.write_all(&foreign).await.unwrap();
    expect(&mut rig.node, &foreign).await;
    tokio::time::sleep(24 * SECOND).await;
    rig.client.write_all(b"\x81").await.unwrap();
    node_pinged(&mut rig).await;
    assert_eq!(rig.begun_at.elapsed(), 50 * SECOND);
    rig.node.write_all(&unmasked(0x81, b"")).await.unwrap();
    expect(&mut rig.client, &unmasked(0x81, b"")).await;
    client_pinged(&mut rig).await;
    assert_eq!(rig.begun_at.elapsed(), 74 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn no_ping_of_ours_overtakes_a_foreign_one() {
    let mut rig = Rig::start_with(keepalive(25, 20));
    tokio::time::sleep(20 * SECOND).await;
    rig.node.write_all(&unmasked(0x89, b"node's")).await.unwrap();
    expect(&mut rig.client, &unmasked(0x89, b"node's")).await;
    client_pinged(&mut rig).await;
    assert_eq!(rig.begun_at.elapsed(), 40 * SECOND, "the client had its time for the other");
}

#[tokio::test(start_paused = true)]
async fn a_ping_waits_for_the_end_of_a_frame_and_nobody_is_lost_meanwhile() {
    let mut rig = Rig::start_with(keepalive(25, 20));
    let frame = unmasked(0x81, b"slowly");
    rig.node.write_all(&frame[..4]).await.unwrap();
    expect(&mut rig.client, &frame[..4]).await;
    let pong = node_pinged(&mut rig).await;
    rig.node.write_all(&frame[4..5]).await.unwrap();
    tokio::time::sleep(24 * SECOND).await;
    rig.node.write_all(&frame[5..7]).await.unwrap();
    tokio::time::sleep(24 * SECOND).await;
    rig.node.write_all(&[&frame[7..], &unmasked(0x81, b"next")].concat()).await.unwrap();
    expect(&mut rig.client, &frame[4..]).await;
    client_pinged(&mut rig).await;
    expect(&mut rig.client, &unmasked(0x81, b"next")).await;
    rig.node.write_all(&pong).await.unwrap();
    let (report, after) = rig.report().await;
    assert_eq!(report.end, End::KeepaliveLost(Side::Client));
    assert!(after > 73 * SECOND && after <= 73 * SECOND + 41 * SECOND, "{after:?}");
}

#[tokio::test(start_paused = true)]
async fn engineio_sessions_get_no_pings_of_ours_unless_configured() {
    for (keepalive, expected) in
        [(Keepalive::Auto, 300 * SECOND), (Keepalive::On(KeepaliveTimes::default()), 25 * SECOND)]
    {
        let mut rig = Rig::start_with(|setup| {
            setup.limits.keepalive = keepalive;
            setup.protocol = Protocol::EngineIo { silence_max: None, open: None };
        });
        rig.client.read_exact(&mut [0; 8]).await.unwrap();
        assert_eq!(rig.begun_at.elapsed(), expected, "{keepalive:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn only_messages_that_count_put_the_timeout_of_messages_off() {
    for (is_engineio, heartbeat, expected) in [
        (true, unmasked(0x81, b"2"), 60),
        (true, unmasked(0x89, b""), 60),
        (true, unmasked(0xc1, b"2"), 100),
        (false, unmasked(0x81, b"2"), 100),
        (true, unmasked(0x81, b"42[]"), 100),
    ] {
        let mut rig = Rig::start_with(|setup| {
            setup.limits.idle_messages = Some(60 * SECOND);
            setup.extensions = Extensions::Deflate;
            if is_engineio {
                setup.protocol = Protocol::EngineIo { silence_max: Some(50 * SECOND), open: None };
            }
        });
        tokio::time::sleep(40 * SECOND).await;
        rig.node.write_all(&heartbeat).await.unwrap();
        expect(&mut rig.client, &heartbeat).await;
        for _ in 0..2 {
            tokio::time::sleep(9 * SECOND).await;
            rig.client.write_all(&masked(0x8a, b"")).await.unwrap();
        }
        expect(&mut rig.client, &unmasked(0x88, b"\x03\xe9idle")).await;
        assert_eq!(rig.begun_at.elapsed(), expected * SECOND, "{heartbeat:02x?}");
        let (report, _) = rig.report().await;
        assert_eq!(report.end, if expected == 60 { End::IdleMessages } else { report.end });
    }
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_ends_when_the_right_to_it_expires() {
    let mut rig = Rig::start_with(|setup| setup.expires_at = Some(Instant::now() + 100 * SECOND));
    expect(&mut rig.client, &unmasked(0x88, b"\x03\xe9token expired")).await;
    expect_masked_close(&mut rig.node, b"\x03\xe9token expired").await;
    assert_eq!(rig.begun_at.elapsed(), 100 * SECOND);
    let (report, _) = rig.report().await;
    assert_eq!((report.end, report.end.label()), (End::Expired, "expired"));
}

#[tokio::test(start_paused = true)]
async fn no_tunnel_gets_older_than_allowed_and_not_all_end_together() {
    let mut ages = Vec::new();
    for _ in 0..20 {
        let mut rig = Rig::start_with(|setup| setup.limits.max_age = Some(100 * SECOND));
        expect(&mut rig.client, &unmasked(0x88, b"\x03\xe9max age")).await;
        expect_masked_close(&mut rig.node, b"\x03\xe9max age").await;
        ages.push(rig.begun_at.elapsed());
        let (report, _) = rig.report().await;
        assert_eq!((report.end.label(), report.end.who()), ("max_age", Who::Proxy));
    }
    assert!(ages.iter().all(|age| (90 * SECOND..=101 * SECOND).contains(age)), "{ages:?}");
    ages.sort();
    assert!(ages[19] - ages[0] > SECOND, "{ages:?}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_cut_off_whatever_it_sends() {
    let mut rig = Rig::start_with(|setup| {
        setup.limits.buffer_bytes = 4096;
        setup.limits.stalled_client = StalledClient::After(20 * SECOND);
    });
    let message = unmasked(0x82, &[7; 98]);
    let (mut sent, mut node_is_free) = (0, false);
    while rig.begun_at.elapsed() < 25 * SECOND {
        let write = tokio::time::timeout(SECOND, rig.node.write_all(&message)).await;
        match write {
            Ok(Ok(())) => sent += message.len(),
            Ok(Err(_)) => node_is_free = true,
            Err(_) => _ = rig.client.write_all(&masked(0x8a, b"")).await,
        }
        if node_is_free || rig.tunnel.is_empty() || sent > 100_000 {
            break;
        }
    }
    let (report, after) = rig.report().await;
    assert_eq!((report.end, report.end.who()), (End::StalledClient, Who::Client));
    assert!((20 * SECOND..23 * SECOND).contains(&after), "{after:?}");
}

#[tokio::test(start_paused = true)]
async fn the_node_of_a_stalled_client_is_told_at_once_and_freed() {
    let mut rig = Rig::start_with(|setup| setup.limits.buffer_bytes = 4096);
    let flood = unmasked(0x82, &[7; 98]).repeat(100);
    tokio::time::timeout(SECOND, rig.node.write_all(&flood)).await.unwrap_err();
    expect_masked_close(&mut rig.node, b"\x03\xe9client stalled").await;
    assert_eq!(rig.begun_at.elapsed(), 120 * SECOND);
    expect_fin(&mut rig.node).await;
    rig.node.write_all(&flood).await.unwrap();
    assert_eq!(rig.begun_at.elapsed(), 120 * SECOND, "what it still sends is taken");
    assert_eq!(rig.report().await.1, 121 * SECOND);
}

/// A client that takes this many bytes every 9 s: after how long is it disconnected, if at all?
async fn cut_off(bytes: usize) -> Option<Duration> {
    let mut rig = Rig::start_with(|setup| {
        let idle_timeout = IdleTimeout::After(100 * SECOND);
        let stalled_client = 20 * SECOND;
        let stalled_client = StalledClient::After(stalled_client);
        let buffer_bytes = 4096;
        setup.limits = Limits { idle_timeout, stalled_client, buffer_bytes, ..Limits::default() };
    });
    let Rig { client, node, tunnel, begun_at, .. } = &mut rig;
    let flood = unmasked(0x82, &[7; 98]).repeat(400);
    let write = async {
        _ = node.write_all(&flood).await;
        std::future::pending::<()>().await;
    };
    let read = async {
        let mut part = vec![0; bytes];
        for _ in 0..20 {
            tokio::time::sleep(9 * SECOND).await;
            client.read_exact(&mut part).await.unwrap();
            if let Some(report) = tunnel.try_join_next() {
                assert_eq!(report.unwrap().end, End::StalledClient);
                return Some(begun_at.elapsed());
            }
        }
        None
    };
    tokio::select! { () = write => None, after = read => after }
}

#[tokio::test(start_paused = true)]
async fn a_slow_client_is_not_cut_off_nor_lost_and_one_that_takes_next_to_nothing_is() {
    assert_eq!(cut_off(600).await, None);
    let after = cut_off(20).await;
    assert!(after.is_some_and(|after| after < 30 * SECOND), "{after:?}");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_does_not_read_is_given_up_after_a_minute() {
    let mut rig = Rig::start_with(|setup| setup.limits.buffer_bytes = 4096);
    let flood = masked(0x82, &[7; 98]).repeat(100);
    tokio::time::timeout(SECOND, rig.client.write_all(&flood)).await.unwrap_err();
    expect(&mut rig.client, &unmasked(0x88, b"\x03\xf4node lost")).await;
    assert_eq!(rig.begun_at.elapsed(), 60 * SECOND);
    let (report, after) = rig.report().await;
    assert_eq!((report.end, report.end.who()), (End::StalledNode, Who::Node));
    assert_eq!(after, 61 * SECOND);
}
