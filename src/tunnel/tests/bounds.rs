//! What a client may not do, and what both sides get then.

use super::*;
use crate::tunnel::end::Who;
use crate::websocket::FrameError;

/// A client that sends `good`, then `bad`, and a node that answers the good: what passes, and how
/// does it end?
async fn check(change: impl Fn(&mut Setup), good: &[u8], bad: &[u8], expected: (End, u16)) {
    for i in [0, 1, bad.len() / 2, bad.len()] {
        let mut rig = Rig::start_with(&change);
        let (first, second) = bad.split_at(i);
        rig.client.write_all(&[good, first].concat()).await.unwrap();
        tokio::task::yield_now().await;
        rig.client.write_all(&[second, &masked(0x81, b"more")].concat()).await.unwrap();
        expect(&mut rig.node, good).await;
        let (opcode, payload) = read_masked(&mut rig.node).await;
        assert_eq!((opcode, &payload[..2]), (0x88, &1001_u16.to_be_bytes()[..]), "{bad:02x?}");
        let answer = unmasked(0x81, b"answer");
        rig.node.write_all(&[&answer[..], &unmasked(0x88, b"\x03\xe9")].concat()).await.unwrap();
        expect(&mut rig.client, &answer).await;
        let mut close = [0; 4];
        rig.client.read_exact(&mut close).await.unwrap();
        assert_eq!((close[0], u16::from_be_bytes([close[2], close[3]])), (0x88, expected.1));

        rig.client.shutdown().await.unwrap();
        rig.client.read_to_end(&mut Vec::new()).await.unwrap();
        expect_fin(&mut rig.node).await;
        let (report, after) = rig.report().await;
        assert_eq!((report.end, report.close_code), (expected.0, Some(expected.1)), "{bad:02x?}");
        assert_eq!((report.end.who(), after), (Who::Client, Duration::ZERO));
    }
}

/// The next frame of a client: its first byte and unmasked payload.
async fn read_masked(stream: &mut DuplexStream) -> (u8, Vec<u8>) {
    let mut head = [0; 6];
    stream.read_exact(&mut head).await.unwrap();
    let mut payload = vec![0; usize::from(head[1] & 0x7f)];
    stream.read_exact(&mut payload).await.unwrap();
    let mask = head[2..].iter().cycle();
    (head[0], payload.iter().zip(mask).map(|(byte, key)| byte ^ key).collect())
}

