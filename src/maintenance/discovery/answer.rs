//! An answer of DNS as nodes, and the time until the next lookup.
//!
//! Nodes are sorted by name and each name occurs once, so that two answers with the same records are
//! equal, whatever their order.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::net::IpAddr;
use std::time::Duration;

use crate::upstream::settings::{NodeAddress, NodeSettings};

/// A good answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DnsAnswer {
    /// At least one and at most [`NODES_MAX`], sorted by name, each name once.
    pub(super) nodes: Vec<NodeSettings>,
    /// How long it is valid, as DNS says.
    pub(super) ttl: Duration,
}

/// An SRV record (RFC 2782).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Service {
    /// The lowest is used, the others are not.
    pub(super) priority: u16,
    /// Its share of new sessions.
    pub(super) weight: u16,
    /// A host name as it came, with or without a dot at the end.
    pub(super) target: String,
    /// Where it listens.
    pub(super) port: u16,
}

/// The nodes at `port` of these addresses.
pub(super) fn nodes_at(
    addresses: impl IntoIterator<Item = IpAddr>,
    port: u16,
) -> Vec<NodeSettings> {
    // Some resolvers answer with it for names that they block, and it would be this host.
    let addresses = addresses.into_iter().filter(|address| !address.is_unspecified());
    let node = |address: IpAddr| {
        let address = NodeAddress { host: address.to_string().into(), port };
        NodeSettings::new(&address.to_string(), address)
    };
    settled(addresses.map(node).collect())
}

/// The nodes of the records of the best priority. `address_of` knows the addresses of some targets;
/// the others are resolved when a connection is made.
pub(super) fn nodes_of(
    services: &[Service],
    address_of: impl Fn(&str) -> Option<IpAddr>,
) -> Vec<NodeSettings> {
    let mut nodes = Vec::new();
    let Some(best) = services.iter().map(|service| service.priority).min() else { return nodes };
    for service in services.iter().filter(|service| service.priority == best) {
        let target = service.target.to_ascii_lowercase();
        let target = target.strip_suffix('.').unwrap_or(&target);
        if service.port == 0 || !is_host(target) {
            continue;
        }
        let address = NodeAddress { host: target.into(), port: service.port };
        let name = address.to_string();
        let host = address_of(target).map_or(address.host, |known| known.to_string().into());
        let weight = u32::from(service.weight).clamp(1, WEIGHT_MAX);
        let address = NodeAddress { host, port: service.port };
        nodes.push(NodeSettings { weight, ..NodeSettings::new(&name, address) });
    }
    settled(nodes)
}

/// How long to wait after a good answer: as long as it says, from 1 s to `every`.
pub(super) fn wait_after_answer(ttl: Duration, every: Duration) -> Duration {
    ttl.min(every).max(WAIT_MIN)
}

/// How long to wait after `failures` consecutive failures: 1 s after the first and twice as
/// long after each, at most `every` or 30 s, whichever is less.
pub(super) fn wait_after_failure(failures: u32, every: Duration) -> Duration {
    let doublings = failures.saturating_sub(1).min(31);
    WAIT_MIN.saturating_mul(1 << doublings).min(every.min(RETRY_MAX)).max(WAIT_MIN)
}

/// Sorted, each name once, and not too many. Of two records with one name the heavier counts.
fn settled(mut nodes: Vec<NodeSettings>) -> Vec<NodeSettings> {
    nodes.sort_unstable_by(|one, other| {
        let key = |node: &NodeSettings| (node.name.clone(), std::cmp::Reverse(node.weight));
        let address = |node: &NodeSettings| node.address.to_string();
        key(one).cmp(&key(other)).then_with(|| address(one).cmp(&address(other)))
    });
    nodes.dedup_by(|one, other| one.name == other.name);
    nodes.truncate(NODES_MAX);
    nodes
}

/// Names go into logs and metrics. The target `.` means that there is no such service (RFC 2782).
fn is_host(target: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=HOST_BYTES_MAX).contains(&target.len()) && target.bytes().all(is_plain)
}

/// How many nodes an upstream takes from DNS: those that come first by their names, so that a
/// longer answer is at least the same each time.
pub(super) const NODES_MAX: usize = 1000;

/// As for nodes in the configuration.
const WEIGHT_MAX: u32 = 1000;

