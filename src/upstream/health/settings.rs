//! The settings of health checks and ejections.
//!
//! Runs at start, at reload, or on a timer.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::time::Duration;

/// How it is found out whether a node is healthy; an upstream's `health`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// What a node is asked.
    pub check: Check,
    /// How often, give or take a tenth.
    pub every: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
    /// After so many consecutive failures a node is unhealthy.
    pub fail: NonZeroU32,
    /// After so many consecutive good answers it is healthy again.
    pub pass: NonZeroU32,
    /// After so many consecutive failures of clients' own requests a node is ejected; `None`: never.
    pub eject_after: Option<NonZeroU32>,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            check: Check::Tcp,
            every: Duration::from_secs(2),
            timeout: Duration::from_secs(2),
            fail: const { NonZeroU32::new(3).expect("it is not zero") },
            pass: const { NonZeroU32::new(2).expect("it is not zero") },
            eject_after: NonZeroU32::new(5),
        }
    }
}

/// What a node is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// Nothing.
    Off,
    /// To accept a connection.
    Tcp,
    /// A request of its own kind.
    Http(HttpCheck),
    /// An Engine.IO handshake at this path, whose session is closed again.
    EngineIo(Box<str>),
}

/// An HTTP request and what its answer must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpCheck {
    /// The path, and query.
    pub path: Box<str>,
    /// The `Host` of the request; the node's address if `None`.
    pub host: Option<Box<str>>,
    /// The statuses that are good.
    pub status: RangeInclusive<u16>,
    /// What the body must hold, in its first 64 KiB.
    pub body: Option<Box<str>>,
    /// What the body holds if the node requests its drain.
    pub drain: Option<Box<str>>,
}

impl HttpCheck {
    /// `status` where the operator says none.
    pub const STATUS: RangeInclusive<u16> = 200..=299;
}

impl Check {
    /// What the node is asked, for people.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Off => "nothing".to_owned(),
            Self::Tcp => "a TCP connection".to_owned(),
            Self::Http(HttpCheck { path, host: None, .. }) => format!("GET {path}"),
            Self::Http(HttpCheck { path, host: Some(host), .. }) => {
                format!("GET {path} with Host: {host}")
            }
            Self::EngineIo(path) => format!("an Engine.IO handshake at {path}"),
        }
    }
}
