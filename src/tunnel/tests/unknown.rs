//! A stream of another protocol than WebSocket.

use super::*;
use crate::tunnel::end::Who;

fn start() -> Rig {
    Rig::start_with(|setup| {
        setup.protocol = Protocol::Unknown;
        setup.limits = Limits { max_age: None, ..Limits::default() };
    })
}

#[tokio::test(start_paused = true)]
async fn each_direction_ends_by_itself() {
    let mut rig = start();
    rig.client.write_all(b"\x81\x05no frame of a client").await.unwrap();
    expect(&mut rig.node, b"\x81\x05no frame of a client").await;
    rig.client.shutdown().await.unwrap();
    expect_fin(&mut rig.node).await;
    for _ in 0..10 {
        tokio::time::sleep(60 * SECOND).await;
        rig.node.write_all(b"still here").await.unwrap();
        expect(&mut rig.client, b"still here").await;
    }
    rig.node.shutdown().await.unwrap();
    expect_fin(&mut rig.client).await;
    let (report, after) = rig.report().await;
    assert_eq!((report.end, report.end.who()), (End::ClientLeft, Who::Client));
    assert_eq!((report.from_client.bytes, report.from_client.messages), (22, 0));
    assert_eq!(report.from_node.bytes, 100);
    assert!(after >= 600 * SECOND && after < 601 * SECOND, "{after:?}");
}

#[tokio::test(start_paused = true)]
async fn the_side_whose_direction_ended_first_ended_it() {
    let mut rig = start();
    rig.node.shutdown().await.unwrap();
    expect_fin(&mut rig.client).await;
    rig.client.write_all(b"more").await.unwrap();
    expect(&mut rig.node, b"more").await;
    rig.client.shutdown().await.unwrap();
    expect_fin(&mut rig.node).await;
    assert_eq!(rig.report().await.0.end, End::NodeLeft);
}

#[tokio::test(start_paused = true)]
async fn silence_ends_it_without_frames_of_ours() {
    let mut rig = start();
    rig.client.write_all(b"a").await.unwrap();
    expect(&mut rig.node, b"a").await;
    // No Ping comes in these five minutes, and no Close frame after them.
    expect_fin(&mut rig.client).await;
    expect_fin(&mut rig.node).await;
    let closed_at = rig.begun_at.elapsed();
    assert!(closed_at >= 300 * SECOND && closed_at < 301 * SECOND, "{closed_at:?}");
    drop((rig.client, rig.node));
    let report = rig.tunnel.join_next().await.unwrap().unwrap();
    assert_eq!((report.end, report.close_code), (End::Idle, None));
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_leaves_it_nearly_all_the_time_that_there_is() {
    let mut rig = start();
    rig.shutdown.begin(100 * SECOND);
    tokio::time::sleep(90 * SECOND).await;
    rig.client.write_all(b"a").await.unwrap();
    expect(&mut rig.node, b"a").await;
    expect_fin(&mut rig.client).await;
    expect_fin(&mut rig.node).await;
    let closed_at = rig.begun_at.elapsed();
    assert!(closed_at >= 95 * SECOND && closed_at < 96 * SECOND, "{closed_at:?}");
    drop((rig.client, rig.node));
    let report = rig.tunnel.join_next().await.unwrap().unwrap();
    assert_eq!((report.end, report.close_code), (End::Shutdown, None));
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_it_and_rebalancing_does_not() {
    let roster = Roster::new(Instant::now());
    let guard = roster.enter(Identity::unknown());
    let mut rig = Rig::start_with(|setup| {
        setup.protocol = Protocol::Unknown;
        setup.roster_guard = guard;
    });
    rig.client.write_all(b"a").await.unwrap();
    expect(&mut rig.node, b"a").await;
    tokio::time::sleep(100 * SECOND).await;
    assert_eq!(roster.dismiss(Dismissal::Rebalanced, 1, Some(Instant::now())), 0);
    assert_eq!(roster.dismiss(Dismissal::NodeDrained, 1, None), 1);
    expect_fin(&mut rig.client).await;
    expect_fin(&mut rig.node).await;
    drop((rig.client, rig.node));
    let report = rig.tunnel.join_next().await.unwrap().unwrap();
    assert_eq!((report.end, report.close_code), (End::NodeDrained, None));
}