/// RFC 1035, section 2.3.4, as text without the last dot.
const HOST_BYTES_MAX: usize = 253;

/// No server is asked more often than that.
const WAIT_MIN: Duration = Duration::from_secs(1);

/// A server that is back is seen within this time.
const RETRY_MAX: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(nodes: &[NodeSettings]) -> Vec<String> {
        let show = |node: &NodeSettings| format!("{} {} {}", node.name, node.address, node.weight);
        nodes.iter().map(show).collect()
    }

    fn service(priority: u16, weight: u16, target: &str, port: u16) -> Service {
        Service { priority, weight, target: target.to_owned(), port }
    }

    #[test]
    fn each_address_is_a_node_whatever_the_order() {
        let check = |addresses: &[&str], expected: &[&str]| {
            let addresses = addresses.iter().map(|address| address.parse().unwrap());
            assert_eq!(shown(&nodes_at(addresses, 3000)), expected);
        };
        let both = ["10.0.0.1:3000 10.0.0.1:3000 1", "10.0.0.2:3000 10.0.0.2:3000 1"];
        check(&["10.0.0.2", "10.0.0.1"], &both);
        check(&["10.0.0.1", "10.0.0.2", "10.0.0.1"], &both);
        check(&["2001:db8::1"], &["[2001:db8::1]:3000 [2001:db8::1]:3000 1"]);
        check(&["0.0.0.0", "::"], &[]);
        check(&[], &[]);
    }

    #[test]
    fn of_several_priorities_the_best_is_used() {
        let services = [service(20, 1, "c", 1), service(10, 1, "b", 1), service(10, 1, "a", 1)];
        assert_eq!(shown(&nodes_of(&services, |_| None)), ["a:1 a:1 1", "b:1 b:1 1"]);
    }

    #[test]
    fn services_are_named_by_target_and_port() {
        let check = |services: &[Service], expected: &[&str]| {
            let address_of =
                |target: &str| (target == "known.test").then(|| "10.0.0.9".parse().unwrap());
            assert_eq!(shown(&nodes_of(services, address_of)), expected);
        };
        check(&[service(0, 5, "A.Test.", 3000)], &["a.test:3000 a.test:3000 5"]);
        check(&[service(0, 5, "known.test.", 3000)], &["known.test:3000 10.0.0.9:3000 5"]);
        check(
            &[service(0, 0, "a", 3001), service(0, 60_000, "a", 3000)],
            &["a:3000 a:3000 1000", "a:3001 a:3001 1"],
        );
        check(&[service(0, 3, "a", 1), service(0, 7, "A.", 1)], &["a:1 a:1 7"]);
        check(&[service(0, 1, ".", 1), service(0, 1, "a", 0), service(0, 1, "a\\000b", 1)], &[]);
        check(&[], &[]);
    }

    #[test]
    fn there_is_a_bound_and_what_is_within_it_stays() {
        let services = |from: usize| -> Vec<Service> {
            let numbers = (from..1500).chain(0..from);
            numbers.map(|number| service(0, 1, &format!("n{number:04}"), 1)).collect()
        };
        let nodes = nodes_of(&services(0), |_| None);
        assert_eq!(nodes.len(), NODES_MAX);
        assert_eq!(nodes, nodes_of(&services(700), |_| None));
    }

    #[test]
    fn the_ttl_counts_from_a_second_to_every() {
        let check = |ttl, every, expected| {
            let [ttl, every, expected] = [ttl, every, expected].map(Duration::from_secs);
            assert_eq!(wait_after_answer(ttl, every), expected);
        };
        check(0, 5, 1);
        check(1, 5, 1);
        check(3, 5, 3);
        check(300, 5, 5);
        check(0, 1, 1);
    }

    #[test]
    fn failures_are_retried_ever_more_seldom() {
        let check = |every: u64, expected: &[u64]| {
            let waits: Vec<u64> = (1..=expected.len() as u32)
                .map(|failures| wait_after_failure(failures, Duration::from_secs(every)).as_secs())
                .collect();
            assert_eq!(waits, expected, "every {every} s");
        };
        check(1, &[1, 1, 1]);
        check(5, &[1, 2, 4, 5, 5]);
        check(3600, &[1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(wait_after_failure(u32::MAX, Duration::from_secs(9)).as_secs(), 9);
    }
}