#[tokio::test(start_paused = true)]
async fn a_client_that_breaks_the_protocol_is_told_so_and_the_node_gets_none_of_it() {
    let good = masked(0x81, b"good");
    let check = async |bad: &[u8], error| {
        check(|_| (), &good, bad, (End::BadFrame(error), 1002)).await;
    };
    check(&unmasked(0x81, b"bad"), FrameError::Unmasked).await;
    check(&masked(0x83, b"bad"), FrameError::ReservedOpcode).await;
    check(&masked(0xc1, b"bad"), FrameError::ReservedBit).await;
    check(&masked(0xa1, b"bad"), FrameError::ReservedBit).await;
    check(&masked(0x80, b"bad"), FrameError::StrayContinuation).await;
    check(&masked(0x09, b"bad"), FrameError::FragmentedControl).await;
    check(&masked(0x88, b"b"), FrameError::ShortClose).await;
    check(&masked(0x88, b"\x03\xed"), FrameError::CloseCode).await;
    check(&masked(0x88, b"\x13\x88 and why"), FrameError::CloseCode).await;
    check(b"\x89\xfe\0\x7e\0\0\0\0", FrameError::LongControl).await;
    check(b"\x81\xfe\0\x01\0\0\0\0b", FrameError::LongLength).await;
    check(b"\x81\xff\xff\0\0\0\0\0\0\0\0\0\0\0b", FrameError::HugeLength).await;
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_too_long_does_not_reach_the_node() {
    let limit =
        |bytes| move |setup: &mut Setup| setup.limits.message_max = MessageMax::Bytes(bytes);
    let good = masked(0x81, b"12345");
    check(limit(5), &good, &masked(0x81, b"123456"), (End::TooBig, 1009)).await;
    let good = [masked(0x01, b"123"), masked(0x89, b"a Ping"), masked(0x00, b"45")].concat();
    check(limit(5), &good, &masked(0x80, b"6"), (End::TooBig, 1009)).await;
}

#[tokio::test(start_paused = true)]
async fn a_message_may_have_100_mib_unless_it_is_configured() {
    let head = |bytes: u64| [&[0x82, 0xff][..], &bytes.to_be_bytes(), &[0; 4]].concat();
    let plain: fn(&mut Setup) = |setup| setup.protocol = Protocol::Plain;
    let engineio: fn(&mut Setup) = |setup| {
        setup.protocol = Protocol::EngineIo { silence_max: Some(50 * SECOND), open: None };
    };
    for protocol in [plain, engineio] {
        check(protocol, b"", &head((100 << 20) + 1), (End::TooBig, 1009)).await;
    }
    let mut rig = Rig::start();
    rig.client.write_all(&head(100 << 20)).await.unwrap();
    expect(&mut rig.node, &head(100 << 20)).await;
}

#[tokio::test(start_paused = true)]
async fn a_node_may_send_any_message() {
    let mut rig = Rig::start_with(|setup| setup.limits.message_max = MessageMax::Bytes(1));
    let message = unmasked(0x81, &[0; 100]);
    rig.node.write_all(&message).await.unwrap();
    expect(&mut rig.client, &message).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_sends_too_many_messages_gets_a_close_frame() {
    let limit = |setup: &mut Setup| setup.limits.messages_per_second = Some(3);
    let message = masked(0x81, b"m");
    check(limit, &message.repeat(3), &message, (End::TooFast, 1008)).await;

    let mut rig = Rig::start_with(limit);
    for _ in 0..30 {
        rig.client.write_all(&message).await.unwrap();
        expect(&mut rig.node, &message).await;
        tokio::time::sleep(SECOND / 3).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_sends_too_many_control_frames_gets_a_close_frame() {
    let ping = masked(0x89, b"");
    // The first poll takes what fits into the pipe; the limit is on all of it.
    let mut rig = Rig::start();
    let send = async {
        for _ in 0..201 {
            rig.client.write_all(&ping).await.unwrap();
        }
    };
    let mut received = vec![0; 200 * ping.len()];
    let (_, received) = tokio::join!(send, rig.node.read_exact(&mut received));
    received.unwrap();
    let (opcode, payload) = read_masked(&mut rig.node).await;
    assert_eq!((opcode, &payload[..2]), (0x88, &1001_u16.to_be_bytes()[..]));
    let (report, _) = rig.report().await;
    assert_eq!((report.end, report.close_code), (End::TooFast, Some(1008)));
    assert_eq!((report.end.label(), report.end.who()), ("too_fast", Who::Client));
}

#[tokio::test(start_paused = true)]
async fn pongs_that_answer_pings_cost_nothing_and_others_do() {
    let mut rig = Rig::start();
    let (ping, pong) = (unmasked(0x89, b"?"), masked(0x8a, b"?"));
    for _ in 0..1000 {
        rig.node.write_all(&ping).await.unwrap();
        expect(&mut rig.client, &ping).await;
        rig.client.write_all(&pong).await.unwrap();
        expect(&mut rig.node, &pong).await;
    }
    for _ in 0..200 {
        rig.client.write_all(&pong).await.unwrap();
        expect(&mut rig.node, &pong).await;
    }
    rig.client.write_all(&pong).await.unwrap();
    assert_eq!(rig.report().await.0.end, End::TooFast);
}

#[tokio::test(start_paused = true)]
async fn a_client_may_ping_with_each_frame_of_a_game_and_more_if_configured() {
    for (limit, rate) in [(Some(200), 128), (Some(5), 5), (None, 2000)] {
        let mut rig = Rig::start_with(|setup| setup.limits.control_frames_per_second = limit);
        let ping = masked(0x89, b"");
        for _ in 0..rate * 20 {
            rig.client.write_all(&ping).await.unwrap();
            expect(&mut rig.node, &ping).await;
            tokio::time::sleep(SECOND / rate).await;
        }
        assert_eq!(rig.tunnel.len(), 1, "{limit:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_forbidden_close_code_of_a_node_passes_anyway() {
    let mut rig = Rig::start();
    let close = unmasked(0x88, b"\x03\xed");
    rig.node.write_all(&close).await.unwrap();
    expect(&mut rig.client, &close).await;
    rig.client.shutdown().await.unwrap();
    assert_eq!(rig.report().await.0.end, End::NodeClosed(Some(1005)));
}

#[tokio::test(start_paused = true)]
async fn what_an_unknown_extension_may_change_passes_both_ways() {
    let mut rig = Rig::start_with(|setup| setup.extensions = Extensions::Other);
    for first in [0xc1, 0x80, 0x13, 0xab] {
        let (up, down) = (masked(first, b"up"), unmasked(first, b"down"));
        rig.client.write_all(&up).await.unwrap();
        expect(&mut rig.node, &up).await;
        rig.node.write_all(&down).await.unwrap();
        expect(&mut rig.client, &down).await;
    }
    rig.client.write_all(&unmasked(0x81, b"bad")).await.unwrap();
    assert_eq!(rig.report().await.0.end, End::BadFrame(FrameError::Unmasked));
}

#[tokio::test(start_paused = true)]
async fn a_client_inside_a_long_frame_gets_time_for_its_answer_and_not_more() {
    let mut rig = Rig::start_with(|setup| setup.limits.message_max = MessageMax::Bytes(5));
    rig.client.write_all(&masked(0x81, &[0; 100])).await.unwrap();
    expect(&mut rig.client, &unmasked(0x88, b"\x03\xf1message too big")).await;
    rig.client.write_all(&masked(0x81, &[0; 100])).await.unwrap();
    rig.client.write_all(&masked(0x88, b"\x03\xf1")).await.unwrap();
    expect_fin(&mut rig.client).await;
    assert_eq!(rig.report().await.1, 6 * SECOND, "the node did not answer");
}

#[tokio::test(start_paused = true)]
async fn a_node_has_a_second_for_its_last_words_to_a_client_that_broke_the_protocol() {
    let mut rig = Rig::start();
    rig.client.write_all(&unmasked(0x81, b"bad")).await.unwrap();
    expect_masked_close(&mut rig.node, b"\x03\xe9client's bad frame").await;
    tokio::time::sleep(SECOND / 2).await;
    rig.node.write_all(&unmasked(0x81, b"in time")).await.unwrap();
    expect(&mut rig.client, &unmasked(0x81, b"in time")).await;
    expect(&mut rig.client, BAD_FRAME).await;
    expect_fin(&mut rig.client).await;
    assert_eq!(rig.begun_at.elapsed(), SECOND);

    rig.node.write_all(&unmasked(0x81, b"too late")).await.unwrap();
    rig.node.write_all(&unmasked(0x88, b"\x03\xe9")).await.unwrap();
    expect_fin(&mut rig.node).await;
    rig.client.shutdown().await.unwrap();
    assert_eq!(rig.report().await.1, SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_only_leaves_has_said_its_last() {
    let mut rig = Rig::start();
    rig.client.write_all(&unmasked(0x81, b"bad")).await.unwrap();
    expect_masked_close(&mut rig.node, b"\x03\xe9client's bad frame").await;
    rig.node.write_all(&unmasked(0x81, b"bye")).await.unwrap();
    rig.node.shutdown().await.unwrap();
    expect(&mut rig.client, &unmasked(0x81, b"bye")).await;
    expect(&mut rig.client, BAD_FRAME).await;
    expect_fin(&mut rig.client).await;
    expect_fin(&mut rig.node).await;
    rig.client.shutdown().await.unwrap();
    assert_eq!(rig.report().await.1, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn last_words_that_do_not_end_are_cut_between_two_frames_or_after_ten_seconds() {
    let message = unmasked(0x81, b"and so on");
    let (begin, rest) = message.split_at(4);
    for ends in [true, false] {
        let mut rig = Rig::start();
        rig.client.write_all(&unmasked(0x81, b"bad")).await.unwrap();
        rig.node.write_all(begin).await.unwrap();
        expect(&mut rig.client, begin).await;
        tokio::time::sleep(2 * SECOND).await;
        if ends {
            rig.node.write_all(&[rest, &message].concat()).await.unwrap();
            expect(&mut rig.client, rest).await;
            expect(&mut rig.client, BAD_FRAME).await;
        }
        expect_fin(&mut rig.client).await;
        assert_eq!(rig.begun_at.elapsed(), if ends { 2 * SECOND } else { 11 * SECOND });
        let (report, after) = rig.report().await;
        assert_eq!(report.end, End::BadFrame(FrameError::Unmasked));
        assert_eq!(after, if ends { 7 * SECOND } else { 16 * SECOND });
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_floods_while_the_node_speaks_its_last_is_read_and_dropped() {
    let mut rig = Rig::start();
    let good = masked(0x81, b"good");
    rig.client.write_all(&[&good[..], &unmasked(0x81, b"bad")].concat()).await.unwrap();
    let flood = [0xff; 64 * PIPE_BYTES];
    rig.client.write_all(&flood).await.unwrap();
    assert_eq!(rig.begun_at.elapsed(), Duration::ZERO);
    expect(&mut rig.node, &good).await;
    expect_masked_close(&mut rig.node, b"\x03\xe9client's bad frame").await;
    rig.node.write_all(&unmasked(0x88, b"\x03\xe9")).await.unwrap();
    expect(&mut rig.client, BAD_FRAME).await;
    expect_fin(&mut rig.node).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_breaks_the_protocol_and_is_gone_holds_nothing_up() {
    let mut rig = Rig::start();
    rig.client.write_all(&unmasked(0x81, b"bad")).await.unwrap();
    rig.client = duplex(1).0;
    expect_masked_close(&mut rig.node, b"\x03\xe9client's bad frame").await;
    rig.node.write_all(&unmasked(0x81, b"anyone?")).await.unwrap();
    rig.node.write_all(&unmasked(0x88, b"\x03\xe9")).await.unwrap();
    expect_fin(&mut rig.node).await;
    let (report, after) = rig.report().await;
    assert_eq!(report.end, End::BadFrame(FrameError::Unmasked));
    assert_eq!(after, Duration::ZERO);
}

/// What a client gets that broke RFC 6455.
const BAD_FRAME: &[u8] = b"\x88\x0b\x03\xeabad frame";
