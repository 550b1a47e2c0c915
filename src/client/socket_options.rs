//! What the kernel is told of a socket, so that it finds a host that is gone although no byte is
//! sent, and keeps no megabytes for one that does not read.
//!
//! Runs for every request.

use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

/// Options that a listening socket hands on to those that it accepts (tcp(7), socket(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketOptions {
    /// A host that is silent for this long is asked whether it is there; in whole seconds.
    pub keepalive_time: Duration,
    /// How long each of its [`PROBES`] chances to answer is; in whole seconds, at least one.
    pub keepalive_interval: Duration,
    /// The bytes that the kernel takes before it has sent those before them. Without a bound
    /// megabytes hide there for each slow reader, and a write tells of progress only in steps of half
    /// a minute.
    pub unsent_bytes_max: u32,
}

impl SocketOptions {
    /// Sets them all. A system that lacks one does without.
    pub fn set_on(&self, socket: &SockRef<'_>) {
        let _ = socket.set_tcp_notsent_lowat(self.unsent_bytes_max);
        let probes = TcpKeepalive::new()
            .with_time(self.keepalive_time)
            .with_interval(self.keepalive_interval.max(Duration::from_secs(1)))
            .with_retries(PROBES);
        let _ = socket.set_tcp_keepalive(&probes);
    }
}

impl Default for SocketOptions {
    /// What a tunnel by its default limits needs, so that nothing is left to set on its socket.
    fn default() -> Self {
        Self {
            keepalive_time: Duration::from_secs(25),
            keepalive_interval: Duration::from_secs(5),
            unsent_bytes_max: 64 * 1024,
        }
    }
}

/// How often a silent host is asked.
pub const PROBES: u32 = 4;
