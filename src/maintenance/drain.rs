//! Empties nodes that drain: tells their tunnels to end, at the rate and in the order that
//! `upstream::drain` says.
//!
//! Runs at start, at reload, or on a timer.

use std::sync::Arc;
use std::time::Duration;

use tracing::info;

use crate::Instant;
use crate::tunnel::Dismissal;
use crate::upstream::drain::DrainPhase;
use crate::upstream::{DrainCause, Node, Upstream};

/// Tells tunnels of nodes that drain to end when it is time, and logs the drains that begin and end.
/// How long until the next call.
pub(super) fn advance(upstream: &Upstream, now: Instant) -> Duration {
    let mut is_draining = false;
    for node in upstream.all_nodes() {
        is_draining |= follow(upstream, node, now);
    }
    close_due(upstream, now);
    if is_draining { TICK } else { REST }
}

/// Notes how far the drain of `node` is. Whether it is being emptied.
fn follow(upstream: &Upstream, node: &Arc<Node>, now: Instant) -> bool {
    let (name, progress) = (node.name(), node.drain_progress());
    let (since, until) = (node.draining_since(), upstream.drained_at(node));
    let timeout_seconds = upstream.settings().drain.timeout.as_secs_f64();
    let upstream = upstream.name();
    let (Some(since), Some(until)) = (since, until) else {
        if progress.enter(DrainPhase::Open) {
            info!(%upstream, node = %name, "node takes new sessions again");
        }
        return false;
    };
    if progress.begin(since) {
        progress.note_busy(now);
        let causes: Vec<&str> = node.drain_causes().map(DrainCause::label).collect();
        let tunnels = node.tunnels();
        let causes = causes.join(" ");
        info!(%upstream, node = %name, causes, tunnels, timeout_seconds, "node drains");
    }
    if node.is_busy() {
        progress.note_busy(now);
    }
    let is_over = progress.is_empty(since, now) || (until <= now && node.roster().present() == 0);
    if is_over && progress.enter(DrainPhase::Over) {
        let seconds = now.saturating_duration_since(since).as_secs_f64();
        let tunnels_closed = progress.closed();
        info!(%upstream, node = %name, tunnels_closed, seconds, "node drained");
    }
    !is_over
}

/// Tells as many tunnels to end as the rate allows, of the nodes whose closing has begun.
fn close_due(upstream: &Upstream, now: Instant) {
    let (bucket, rate) = (upstream.closes(), upstream.settings().closing_rate());
    for to_close in upstream.drain_queue() {
        if to_close.begins.is_some_and(|begins| now < begins) {
            return;
        }
        let allowed = (0..to_close.tunnels).take_while(|_| bucket.take(rate, now).is_ok()).count();
        let told = to_close.node.roster().dismiss(Dismissal::NodeDrained, allowed, None);
        to_close.node.drain_progress().note_closed(told);
        (told..allowed).for_each(|_| bucket.give_back(rate));
        if allowed < to_close.tunnels {
            return;
        }
    }
}

/// The time between two calls while a node is being emptied: closing ten times a second is smooth for
/// the nodes that take the clients.
const TICK: Duration = Duration::from_millis(100);

