//! Tunnels that are dismissed: their node drains, or has more than its share.

use super::*;
use crate::tunnel::end::Who;

/// A tunnel on a roster that is older.
async fn start() -> (Rig, Arc<Roster>) {
    let roster = Roster::new(Instant::now());
    tokio::time::sleep(10 * SECOND).await;
    let roster_guard = roster.enter(Identity::unknown());
    (Rig::start_with(|setup| setup.roster_guard = roster_guard), roster)
}

#[tokio::test(start_paused = true)]
async fn each_side_is_closed_with_its_own_code() {
    for (dismissal, reason, (end, label, who)) in [
        (
            Dismissal::NodeDrained,
            &b"node drained"[..],
            (End::NodeDrained, "node_drained", Who::Operator),
        ),
        (Dismissal::Rebalanced, b"rebalanced", (End::Rebalanced, "rebalanced", Who::Proxy)),
    ] {
        let (mut rig, roster) = start().await;
        tokio::time::sleep(SECOND).await;
        assert_eq!(roster.dismiss(dismissal, 1, None), 1);
        expect(&mut rig.client, &unmasked(0x88, &[b"\x03\xf4", reason].concat())).await;
        expect_masked_close(&mut rig.node, &[b"\x03\xe9", reason].concat()).await;
        rig.client.write_all(&masked(0x88, b"\x03\xf4")).await.unwrap();
        rig.node.write_all(&unmasked(0x88, b"\x03\xe9")).await.unwrap();

        let (report, after) = rig.report().await;
        assert_eq!((report.end, report.close_code), (end, Some(1012)));
        assert_eq!((report.end.label(), report.end.who()), (label, who));
        assert_eq!(after, SECOND, "nothing but the dismissal woke it");
        assert_eq!(roster.present(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_that_is_dismissed_before_it_begins_ends_immediately() {
    let roster = Roster::new(Instant::now());
    let roster_guard = roster.enter(Identity::unknown());
    roster.dismiss(Dismissal::NodeDrained, 1, None);
    let mut rig = Rig::start_with(|setup| setup.roster_guard = roster_guard);
    expect(&mut rig.client, &unmasked(0x88, b"\x03\xf4node drained")).await;
    assert_eq!(rig.begun_at.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_message_under_way_comes_to_its_end_first() {
    let (mut rig, roster) = start().await;
    let message = unmasked(0x81, b"slowly");
    let (begin, rest) = message.split_at(4);
    rig.node.write_all(begin).await.unwrap();
    expect(&mut rig.client, begin).await;
    roster.dismiss(Dismissal::Rebalanced, 1, None);
    tokio::time::sleep(9 * SECOND).await;
    rig.node.write_all(rest).await.unwrap();
    expect(&mut rig.client, rest).await;
    expect(&mut rig.client, &unmasked(0x88, b"\x03\xf4rebalanced")).await;
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_that_changes_its_task_still_sees_its_dismissal() {
    let roster = Roster::new(Instant::now());
    let (_shutdown, watch) = Shutdown::new();
    let ((_client, client_side), (_node, node_side)) = (duplex(1), duplex(1));
    let roster_guard = roster.enter(Identity::unknown());
    let setup = Setup { roster_guard, ..setup(watch) };
    let mut tunnel = Box::pin(run(client_side, node_side, setup));
    assert!(futures_util::poll!(&mut tunnel).is_pending());
    let mut other_task = JoinSet::new();
    other_task.spawn(tunnel);
    tokio::task::yield_now().await;
    roster.dismiss(Dismissal::NodeDrained, 1, None);
    assert_eq!(other_task.join_next().await.unwrap().unwrap().end, End::NodeDrained);
}

#[tokio::test(start_paused = true)]
async fn bytes_either_way_make_a_tunnel_active_and_bytes_that_wait_make_it_busy() {
    // check(what happens at first, for how many seconds it has been quiet three seconds later)
    async fn check(first: impl AsyncFn(&mut Rig), quiet: Option<u32>) {
        for (seconds, expected) in [(quiet, 1), (quiet.map(|seconds| seconds + 1), 0)] {
            let (mut rig, roster) = start().await;
            tokio::time::sleep(9 * SECOND).await;
            let later = Instant::now() + 3 * SECOND;
            first(&mut rig).await;
            tokio::time::sleep_until(later).await;
            let since = seconds.map_or(later, |seconds| later - seconds * SECOND);
            let expected = if quiet.is_some() { expected } else { 0 };
            assert_eq!(roster.dismiss(Dismissal::Rebalanced, 1, Some(since)), expected);
        }
    }
    let hello = masked(0x81, b"hello");
    let more_than_fits = unmasked(0x82, &[7; 120]).repeat(12);
    check(async |_: &mut Rig| (), Some(12)).await;
    check(
        async |rig: &mut Rig| {
            rig.client.write_all(&hello).await.unwrap();
            expect(&mut rig.node, &hello).await;
        },
        Some(3),
    )
    .await;
    check(async |rig: &mut Rig| rig.node.write_all(&more_than_fits).await.unwrap(), None).await;
    check(
        async |rig: &mut Rig| {
            rig.node.write_all(&more_than_fits).await.unwrap();
            tokio::time::sleep(SECOND).await;
            expect(&mut rig.client, &more_than_fits).await;
        },
        Some(2),
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_thousand_tunnels_leave_nothing_on_the_roster() {
    let roster = Roster::new(Instant::now());
    let (shutdown, watch) = Shutdown::new();
    let mut tunnels = JoinSet::new();
    let mut far_ends = Vec::new();
    for number in 0..1000 {
        let (client, client_side) = duplex(PIPE_BYTES);
        let (node, node_side) = duplex(PIPE_BYTES);
        let roster_guard = roster.enter(Identity::unknown());
        tunnels.spawn(run(client_side, node_side, Setup { roster_guard, ..setup(watch.clone()) }));
        if number % 3 > 0 {
            far_ends.push((client, node));
        }
    }
    tokio::task::yield_now().await;
    roster.dismiss(Dismissal::NodeDrained, 200, None);
    shutdown.begin(8 * SECOND);
    far_ends.truncate(300);
    while tunnels.join_next().await.is_some() {
        assert!(roster.present() <= tunnels.len());
    }
    assert_eq!((roster.present(), roster.entered()), (0, 1000));
}
