//! Backup nodes: they get new sessions only while no other node can take one.
//!
//! "Can take one" leaves out nodes that drain, fail their checks, are ejected, unreachable or full, and
//! those that this request has tried. A used up rate is no reason: a handshake waits for its turn then.
//! A session that began on a backup stays there, as any session stays on its node.
//!
//! Runs for every request.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::admission::is_tried;
use super::{Node, Upstream};
use crate::Instant;

/// Which nodes new sessions go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tier {
    /// Those that are no backups.
    Primary,
    /// The backups.
    Backup,
}

impl Tier {
    /// Whether `node` is one of them.
    pub(super) fn has(self, node: &Node) -> bool {
        node.is_backup() == (self == Self::Backup)
    }
}

/// Whether the backups of an upstream are in use, as the log said last.
#[derive(Debug, Default)]
pub(super) struct BackupsInUse(AtomicBool);

impl Upstream {
    /// The nodes that a new session goes to which has `tried` these in vain.
    pub(super) fn tier(&self, tried: &[Arc<Node>], now: Instant) -> Tier {
        let is_able =
            |node: &Node| !node.is_backup() && self.is_open(node, now) && !is_tried(tried, node);
        match self.has_backups && !self.nodes.iter().any(|node| is_able(node)) {
            true => Tier::Backup,
            false => Tier::Primary,
        }
    }

    /// Whether new sessions go to backups, because no other node can take one.
    pub fn needs_backups(&self, now: Instant) -> bool {
        self.tier(&[], now) == Tier::Backup
    }