/// The time between two calls otherwise.
const REST: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::tunnel::Identity;
    use crate::tunnel::RosterGuard;
    use crate::upstream::settings::{Drain, NodeAddress, NodeSettings, Settings};

    /// `a` and `b`, of which `a` has so many tunnels; ten a second are closed within a minute.
    fn upstream(tunnels: usize) -> (Upstream, Vec<RosterGuard>) {
        let node =
            |name: &str| NodeSettings::new(name, NodeAddress { host: name.into(), port: 3000 });
        let mut settings = Settings::new("chat", vec![node("a"), node("b")]);
        let closes_per_second = NonZeroU32::new(10).unwrap();
        settings.drain = Drain { timeout: Duration::from_secs(60), closes_per_second };
        let upstream = Upstream::new(&settings, None);
        let roster = upstream.nodes()[0].roster().clone();
        let guards = (0..tunnels).map(|_| roster.enter(Identity::unknown())).collect();
        (upstream, guards)
    }

    /// Looks every tenth of a second from `from` to `to`, in seconds after `since`; how many stay
    /// after each look.
    fn look(upstream: &Upstream, since: Instant, (from, to): (u32, u32)) -> Vec<usize> {
        let looks = from * 10..to * 10;
        looks
            .map(|look| {
                advance(upstream, since + look * TICK);
                upstream.nodes()[0].roster().staying()
            })
            .collect()
    }

    #[test]
    fn a_node_is_emptied_at_its_pace_and_in_time() {
        let (upstream, guards) = upstream(100);
        let node = &upstream.nodes()[0];
        let since = Instant::now();
        node.set_drain(DrainCause::Ordered, true, since);

        assert!(look(&upstream, since, (0, 50)).iter().all(|staying| *staying == 100));
        let staying = look(&upstream, since, (50, 60));
        for (look, staying) in staying.iter().enumerate() {
            // A tenth of a second is one tunnel; two may go at once.
            assert!(100 - staying <= look + 2, "{staying} after {look} looks");
        }
        assert_eq!(staying.last(), Some(&0));
        let told = node.drain_progress().closed();
        assert_eq!((told, node.roster().present()), (100, 100));
        drop(guards);
        assert_eq!(advance(&upstream, since + Duration::from_secs(61)), REST);
    }

    #[test]
    fn a_drain_after_its_deadline_closes_immediately_and_at_the_same_rate() {
        let (upstream, _guards) = upstream(2000);
        let since = Instant::now();
        upstream.nodes()[0].set_drain(DrainCause::Ordered, true, since);
        let staying = look(&upstream, since, (0, 100));
        assert!(staying[0] < 2000);
        for (look, staying) in staying.iter().enumerate() {
            assert!(2000 - staying <= look + 2, "{staying} after {look} looks");
        }
        assert!(staying[999] <= 1000, "it goes on behind the deadline: {}", staying[999]);
    }

    #[test]
    fn two_nodes_share_the_pace() {
        let (upstream, _a) = upstream(50);
        let roster = upstream.nodes()[1].roster();
        let _b: Vec<RosterGuard> = (0..50).map(|_| roster.enter(Identity::unknown())).collect();
        let since = Instant::now();
        for node in upstream.nodes() {
            node.set_drain(DrainCause::Ordered, true, since);
        }
        assert_eq!(look(&upstream, since, (49, 55)).last(), Some(&0), "one after the other");
        assert!(roster.staying() >= 38, "{}", roster.staying());
        look(&upstream, since, (55, 60));
        assert_eq!(roster.staying(), 0);
    }

    #[test]
    fn a_drain_that_is_called_off_closes_nothing_more() {
        let (upstream, _guards) = upstream(100);
        let node = &upstream.nodes()[0];
        let since = Instant::now();
        node.set_drain(DrainCause::Ordered, true, since);
        let left = *look(&upstream, since, (50, 53)).last().unwrap();
        assert!(left < 100);
        node.set_drain(DrainCause::Ordered, false, since + Duration::from_secs(53));
        assert_eq!(look(&upstream, since, (53, 70)).last(), Some(&left));
        assert_eq!(upstream.draining(node, since), None);
    }

    #[test]
    fn a_shorter_timeout_counts_at_once_and_a_node_that_left_is_emptied_too() {
        let (before, _guards) = upstream(100);
        let mut settings = before.settings().clone();
        settings.nodes.remove(0);
        settings.drain.timeout = Duration::from_secs(10);
        let now = Instant::now();
        let after = Upstream::new(&settings, Some(&before));
        after.enact(now);
        let left = before.nodes()[0].clone();
        let draining = after.draining(&left, now).unwrap();
        assert_eq!(draining.causes, [DrainCause::Left]);
        assert!(draining.until <= now + Duration::from_secs(10));
        assert!(draining.closing_at <= now);
        for look in 0..110 {
            advance(&after, now + look * TICK);
        }
        assert_eq!(left.roster().staying(), 0);
        let later = Upstream::new(&settings, Some(&after));
        assert!(Arc::ptr_eq(&later.retired()[0].node, &left), "its tunnels have yet to end");
    }

    #[test]
    fn a_node_is_empty_after_two_quiet_seconds() {
        let (upstream, guards) = upstream(1);
        let node = &upstream.nodes()[0];
        let since = Instant::now();
        node.set_drain(DrainCause::Ordered, true, since);
        let is_empty = |upstream: &Upstream, seconds| {
            let now = since + Duration::from_secs(seconds);
            advance(upstream, now);
            upstream.draining(node, now).unwrap().is_empty
        };
        assert!(!is_empty(&upstream, 5));
        drop(guards);
        assert!(!is_empty(&upstream, 6));
        let poll = upstream.lease_on(node);
        assert!(!is_empty(&upstream, 7));
        drop(poll);
        assert!(!is_empty(&upstream, 8));
        assert!(is_empty(&upstream, 9));
    }

    #[test]
    fn a_node_that_drains_again_soon_is_not_empty_from_before() {
        let (upstream, guards) = upstream(0);
        let node = &upstream.nodes()[0];
        let since = Instant::now();
        let at = |seconds| since + Duration::from_secs(seconds);
        node.set_drain(DrainCause::Ordered, true, since);
        advance(&upstream, since);
        advance(&upstream, at(3));
        assert!(upstream.draining(node, at(3)).unwrap().is_empty);

        node.set_drain(DrainCause::Ordered, false, at(4));
        node.set_drain(DrainCause::Ordered, true, at(4) + TICK);
        assert!(!upstream.draining(node, at(5)).unwrap().is_empty);
        advance(&upstream, at(5));
        assert!(!upstream.draining(node, at(6)).unwrap().is_empty);
        advance(&upstream, at(8));
        assert!(upstream.draining(node, at(8)).unwrap().is_empty);
        drop(guards);
    }
}
