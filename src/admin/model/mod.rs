//! The responses of the admin listener, as JSON.
//!
//! The listener writes these structs and the commands read them. Fields that an older process does not
//! send have their defaults.
//!
//! Pure. Runs at start, at reload, or on a timer.

mod nodes;
mod overview;
mod reload;
mod sessions;
mod status;

use serde::{Deserialize, Serialize};

pub(crate) use nodes::{
    Discovery, Draining, Lag, LastCheck, LookupFailure, Node, NodeCommandResult, Nodes, Upstream,
};
pub(crate) use overview::{
    Advice, EndCount, HistoryExcerpt, NodeGlance, OpenSessions, Overview, PastReload,
    ProcessGlance, Rates,
};
pub(crate) use reload::{Problem, ReloadFailed, Reloaded};
pub(crate) use sessions::{
    EndedSession, Frame, Handshake, Moment, Packet, Session, SessionDetail, SessionEnded, Sessions,
    WatchEnded,
};
pub(crate) use status::{
    CertificateOrder, Connections, Descriptors, LastReload, ListenerCertificate, NodeTotals,
    Status, StuckCause, Upgrades,
};

/// `/live`: the process runs.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Live {
    /// Always true.
    pub live: bool,
}

/// `/ready`: whether the process wants new clients.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Ready {
    /// Whether it does.
    pub ready: bool,
    /// Why it does not.
    pub reasons: Vec<String>,
    /// What the operator should look at, although another proxy would serve no better.
    pub warnings: Vec<String>,
}

/// The response to a request that was refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Refusal {
    /// Why.
    pub error: String,
    /// The paths of all endpoints, if the request had none of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<Vec<String>>,
    /// The nodes that the request may have meant, if it did not name one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nodes: Option<Vec<String>>,
}

impl Refusal {
    /// A refusal with this sentence.
    pub(crate) fn new(error: impl Into<String>) -> Self {
        Self { error: error.into(), ..Self::default() }
    }
}
