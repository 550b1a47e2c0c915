//! How many files and sockets this process may open (`RLIMIT_NOFILE`), and how many clients this limit
//! and the memory allow.
//!
//! Runs at start, at reload, or on a timer.

pub(crate) mod memory;

use std::net::TcpListener;
use std::os::fd::AsRawFd;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit as far as the system allows without privileges: it is low by default only for old
/// programs that cannot use large numbers. If the system refuses, the limit stays.
pub(crate) fn raise() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

/// The limit. `None` for no limit.
pub(crate) fn max() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// How many clients this limit allows: each uses one descriptor, and one for its node.
pub(crate) fn clients_by_descriptors() -> usize {
    clients_for(max())
}

/// How many clients the memory allows.
pub(crate) fn clients_by_memory() -> usize {
    memory::clients_for(memory::max()).clamp(CLIENTS_MIN, CLIENTS_MAX)
}

/// How many clients descriptors and memory allow.
pub(crate) fn clients_max() -> usize {
    clients_by_descriptors().min(clients_by_memory())
}

/// The last descriptors, which are kept for connections to nodes, lookups and operators when clients
/// have taken all others: because `max_connections` is higher than the descriptors allow, or because
/// each client of HTTP/2 has many requests open.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reserve {
    /// The lowest of them.
    first: u64,
    size: u64,
}

impl Reserve {
    /// The reserve within the limit that is in force.
    pub(crate) fn new() -> Self {
        max().map_or_else(Self::none, Self::of)
    }

    /// No reserve.
    pub(crate) fn none() -> Self {
        Self { first: u64::MAX, size: 0 }
    }

    fn of(descriptors: u64) -> Self {
        let size = (left_over(descriptors) / 2).min(descriptors / 4);
        Self { first: descriptors - size, size }
    }

    /// How many they are.
    pub(crate) fn size(&self) -> usize {
        usize::try_from(self.size).unwrap_or(usize::MAX)
    }

    /// Whether `socket` has one of them. The system gives the lowest number that is free, so that all
    /// others are taken then.
    pub(crate) fn contains(&self, socket: &impl AsRawFd) -> bool {
        u64::try_from(socket.as_raw_fd()).is_ok_and(|number| number >= self.first)
    }

    /// Whether the next socket would have one of them.
    pub(crate) fn is_needed_for_next(&self, any: &TcpListener) -> bool {
        any.try_clone().map_or(true, |probe| self.contains(&probe))
    }
}

/// What is for idle connections to nodes, listeners, files, and operators.
fn left_over(descriptors: u64) -> u64 {
    descriptors / 16 + RESERVED
}

fn clients_for(descriptors: Option<u64>) -> usize {
    let descriptors = descriptors.unwrap_or(u64::MAX);
    let clients = descriptors.saturating_sub(left_over(descriptors)) / 2;
    usize::try_from(clients).unwrap_or(usize::MAX).clamp(CLIENTS_MIN, CLIENTS_MAX)
}

/// Descriptors of the process itself, with the connections of the admin listener.
const RESERVED: u64 = 64;

/// The minimum, for limits that are too low for a server.
const CLIENTS_MIN: usize = 16;

/// The maximum without limits: so many idle WebSockets use about 10 GB, most of it in the kernel.
const CLIENTS_MAX: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_has_two_descriptors_and_some_are_reserved() {
        let check = |descriptors: Option<u64>, expected: usize| {
            assert_eq!(clients_for(descriptors), expected, "{descriptors:?}");
        };
        check(Some(0), CLIENTS_MIN);
        check(Some(128), 28);
        check(Some(1024), 448);
        check(Some(1 << 20), 491_488);
        check(Some(u64::MAX), CLIENTS_MAX);
        check(None, CLIENTS_MAX);
    }

    #[test]
    fn a_part_of_what_clients_leave_over_is_for_nodes_alone() {
        for (descriptors, first) in [(64, 48), (128, 96), (1024, 960), (1 << 20, 1_015_776)] {
            let reserve = Reserve::of(descriptors);
            assert_eq!(reserve.first, first, "{descriptors}");
            assert_eq!(reserve.size() as u64, descriptors - first);
            let clients = clients_for(Some(descriptors)) as u64;
            assert!(clients == CLIENTS_MIN as u64 || 2 * clients < first, "{descriptors}");
        }
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(!Reserve::none().contains(&socket) && !Reserve::none().is_needed_for_next(&socket));
        let all = Reserve { first: 0, size: 0 };
        assert!(all.contains(&socket) && all.is_needed_for_next(&socket));
    }
}
