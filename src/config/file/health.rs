//! The keys of `health:`.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::num::NonZeroU32;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::schema::whole;
use crate::form::Accepts;
use crate::form::Form;
use crate::form::patterns;
use crate::form::section::{Pass, Section, key};
use crate::upstream::health::settings;
use crate::yaml::{Chosen, RawScalar, chosen};

/// How the health of the nodes is checked.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
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
    #[schemars(extend("x-accepts" = EVERY.accepts()))]
    pub(crate) every: Option<RawScalar>,
    /// How long a check may take.
    #[schemars(extend("x-accepts" = TIMEOUT.accepts()))]
    pub(crate) timeout: Option<RawScalar>,
    /// How many consecutive failed checks make a node unhealthy.
    ///
    /// An unhealthy node gets no new session.
    #[schemars(extend("x-accepts" = CONSECUTIVE.accepts()))]
    pub(crate) fail: Option<RawScalar>,
    /// How many consecutive passed checks make a node healthy again.
    #[schemars(extend("x-accepts" = CONSECUTIVE.accepts()))]
    pub(crate) pass: Option<RawScalar>,
    /// How many consecutive failed client handshakes eject a node for a while: 5s, and longer each
    /// time. The failures must come from at least three client addresses.
    ///
    /// At most half of the nodes are ejected.
    #[schemars(extend("x-accepts" = EJECT_AFTER.accepts()))]
    pub(crate) eject_after: Option<RawScalar>,
}

/// An HTTP request and what its response must be.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
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

/// All keys but those that select the check.
impl Section<settings::Health> for Health {
    fn keys(&mut self, health: &mut settings::Health, pass: &mut Pass<'_, '_>) {
        key!(pass, self.every => health.every, EVERY);
        key!(pass, self.timeout => health.timeout, TIMEOUT);
        key!(pass, self.fail => health.fail, CONSECUTIVE);
        key!(pass, self.pass => health.pass, CONSECUTIVE);
        key!(pass, self.eject_after => health.eject_after, EJECT_AFTER);
    }
}

const EVERY: Form<Duration> = Form::duration(Duration::from_millis(100)..=Duration::from_hours(1));
const TIMEOUT: Form<Duration> = Form::duration(Duration::from_millis(10)..=Duration::from_mins(1));
const CONSECUTIVE: Form<NonZeroU32, u32> = Form::positive(1..=100);
const EJECT_AFTER: Form<Option<NonZeroU32>, u32> =
    Form::optional_positive(&[("off", None)], 1..=1000);
