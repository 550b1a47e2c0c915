//! The limits of a tunnel: what it may cost, how long it may be silent, and how its sides may
//! behave.
//!
//! Runs at start, at reload, or on a timer.

use std::time::Duration;

use super::keepalive::Demand;
use super::{Protocol, Side};

/// The limits of one tunnel; a route's `tunnel:` section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Without a byte in either direction for this long the tunnel is closed.
    pub idle_timeout: IdleTimeout,
    /// Without a message in either direction for this long the tunnel is closed, whatever else
    /// passes: WebSocket's control frames and Engine.IO's ping and pong are no messages. `None`:
    /// never.
    pub idle_messages: Option<Duration>,
    /// Whether quiet sides are asked for a sign of life.
    pub keepalive: Keepalive,
    /// How long a message of a client may be.
    pub message_max: MessageMax,
    /// How many messages a client may send each second on average, with as many at once; at least
    /// 1. `None`: any number.
    pub messages_per_second: Option<u32>,
    /// How many Pings, Closes, empty fragments and Pongs that answer nothing a client may send each
    /// second on average, with as many at once; at least 1. `None`: any number.
    pub control_frames_per_second: Option<u32>,
    /// A client that takes next to nothing for this long while bytes wait for it is cut off.
    pub stalled_client: StalledClient,
    /// No tunnel gets older; each ends at a random moment of the last tenth. `None`: any age.
    pub max_age: Option<Duration>,
    /// The bytes kept for each direction when the other side does not take them; then reading
    /// stops.
    pub buffer_bytes: usize,
}

/// When a silent tunnel is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdleTimeout {
    /// As the session's own handshake says (`pingInterval + pingTimeout` and a margin); where that
    /// is not known, and for tunnels that are not Engine.IO's, [`Limits::PLAIN_IDLE_TIMEOUT`].
    Auto,
    /// After this long, whatever the handshake says.
    After(Duration),
    /// Never.
    Off,
}

/// Whether quiet sides get Pings of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keepalive {
    /// At [`KeepaliveTimes::default`] where no Engine.IO does the same already. A side is lost
    /// when its host does not acknowledge a Ping, which the kernel finds out.
    Auto,
    /// On all tunnels.
    On(KeepaliveTimes),
    /// Never.
    Off,
}

/// When a quiet side gets a Ping, and when it is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepaliveTimes {
    /// A side from which nothing came for this long gets a Ping.
    pub every: Duration,
    /// And if nothing comes for this long then, it is lost.
    pub lost_after: Duration,
}

/// How long a client may take next to nothing of what waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StalledClient {
    /// [`Limits::ENGINEIO_STALLED_CLIENT`] for Engine.IO sessions, whose clients answer heartbeats,
    /// [`Limits::PLAIN_STALLED_CLIENT`] for other tunnels, whose clients may pause.
    Auto,
    /// So long.
    After(Duration),
}

/// How long a message of a client may be, all its frames together, as on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageMax {
    /// 100 MiB, the default of Node's `ws`. The `maxPayload` of an open packet is no measure: it
    /// bounds the payloads of polling, and messages of WebSockets on some servers only.
    Auto,
    /// So many bytes.
    Bytes(u64),
    /// Any.
    Off,
}

impl Limits {
    /// `idle_timeout: auto` for plain WebSockets, and for sessions whose heartbeat is not known.
    pub const PLAIN_IDLE_TIMEOUT: Duration = Duration::from_secs(300);

    /// A node that takes nothing for this long is stuck, not busy. While it does not read, its
    /// client is not read either, and nobody would notice that the client has gone.
    pub const STALLED_NODE: Duration = Duration::from_secs(60);

    /// `stalled_client: auto` of Engine.IO sessions.
    pub const ENGINEIO_STALLED_CLIENT: Duration = Duration::from_secs(20);

    /// `stalled_client: auto` of plain WebSockets.
    pub const PLAIN_STALLED_CLIENT: Duration = Duration::from_secs(120);

