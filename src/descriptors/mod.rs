//! How many files and sockets this process may have open at once (`RLIMIT_NOFILE`), and how many
//! clients that and its memory are enough for.
//!
//! Runs at start, at reload, or on a timer.

pub mod memory;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the bound as far as the system lets us without asking anybody: it is low for the sake of
/// old programs that cannot bear large numbers. Where that is refused it stays as it is.
pub fn raise() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

/// The bound; `None` is none.
pub fn max() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// How many clients may be connected at once under this bound: each takes one descriptor, and one to
/// its node.
pub fn clients_by_descriptors() -> usize {
    clients_of(max())
}

/// How many clients may be connected at once in the memory that there is.
pub fn clients_by_memory() -> usize {
    memory::clients_of(memory::max()).clamp(CLIENTS_MIN, CLIENTS_MAX)
}

/// How many clients may be connected at once, by descriptors and memory.
pub fn clients_max() -> usize {
    clients_by_descriptors().min(clients_by_memory())
}

fn clients_of(descriptors: Option<u64>) -> usize {
    let descriptors = descriptors.unwrap_or(u64::MAX);
    // What is left over is for connections to nodes that wait to be used again, for listeners, for
    // files, and for operators.
    let left_over = descriptors / 16 + RESERVED;
    let clients = descriptors.saturating_sub(left_over) / 2;
    usize::try_from(clients).unwrap_or(usize::MAX).clamp(CLIENTS_MIN, CLIENTS_MAX)
}

/// What the process itself takes, with the connections of the admin listener.
const RESERVED: u64 = 64;

/// Under a bound that is as good as none for a server.
const CLIENTS_MIN: usize = 16;

/// Where neither is bounded: so many idle WebSockets take some 10 GB, most of it in the kernel.
const CLIENTS_MAX: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_two_descriptors_for_each_client_and_some_left_over() {
        let check = |descriptors: Option<u64>, expected: usize| {
            assert_eq!(clients_of(descriptors), expected, "{descriptors:?}");
        };
        check(Some(0), CLIENTS_MIN);
        check(Some(128), 28);
        check(Some(1024), 448);
        check(Some(1 << 20), 491_488);
        check(Some(u64::MAX), CLIENTS_MAX);
        check(None, CLIENTS_MAX);
    }
}
