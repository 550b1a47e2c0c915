//! What a handshake tells of a session's timing and size.
//!
//! Runs for every request.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The numbers of an open packet (`pingInterval`, `pingTimeout`, `maxPayload`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timings {
    /// How often the heartbeat goes.
    pub ping_interval: Duration,
    /// How long the other side may take to answer it.
    pub ping_timeout: Duration,
    /// The longest payload that the node takes, in bytes as on the wire. EIO=3 servers do not
    /// announce one and have a limit of 100 MB.
    pub payload_bytes_max: u64,
}

impl Timings {
    /// Engine.IO's defaults: what holds before any open packet was seen.
    pub const DEFAULT: Self = Self {
        ping_interval: Duration::from_secs(25),
        ping_timeout: Duration::from_secs(20),
        payload_bytes_max: u64::MAX,
    };

    /// The limit of a node that does not announce one.
    pub const PAYLOAD_BYTES_UNANNOUNCED: u64 = 100_000_000;

    /// After this long without a sign of life, both ends of a session have given it up
    /// (`pingInterval + pingTimeout` and a margin for the network).
    pub fn silence_max(&self) -> Duration {
        self.ping_interval + self.ping_timeout + MARGIN
    }
}

/// On top of `pingInterval + pingTimeout`: the ends' own timers fire first, so that the end of a
/// session is theirs to explain.
const MARGIN: Duration = Duration::from_secs(5);

/// The timings that a node's handshakes last told, shared by all that talk to the node.
///
/// The three numbers are stored one by one: a reader may see two handshakes mixed, which does no
/// harm, for a node says the same in all of them.
#[derive(Debug)]
pub struct Learned {
    ping_interval_millis: AtomicU64,
    ping_timeout_millis: AtomicU64,
    payload_bytes_max: AtomicU64,
}

impl Default for Learned {
    fn default() -> Self {
        let learned = Self {
            ping_interval_millis: AtomicU64::new(0),
            ping_timeout_millis: AtomicU64::new(0),
            payload_bytes_max: AtomicU64::new(0),
        };
        learned.set(Timings::DEFAULT);
        learned
    }
}

impl Learned {
    /// The timings of the last open packet, or [`Timings::DEFAULT`].
    pub fn timings(&self) -> Timings {
        Timings {
            ping_interval: Duration::from_millis(self.ping_interval_millis.load(Ordering::Relaxed)),
            ping_timeout: Duration::from_millis(self.ping_timeout_millis.load(Ordering::Relaxed)),
            payload_bytes_max: self.payload_bytes_max.load(Ordering::Relaxed),
        }
    }

    /// The timings of the last open packet, if one was seen.
    pub fn told(&self) -> Option<Timings> {
        Some(self.timings()).filter(|timings| *timings != Timings::DEFAULT)
    }

    /// Takes over what an open packet said.
    pub fn set(&self, timings: Timings) {
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        self.ping_interval_millis.store(millis(timings.ping_interval), Ordering::Relaxed);
        self.ping_timeout_millis.store(millis(timings.ping_timeout), Ordering::Relaxed);
        self.payload_bytes_max.store(timings.payload_bytes_max, Ordering::Relaxed);
    }
}
