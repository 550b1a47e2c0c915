//! How many files and sockets this process may open (`RLIMIT_NOFILE`), and how many clients this limit
//! and the memory allow.
//!
//! Runs at start, at reload, or on a timer.

pub(crate) mod memory;

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

fn clients_for(descriptors: Option<u64>) -> usize {
    let descriptors = descriptors.unwrap_or(u64::MAX);
    // The rest is for idle connections to nodes, listeners, files, and operators.
    let left_over = descriptors / 16 + RESERVED;
    let clients = descriptors.saturating_sub(left_over) / 2;
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
}
