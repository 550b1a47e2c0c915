//! The keys of `admission:`, `drain:` and `rebalance:`.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::ops::RangeInclusive;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::accepts::Accepts;
use crate::yaml::RawScalar;

/// How new sessions are rate-limited and how long they wait.
#[derive(Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Admission {
    /// How many new sessions may start per second in total, through this process.
    #[schemars(extend("x-accepts" = Accepts::number(&HANDSHAKES).or("off")))]
    pub(crate) handshakes_per_second: Option<RawScalar>,
    /// How many new sessions may start per second on each node, through this process.
    #[schemars(extend("x-accepts" = Accepts::number(&HANDSHAKES).or("off")))]
    pub(crate) node_handshakes_per_second: Option<RawScalar>,
    /// How many new sessions may start at the same time after a pause. `auto`: as many as per
    /// second.
    #[schemars(extend("x-accepts" = Accepts::number(&HANDSHAKES).or("auto")))]
    pub(crate) burst: Option<RawScalar>,
    /// How long a handshake waits for a node or for its turn.
    ///
    /// Then it gets 503. Clients abandon a handshake after 20s.
    #[schemars(extend("x-accepts" = Accepts::duration(&HOLD).or("off")))]
    pub(crate) hold: Option<RawScalar>,
    /// How many handshakes may wait.
    ///
    /// Further handshakes get 503 immediately.
    #[schemars(extend("x-accepts" = Accepts::number(&QUEUE)))]
    pub(crate) queue: Option<RawScalar>,
}

/// How a node is drained.
#[derive(Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Drain {
    /// How long the sessions of a draining node may continue.
    ///
    /// Then its WebSockets are closed (1012), and requests of its sessions get 503.
    #[schemars(extend("x-accepts" = Accepts::duration(&DRAIN_TIMEOUT)))]
    pub(crate) timeout: Option<RawScalar>,
    /// How many of its WebSockets are closed per second towards the end, the longest idle first.
    ///
    /// Closing starts early enough to finish by the timeout.
    #[schemars(extend("x-accepts" = Accepts::number(&CLOSES)))]
    pub(crate) closes_per_second: Option<RawScalar>,
}

/// How idle WebSockets are moved to nodes with less load.
#[derive(Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Rebalance {
    /// How far the load of a node relative to its weight may exceed that of another node.
    #[schemars(extend("x-accepts" = Accepts::percent(&WITHIN)))]
    pub(crate) within: Option<RawScalar>,
    /// How many WebSockets are closed per second, the longest idle first.
    #[schemars(extend("x-accepts" = Accepts::number(&CLOSES)))]
    pub(crate) closes_per_second: Option<RawScalar>,
}

pub(crate) const HANDSHAKES: RangeInclusive<u32> = 1..=1_000_000;
/// Clients abandon a handshake after 20 s, and the node needs some of that.
pub(crate) const HOLD: RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_secs(15);
pub(crate) const QUEUE: RangeInclusive<u32> = 1..=1_000_000;
pub(crate) const DRAIN_TIMEOUT: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_hours(24);
pub(crate) const CLOSES: RangeInclusive<u32> = 1..=100_000;
pub(crate) const WITHIN: RangeInclusive<u32> = 1..=100;
