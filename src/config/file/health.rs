//! The keys of `health:`.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::ops::RangeInclusive;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::accepts::Accepts;
use crate::config::patterns;
use crate::config::schema::whole;
use crate::yaml::{Chosen, RawScalar, chosen};

/// How the health of the nodes is checked.
#[derive(Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("not" = { "required": ["engineio", "http"] }))]
pub(crate) struct Health {
    /// The path of an Engine.IO handshake, which the node must answer as Engine.IO does; a refusal
    /// such as 403 is a valid answer.
    ///
    /// The session is closed immediately.
    #[serde(deserialize_with = "chosen")]
    #[schemars(with = "String", extend(
        "pattern" = whole(patterns::CHECK_PATH), "x-type" = "path"
    ))]
    pub(crate) engineio: Option<Chosen<String>>,
    /// An HTTP request.
    #[serde(deserialize_with = "chosen")]
    #[schemars(with = "HttpCheck")]
    pub(crate) http: Option<Chosen<HttpCheck>>,
    /// How often a node is checked, plus or minus a tenth.
    #[schemars(extend("x-accepts" = Accepts::duration(&EVERY)))]
    pub(crate) every: Option<RawScalar>,
    /// How long a check may take.
    #[schemars(extend("x-accepts" = Accepts::duration(&TIMEOUT)))]
    pub(crate) timeout: Option<RawScalar>,
    /// How many consecutive failed checks make a node unhealthy.
    ///
    /// An unhealthy node gets no new session.
    #[schemars(extend("x-accepts" = Accepts::number(&CONSECUTIVE)))]
    pub(crate) fail: Option<RawScalar>,
    /// How many consecutive passed checks make a node healthy again.
    #[schemars(extend("x-accepts" = Accepts::number(&CONSECUTIVE)))]
    pub(crate) pass: Option<RawScalar>,
    /// How many consecutive failed client handshakes eject a node for a while: 5s, and longer each
    /// time. The failures must come from at least three client addresses.
    ///
    /// At most half of the nodes are ejected.
    #[schemars(extend("x-accepts" = Accepts::number(&EJECT_AFTER).or("off")))]
    pub(crate) eject_after: Option<RawScalar>,
}

/// An HTTP request and what its response must be.
#[derive(Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct HttpCheck {
    /// The path.
    #[schemars(extend(
        "pattern" = whole(patterns::CHECK_PATH_AND_QUERY), "x-type" = "path", "x-needed" = true
    ))]
    pub(crate) path: Option<String>,
    /// The `Host` of the request, a name or an address.
    ///
    /// Set it for servers that select an application by `Host`.
    #[schemars(extend("pattern" = whole(patterns::CHECK_HOST), "x-default" = "the node's address"))]
    pub(crate) host: Option<String>,
    /// The status codes of a passed check: one, or the first and the last.
    #[schemars(extend(
        "x-accepts" = Accepts::form("number, or two with `-` between them", patterns::STATUSES)
            .or_number(100, 599)
    ))]
    pub(crate) status: Option<RawScalar>,
    /// What the body must contain, in its first 64 KiB.
    #[schemars(length(min = 1))]
    pub(crate) body: Option<String>,
    /// What the body contains if the node wants to be drained; such a check counts neither as passed
    /// nor as failed.
    #[schemars(length(min = 1))]
    pub(crate) drain: Option<String>,
}

pub(crate) const EVERY: RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_hours(1);
pub(crate) const TIMEOUT: RangeInclusive<Duration> =
    Duration::from_millis(10)..=Duration::from_mins(1);
pub(crate) const CONSECUTIVE: RangeInclusive<u32> = 1..=100;
pub(crate) const EJECT_AFTER: RangeInclusive<u32> = 1..=1000;
