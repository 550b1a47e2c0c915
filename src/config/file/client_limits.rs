//! The keys of `client_limits:`.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access;
use crate::form::Form;
use crate::form::section::{Pass, Section, key};
use crate::yaml::RawScalar;

/// What each client may do: an IPv4 address, or the /64 of an IPv6 address.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ClientLimits {
    /// How many connections it may have at the same time, WebSockets included.
    ///
    /// More are closed as soon as they are accepted. The address is that of the connection, or the one
    /// that a PROXY header states; `trusted_proxies` have no limit, since they have the connections of
    /// many clients.
    #[schemars(extend("x-accepts" = LIMIT.accepts()))]
    pub(crate) connections: Option<RawScalar>,
    /// How many sessions it may open per second: Engine.IO handshakes and WebSockets.
    ///
    /// More get 429. The same number may arrive together after a pause. The address is the one that
    /// `trusted_proxies` state.
    #[schemars(extend("x-accepts" = LIMIT.accepts()))]
    pub(crate) sessions_per_second: Option<RawScalar>,
    /// How many requests it may send per second, on all routes.
    ///
    /// As for sessions. A page with Socket.IO sends four requests at once when it is opened, and one
    /// that stays on polling two for each message.
    #[schemars(extend("x-accepts" = LIMIT.accepts()))]
    pub(crate) requests_per_second: Option<RawScalar>,
}

impl Section<access::ClientLimits> for ClientLimits {
    fn keys(&mut self, settings: &mut access::ClientLimits, pass: &mut Pass<'_, '_>) {
        key!(pass, self.connections => settings.connections, LIMIT);
        key!(pass, self.sessions_per_second => settings.sessions_per_second, LIMIT);
        key!(pass, self.requests_per_second => settings.requests_per_second, LIMIT);
    }
}

const LIMIT: Form<Option<NonZeroU32>, u32> =
    Form::optional_positive(&[("off", None)], 1..=1_000_000);