    /// What `stalled_client` means for a tunnel of this protocol.
    pub(super) fn stalled_client(&self, protocol: &Protocol) -> Duration {
        match (self.stalled_client, protocol) {
            (StalledClient::After(timeout), _) => timeout,
            (StalledClient::Auto, Protocol::EngineIo { .. }) => Self::ENGINEIO_STALLED_CLIENT,
            (StalledClient::Auto, Protocol::Plain | Protocol::Unknown) => {
                Self::PLAIN_STALLED_CLIENT
            }
        }
    }

    /// When a quiet side gets a Ping and is lost; the default where it gets none, or need not
    /// answer.
    pub fn keepalive_times(&self) -> KeepaliveTimes {
        match self.keepalive {
            Keepalive::On(times) => times,
            Keepalive::Auto | Keepalive::Off => KeepaliveTimes::default(),
        }
    }

    /// How long bytes to `side` may go unacknowledged, or its window stay closed, before the kernel
    /// fails its connection (RFC 5482; Linux counts both): longer than the tunnel's own timers
    /// take, so that an end has its right name.
    pub fn unacknowledged_max(&self, side: Side) -> Duration {
        let timeout = match side {
            // A slow client's window may stay closed for long between two reads.
            Side::Client => {
                let timeout = Self::PLAIN_STALLED_CLIENT.max(self.keepalive_times().lost_after);
                match self.stalled_client {
                    StalledClient::Auto => timeout,
                    StalledClient::After(stalled_client) => timeout.max(stalled_client),
                }
            }
            Side::Node => Self::STALLED_NODE,
        };
        timeout.saturating_add(MARGIN)
    }

    /// What a side must do about a Ping: one that only writes reads none.
    pub(super) fn demand(&self) -> Demand {
        match self.keepalive {
            Keepalive::On(_) => Demand::Answer,
            Keepalive::Auto | Keepalive::Off => Demand::Acknowledge,
        }
    }

    /// What `idle_timeout` means for a tunnel of this protocol, before its own open packet was
    /// seen.
    pub(super) fn idle_timeout(&self, protocol: &Protocol) -> Option<Duration> {
        match (self.idle_timeout, protocol) {
            (IdleTimeout::Off, _) => None,
            (IdleTimeout::After(timeout), _) => Some(timeout),
            (IdleTimeout::Auto, Protocol::EngineIo { silence_max: Some(silence_max), .. }) => {
                Some(*silence_max)
            }
            (
                IdleTimeout::Auto,
                Protocol::Plain | Protocol::Unknown | Protocol::EngineIo { silence_max: None, .. },
            ) => Some(Self::PLAIN_IDLE_TIMEOUT),
        }
    }

    /// What `keepalive` means for a tunnel of this protocol.
    pub(super) fn keepalive(&self, protocol: &Protocol) -> Option<KeepaliveTimes> {
        match (self.keepalive, protocol) {
            (_, Protocol::Unknown) => None,
            (Keepalive::On(times), _) => Some(times),
            (Keepalive::Auto, Protocol::Plain) => Some(KeepaliveTimes::default()),
            (Keepalive::Auto, Protocol::EngineIo { .. }) | (Keepalive::Off, _) => None,
        }
    }

    /// What `message_max` means.
    pub(super) fn message_bytes_max(&self) -> u64 {
        match self.message_max {
            MessageMax::Auto => 100 * 1024 * 1024,
            MessageMax::Bytes(bytes) => bytes,
            MessageMax::Off => u64::MAX,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            idle_timeout: IdleTimeout::Auto,
            idle_messages: None,
            keepalive: Keepalive::Auto,
            message_max: MessageMax::Auto,
            messages_per_second: None,
            // Libraries ping every few seconds, some games with each of 128 frames a second.
            control_frames_per_second: Some(200),
            stalled_client: StalledClient::Auto,
            max_age: None,
            buffer_bytes: 64 * 1024,
        }
    }
}

impl Default for KeepaliveTimes {
    fn default() -> Self {
        Self { every: Duration::from_secs(25), lost_after: Duration::from_secs(20) }
    }
}

/// So much later than the tunnel's own timers the kernel fails a connection.
const MARGIN: Duration = Duration::from_secs(10);
