//! A node's state, as operators see it.
//!
//! Runs at start, at reload, or on a timer.

use crate::Instant;
use crate::upstream::{Node, Upstream};

/// The state of a node. If several apply, the last of this list is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeState {
    /// It gets its full share of new sessions.
    Up,
    /// It was added or came back, and does not get its full share yet.
    Starting,
    /// It has as many connections as `max_connections` allows.
    Full,
    /// Its last connect failed.
    Unreachable,
    /// Its clients' handshakes failed.
    Ejected,
    /// Its checks fail.
    Unhealthy,
    /// Consecutive connects failed, so that nothing waits for it.
    Dead,
    /// It is being emptied.
    Draining,
    /// The time of its sessions is over.
    Drained,
}

impl NodeState {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Up,
        Self::Starting,
        Self::Full,
        Self::Unreachable,
        Self::Ejected,
        Self::Unhealthy,
        Self::Dead,
        Self::Draining,
        Self::Drained,
    ];

    /// The word for the admin listener and metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Starting => "starting",
            Self::Full => "full",
            Self::Unreachable => "unreachable",
            Self::Ejected => "ejected",
            Self::Unhealthy => "unhealthy",
            Self::Dead => "dead",
            Self::Draining => "draining",
            Self::Drained => "drained",
        }
    }

    /// Whether a node of this state gets new sessions.
    pub fn takes_sessions(self) -> bool {
        match self {
            Self::Up | Self::Starting => true,
            Self::Full
            | Self::Unreachable
            | Self::Ejected
            | Self::Unhealthy
            | Self::Dead
            | Self::Draining
            | Self::Drained => false,
        }
    }
}

impl Upstream {
    /// The state of `node`, one of this upstream's.
    pub fn state(&self, node: &Node, now: Instant) -> NodeState {
        match self.drained_at(node) {
            Some(end) if end <= now => return NodeState::Drained,
            Some(_) => return NodeState::Draining,
            None => (),
        }
        if self.is_dead(node, now) {
            NodeState::Dead
        } else if node.is_failing() {
            NodeState::Unhealthy
        } else if node.ejected_until(now).is_some() {
            NodeState::Ejected
        } else if node.failed_at().is_some() || node.host().is_unresolved() {
            NodeState::Unreachable
        } else if !self.has_room(node) {
            NodeState::Full
        } else if self.share(node, now) < 1.0 {
            NodeState::Starting
        } else {
            NodeState::Up
        }
    }

    /// Why `node` is in this state; `None` if there is nothing to say.
    pub fn reason(&self, node: &Node, state: NodeState, now: Instant) -> Option<String> {
        match state {
            NodeState::Up if !node.is_backup() => None,
            NodeState::Up if self.needs_backups(now) => Some("backup, in use".to_owned()),
            NodeState::Up => Some("backup, not needed now".to_owned()),
            NodeState::Starting => {
                Some(format!("it gets {:.0} % of its share", self.share(node, now) * 100.0))
            }
            NodeState::Full => {
                let max = self.settings.max_connections?;
                Some(format!("it has {} connections of {max}", self.taken(node)))
            }
            NodeState::Unreachable => match node.host().failure() {
                Some(failure) if node.host().is_unresolved() => {
                    Some(format!("its name does not resolve: {failure}"))
                }
                Some(_) | None => Some("its last connect failed".to_owned()),
            },
            NodeState::Dead => Some("its connects fail".to_owned()),
            NodeState::Ejected => {
                let left = node.ejected_until(now)?.saturating_duration_since(now);
                let seconds = left.as_secs_f64().ceil();
                Some(format!("handshakes failed, {seconds} s more"))
            }
            NodeState::Unhealthy => {
                node.health().verdict().reason().map(|reason| (*reason).to_owned())
            }
            NodeState::Draining | NodeState::Drained => {
                let causes: Vec<&str> = node.drain_causes().map(|cause| cause.label()).collect();
                Some(causes.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use super::*;
    use crate::upstream::DrainCause;
    use crate::upstream::settings::{NodeAddress, NodeSettings, Settings};

    #[test]
    fn the_state_that_says_most_is_shown() {
        let address = NodeAddress { host: "10.0.0.1".into(), port: 3000 };
        let settings = Settings::new("chat", vec![NodeSettings::new("n1", address)]);
        let upstream = Upstream::new(&settings, None);
        let node = &upstream.nodes()[0];
        let now = Instant::now() + Duration::from_mins(1);
        let check = |label: &str, reason: Option<&str>| {
            let state = upstream.state(node, now);
            assert_eq!(state.label(), label);
            assert_eq!(upstream.reason(node, state, now).as_deref(), reason);
            assert_eq!(state.takes_sessions(), upstream.is_well(node, now), "{label}");
        };
        check("up", None);
        node.availability().begin_slow_start(now - Duration::from_secs(4));
        check("starting", Some("it gets 40 % of its share"));
        node.connect_failures().failed(now, now);
        check("unreachable", Some("its last connect failed"));
        node.availability().eject(now + Duration::from_millis(4500));
        check("ejected", Some("handshakes failed, 5 s more"));
        node.availability().set_failing(true, now);
        check("unhealthy", None);
        node.set_drain(DrainCause::Ordered, true, now - Duration::from_secs(1));
        node.set_drain(DrainCause::Asked, true, now);
        check("draining", Some("ordered, asked"));
        let end = upstream.drained_at(node).unwrap();
        assert_eq!(upstream.state(node, end), NodeState::Drained);
    }

    #[test]
    fn a_node_without_room_is_full() {
        let address = NodeAddress { host: "10.0.0.1".into(), port: 3000 };
        let mut settings = Settings::new("chat", vec![NodeSettings::new("n1", address)]);
        settings.max_connections = NonZeroU32::new(2);
        let upstream = Upstream::new(&settings, None);
        let node = &upstream.nodes()[0];
        let now = Instant::now();
        let _first = upstream.lease_on(node);
        assert_eq!(upstream.state(node, now), NodeState::Up);
        let second = upstream.lease_on(node);
        let state = upstream.state(node, now);
        assert_eq!((state.label(), state.takes_sessions()), ("full", false));
        let reason = upstream.reason(node, state, now);
        assert_eq!(reason.as_deref(), Some("it has 2 connections of 2"));
        drop(second);
        assert_eq!(upstream.state(node, now), NodeState::Up);
    }

    #[test]
    fn a_node_with_consecutive_failed_connects_is_dead() {
        let address = NodeAddress { host: "10.0.0.1".into(), port: 3000 };
        let settings = Settings::new("chat", vec![NodeSettings::new("n1", address)]);
        let upstream = Upstream::new(&settings, None);
        let node = &upstream.nodes()[0];
        let now = Instant::now();
        let at = |millis| now + Duration::from_millis(millis);
        for millis in [0, 2, 4] {
            node.connect_failures().failed(at(millis), at(millis + 1));
        }
        assert_eq!(upstream.state(node, at(5)), NodeState::Dead);
        node.connected();
        assert_eq!(upstream.state(node, at(5)).label(), "starting");
    }
}
