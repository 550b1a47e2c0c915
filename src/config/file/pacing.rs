//! The keys of `admission:`, `drain:` and `rebalance:`.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::num::NonZeroU32;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::form::Form;
use crate::form::section::{Pass, Section, key};
use crate::upstream::settings;
use crate::yaml::RawScalar;

/// How new sessions are rate-limited and how long they wait.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Admission {
    /// How many new sessions may start per second in total, through this process.
    #[schemars(extend("x-accepts" = HANDSHAKES.accepts()))]
    pub(crate) handshakes_per_second: Option<RawScalar>,
    /// How many new sessions may start per second on each node, through this process.
    #[schemars(extend("x-accepts" = HANDSHAKES.accepts()))]
    pub(crate) node_handshakes_per_second: Option<RawScalar>,
    /// How many new sessions may start at the same time after a pause. `auto`: as many as per
    /// second.
    #[schemars(extend("x-accepts" = BURST.accepts()))]
    pub(crate) burst: Option<RawScalar>,
    /// How long a handshake waits for a node or for its turn.
    ///
    /// Then it gets 503. Clients abandon a handshake after 20s.
    #[schemars(extend("x-accepts" = HOLD.accepts()))]
    pub(crate) hold: Option<RawScalar>,
    /// How many handshakes may wait.
    ///
    /// Further handshakes get 503 immediately.
    #[schemars(extend("x-accepts" = QUEUE.accepts()))]
    pub(crate) queue: Option<RawScalar>,
}

/// How a node is drained.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Drain {
    /// How long the sessions of a draining node may continue.
    ///
    /// Then its WebSockets are closed (1012), and requests of its sessions get 503.
    #[schemars(extend("x-accepts" = DRAIN_TIMEOUT.accepts()))]
    pub(crate) timeout: Option<RawScalar>,
    /// How many of its WebSockets are closed per second towards the end, the longest idle first.
    ///
    /// Closing starts early enough to finish by the timeout.
    #[schemars(extend("x-accepts" = CLOSES.accepts()))]
    pub(crate) closes_per_second: Option<RawScalar>,
}

/// How idle WebSockets are moved to nodes with less load.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Rebalance {
    /// How far the load of a node relative to its weight may exceed that of another node.
    #[schemars(extend("x-accepts" = WITHIN.accepts()))]
    pub(crate) within: Option<RawScalar>,
    /// How many WebSockets are closed per second, the longest idle first.
    #[schemars(extend("x-accepts" = CLOSES.accepts()))]
    pub(crate) closes_per_second: Option<RawScalar>,
}

/// The values of `admission:`, which has one burst for both rates.
#[derive(Clone, Debug)]
pub(crate) struct Rates {
    rate: Option<NonZeroU32>,
    node_rate: Option<NonZeroU32>,
    burst: Option<NonZeroU32>,
    hold: Duration,
    queue_max: usize,
}

impl From<&settings::Admission> for Rates {
    fn from(admission: &settings::Admission) -> Self {
        let settings::Admission { rate, node_rate, hold, queue_max } = *admission;
        let written = [rate, node_rate].into_iter().flatten();
        Self {
            rate: rate.map(|rate| rate.per_second),
            node_rate: node_rate.map(|rate| rate.per_second),
            burst: written
                .map(|rate| (rate.per_second, rate.burst))
                .find_map(|(per_second, burst)| (burst != per_second).then_some(burst)),
            hold,
            queue_max,
        }
    }
}

impl From<Rates> for settings::Admission {
    fn from(rates: Rates) -> Self {
        let with_burst = |rate: Option<NonZeroU32>| {
            rate.map(|per_second| settings::Rate {
                per_second,
                burst: rates.burst.unwrap_or(per_second),
            })
        };
        let (rate, node_rate) = (with_burst(rates.rate), with_burst(rates.node_rate));
        Self { rate, node_rate, hold: rates.hold, queue_max: rates.queue_max }
    }
}

impl Section<Rates> for Admission {
    fn keys(&mut self, rates: &mut Rates, pass: &mut Pass<'_, '_>) {
        key!(pass, self.handshakes_per_second => rates.rate, HANDSHAKES);
        key!(pass, self.node_handshakes_per_second => rates.node_rate, HANDSHAKES);
        key!(pass, self.burst => rates.burst, BURST);
        key!(pass, self.hold => rates.hold, HOLD);
        key!(pass, self.queue => rates.queue_max, QUEUE);
    }
}

impl Section<settings::Drain> for Drain {
    fn keys(&mut self, drain: &mut settings::Drain, pass: &mut Pass<'_, '_>) {
        key!(pass, self.timeout => drain.timeout, DRAIN_TIMEOUT);
        key!(pass, self.closes_per_second => drain.closes_per_second, CLOSES);
    }
}

impl Section<settings::Rebalance> for Rebalance {
    fn keys(&mut self, rebalance: &mut settings::Rebalance, pass: &mut Pass<'_, '_>) {
        key!(pass, self.within => rebalance.within_percent, WITHIN);
        key!(pass, self.closes_per_second => rebalance.closes_per_second, CLOSES);
    }
}

const HANDSHAKES: Form<Option<NonZeroU32>, u32> =
    Form::optional_positive(&[("off", None)], 1..=1_000_000);
const BURST: Form<Option<NonZeroU32>, u32> =
    Form::optional_positive(&[("auto", None)], 1..=1_000_000);
/// Clients abandon a handshake after 20 s, and the node needs some of that.
const HOLD: Form<Duration> =
    Form::duration_or_off(Duration::from_millis(100)..=Duration::from_secs(15));
const QUEUE: Form<usize, u32> = Form::count(1..=1_000_000);
const DRAIN_TIMEOUT: Form<Duration> =
    Form::duration(Duration::from_secs(1)..=Duration::from_hours(24));
const CLOSES: Form<NonZeroU32, u32> = Form::positive(1..=100_000);
const WITHIN: Form<u32> = Form::percent(1..=100);
