//! `sockeye doctor`: speaks to a running set-up as a client does, and says what is wrong, whose fault it is, and
//! what to change.
//!
//! - `target`, `road`, `manners`, `ask`, `socket`, `packets`, `session`: a small client of HTTP, WebSocket and Engine.IO,
//!   every step of which has a deadline and a bound
//! - `trace`, `stickiness`, `watch`, `limits`, `abilities`, `http2`, `past`, `own_node`, `rooms`: the probes,
//!   which gather facts and have no opinion
//! - `local`: nodes on this machine, for `sockeye init`
//! - `observations`, `measured`, `product`, `counters`: the facts
//! - `verdict`: the opinions; `text`: the report for people
//!
//! Runs at start, at reload, or on a timer.

mod abilities;
mod ask;
mod counters;
mod gather;
mod http2;
mod limits;
mod local;
mod manners;
mod measured;
mod observations;
mod own_node;
mod packets;
mod past;
mod product;
mod road;
mod rooms;
mod session;
mod socket;
mod stickiness;
mod target;
mod text;
mod trace;
mod verdict;
mod watch;

pub(crate) use gather::{NodeTarget, Settings, observe};
pub(crate) use local::{LocalNode, USUAL_PORTS, listening, local_nodes};
pub(crate) use measured::Memory;
pub(crate) use product::Product;
pub(crate) use target::{DEFAULT_PATH, Target};
pub(crate) use text::{Colours, escaped, text};

use serde::Serialize;

use observations::Observations;
use verdict::{Diagnosis, diagnose};

/// What a run has seen, and what follows.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    /// The facts.
    pub(crate) observations: Observations,
    /// The opinions.
    #[serde(flatten)]
    pub(crate) diagnosis: Diagnosis,
}

impl Report {
    /// What follows from these facts.
    pub(crate) fn new(observations: Observations) -> Self {
        let diagnosis = diagnose(&observations);
        Self { observations, diagnosis }
    }

    /// The exit code of the command.
    pub(crate) fn exit_code(&self) -> u8 {
        match (self.diagnosis.is_broken(), self.diagnosis.is_undecided()) {
            (true, _) => 1,
            (false, true) => 3,
            (false, false) => 0,
        }
    }
}
