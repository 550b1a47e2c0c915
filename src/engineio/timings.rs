//! What a handshake states about the timing and the size of its session.
//!
//! Pure. Runs for every request.

use std::time::Duration;

/// The numbers of an open packet (`pingInterval`, `pingTimeout`, `maxPayload`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timings {
    /// How often the heartbeat is sent.
    pub ping_interval: Duration,
    /// How long the other side may take to answer it.
    pub ping_timeout: Duration,
    /// The longest polling payload that the node takes, in bytes as on the wire.
    pub payload_bytes_max: u64,
}

impl Timings {
    /// `payload_bytes_max` of a node that does not announce one: EIO=3 servers do not, and most of
    /// them have a limit of 100 MB.
    pub const PAYLOAD_BYTES_UNANNOUNCED: u64 = 100_000_000;

    /// The timings of an open packet with these numbers: milliseconds, milliseconds, bytes.
    pub const fn from_millis(ping_interval: u64, ping_timeout: u64, max_payload: u64) -> Self {
        Self {
            ping_interval: Duration::from_millis(ping_interval),
            ping_timeout: Duration::from_millis(ping_timeout),
            payload_bytes_max: max_payload,
        }
    }

    /// The longest that a session with both ends alive is silent (`pingInterval + pingTimeout`).
    pub fn heartbeat(&self) -> Duration {
        self.ping_interval.saturating_add(self.ping_timeout)
    }

    /// After this long without any byte, both ends have given up the session: the heartbeat and a
    /// margin for the network.
    pub fn silence_max(&self) -> Duration {
        self.heartbeat().saturating_add(MARGIN)
    }
}

/// Added to `pingInterval + pingTimeout`, so that the timers of client and node fire first and they
/// can name the cause.
const MARGIN: Duration = Duration::from_secs(5);
