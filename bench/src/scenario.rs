//! What is measured: the kinds of work that a proxy of Socket.IO does.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// A kind of work.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Scenario {
    /// Messages of 64 B at a fixed rate, each echoed: the same work for all
    Echo64,
    /// Messages of 16 KiB, one under way on each tunnel
    Echo16k,
    /// Messages of 128 B from the nodes to all tunnels at the same instants
    Fanout128,
    /// Connect, upgrade, one echo, close
    Handshake,
    /// The same among a thousand nodes
    Nodes,
    /// Keep-alive clients that post and poll in turn
    Polling,
    /// Tunnels that are open and silent
    Idle,
    /// Polls that wait for a message
    Held,
    /// Tunnels that are opened and closed by the thousand, again and again
    Churn,
    /// Ten thousand routes, and no request
    Routes,
}

/// What the figure of a scenario counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Figure {
    /// Microseconds of the proxy's CPU time for each unit.
    CpuPer(&'static str),
    /// Bytes of the proxy's memory for each of these.
    BytesPer(&'static str),
    /// How much more memory the proxy has after the last round than after the first, in percent.
    Growth,
}

impl Scenario {
    /// All, in the order in which they are reported.
    pub(crate) const ALL: [Self; 10] = [
        Self::Echo64,
        Self::Echo16k,
        Self::Fanout128,
        Self::Handshake,
        Self::Nodes,
        Self::Polling,
        Self::Idle,
        Self::Held,
        Self::Churn,
        Self::Routes,
    ];

    /// As it is typed and shown.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Echo64 => "echo64",
            Self::Echo16k => "echo16k",
            Self::Fanout128 => "fanout128",
            Self::Handshake => "handshake",
            Self::Nodes => "nodes",
            Self::Polling => "polling",
            Self::Idle => "idle",
            Self::Held => "held",
            Self::Churn => "churn",
            Self::Routes => "routes",
        }
    }

    /// What its figure counts.
    pub(crate) fn figure(self) -> Figure {
        match self {
            Self::Echo64 | Self::Echo16k | Self::Fanout128 => Figure::CpuPer("message"),
            Self::Handshake | Self::Nodes => Figure::CpuPer("connection"),
            Self::Polling => Figure::CpuPer("request"),
            Self::Idle => Figure::BytesPer("tunnel"),
            Self::Held => Figure::BytesPer("poll"),
            Self::Churn => Figure::Growth,
            Self::Routes => Figure::BytesPer("route"),
        }
    }

    /// How many connections there are at a time.
    pub(crate) fn connections(self) -> usize {
        match self {
            Self::Echo64 | Self::Echo16k | Self::Polling => 100,
            Self::Fanout128 => 300,
            Self::Handshake | Self::Nodes => 32,
            Self::Idle => 5000,
            Self::Held => 2000,
            Self::Churn => 9000,
            Self::Routes => 0,
        }
    }

    /// How many nodes there are behind the proxy.
    pub(crate) fn nodes(self) -> usize {
        if self == Self::Nodes { 1000 } else { 3 }
    }

    /// How many routes the proxy has besides the one that is used.
    pub(crate) fn routes(self) -> usize {
        if self == Self::Routes { ROUTES } else { 0 }
    }
}

/// Of the scenario of that name.
pub(crate) const ROUTES: usize = 10_000;

impl Figure {
    /// The unit, to stand behind a number.
    pub(crate) fn unit(self) -> String {
        match self {
            Self::CpuPer(unit) => format!("µs/{unit}"),
            Self::BytesPer(unit) => format!("B/{unit}"),
            Self::Growth => "% growth".to_owned(),
        }
    }
}