    /// Logs it when backups begin to be needed, and when they no longer are. Without checks, a node that
    /// accepts no connection is tried again and again: until one succeeds, backups still are.
    pub(crate) fn follow_backups(&self, now: Instant) {
        let was_needed = self.shared.backups_in_use.0.load(Ordering::Relaxed);
        let is_needed = self.needs_backups(now)
            || (was_needed
                && !self.nodes.iter().any(|node| {
                    !node.is_backup() && self.is_open(node, now) && node.failed_at().is_none()
                }));
        if self.shared.backups_in_use.0.swap(is_needed, Ordering::Relaxed) == is_needed {
            return;
        }
        let upstream = self.name();
        if is_needed {
            let backups = self.nodes.iter().filter(|node| node.is_backup());
            let backups = backups.map(|node| &**node.name()).collect::<Vec<_>>().join(" ");
            tracing::warn!(%upstream, backups, "no other node takes new sessions: backups are in use");
        } else {
            tracing::info!(%upstream, "backups are no longer needed");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::super::settings::{Admission, Balance, NodeSettings, RendezvousKey, Settings};
    use super::super::{AdmissionToken, DrainCause, Lease, NodePreference, Wait};
    use super::*;
    use crate::rate::Rate;
    use crate::upstream::tests::node_settings;

    /// `a` and `b`, and the backup `c`.
    fn settings() -> Settings {
        let backup = NodeSettings { backup: true, ..node_settings("c", 1) };
        Settings::new("chat", vec![node_settings("a", 1), node_settings("b", 1), backup])
    }

    fn opened(upstream: &Upstream, preference: &NodePreference) -> Lease {
        upstream.admit(preference, &[], AdmissionToken::Due, Instant::now()).unwrap()
    }

    fn name(lease: &Lease) -> &str {
        lease.node().name()
    }

    #[test]
    fn a_backup_serves_new_sessions_only_while_no_other_node_can() {
        let by_key = Balance::Rendezvous(RendezvousKey::Address);
        for balance in [Balance::LeastConnections, Balance::RandomTwo, Balance::RoundRobin, by_key]
        {
            let upstream = Upstream::new(&Settings { balance, ..settings() }, None);
            let [a, b, _] = upstream.nodes() else { panic!("three nodes") };
            let preferences = (0..20_u8)
                .map(|client| NodePreference { order: Vec::new(), key: Some(Box::new([client])) });
            let all = |preferences: &mut dyn Iterator<Item = NodePreference>| {
                preferences.map(|key| name(&opened(&upstream, &key)).to_owned()).collect::<String>()
            };
            assert!(!all(&mut preferences.clone()).contains('c'));
            a.availability().set_failing(true, Instant::now());
            assert_eq!(all(&mut preferences.clone()), "b".repeat(20));
            b.set_drain(DrainCause::Ordered, true, Instant::now());
            assert!(upstream.needs_backups(Instant::now()));
            assert_eq!(all(&mut preferences.clone()), "c".repeat(20));
            a.availability().set_failing(false, Instant::now());
            assert_eq!(all(&mut preferences.clone()), "a".repeat(20));
        }
    }

    #[test]
    fn a_backup_serves_while_all_others_are_full_and_not_while_their_rate_is_used_up() {
        let upstream =
            Upstream::new(&Settings { max_connections: NonZeroU32::new(1), ..settings() }, None);
        let any = NodePreference::default();
        let tunnels = [(); 3].map(|()| opened(&upstream, &any).into_tunnel());
        assert_eq!(name(&tunnels[2]), "c");

        let node_rate = Some(Rate { per_second: NonZeroU32::MIN, burst: NonZeroU32::MIN });
        let admission = Admission { node_rate, ..Admission::default() };
        let upstream = Upstream::new(&Settings { admission, ..settings() }, None);
        let _sessions = [(); 2].map(|()| opened(&upstream, &any));
        let third = upstream.admit(&any, &[], AdmissionToken::Due, Instant::now()).unwrap_err();
        assert!(matches!(third, Wait::ForTurn(_)), "{third:?}");
    }

    #[test]
    fn backups_are_in_use_until_another_node_accepts_a_connection() {
        let upstream = Upstream::new(&settings(), None);
        let in_use = |now| {
            upstream.follow_backups(now);
            upstream.shared.backups_in_use.0.load(Ordering::Relaxed)
        };
        let begun = Instant::now();
        assert!(!in_use(begun));
        let [a, b, _] = upstream.nodes() else { panic!("three nodes") };
        for node in [a, b] {
            node.connect_failures().failed(begun, begun);
        }
        assert!(in_use(begun));
        // The next new session tries one of them again.
        let later = begun + std::time::Duration::from_secs(3600);
        assert!(!upstream.needs_backups(later));
        assert!(in_use(later));
        a.connected();
        assert!(!in_use(later));
    }

    #[test]
    fn a_backup_is_not_likely_before_it_is_needed() {
        let upstream = Upstream::new(&settings(), None);
        let shown = || {
            let outlook = upstream.outlook(&NodePreference::default(), Instant::now());
            let shown = outlook.iter().map(|(node, is_likely)| (node.is_backup(), *is_likely));
            shown.collect::<Vec<_>>()
        };
        assert_eq!(shown(), [(false, true), (false, true), (true, false)]);
        for node in &upstream.nodes()[..2] {
            node.set_drain(DrainCause::Ordered, true, Instant::now());
        }
        assert_eq!(shown(), [(true, true), (false, false), (false, false)]);
    }

    #[test]
    fn a_request_that_has_tried_all_others_goes_to_a_backup() {
        let upstream = Upstream::new(&settings(), None);
        let [a, b, c] = upstream.nodes() else { panic!("three nodes") };
        let tried = [a.clone(), b.clone()];
        let any = NodePreference::default();
        assert_eq!(name(&upstream.lease(&any, &tried, Instant::now()).unwrap()), "c");
        assert!(!upstream.needs_backups(Instant::now()));

        // The cookie of a client that is there; a key would have its order end with backups.
        let there = NodePreference { order: vec![c.clone()], key: None };
        assert_eq!(name(&upstream.lease(&there, &[], Instant::now()).unwrap()), "c");
        let by_key = NodePreference { order: vec![a.clone(), c.clone()], key: None };
        a.availability().set_failing(true, Instant::now());
        assert_eq!(name(&upstream.lease(&by_key, &[], Instant::now()).unwrap()), "b");
    }
}
