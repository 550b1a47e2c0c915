//! What the operator says of a route.
//!
//! Runs at start, at reload, or on a timer.

use std::sync::Arc;
use std::time::Duration;

use super::pattern::{HostPattern, PathPattern};
use crate::{insight, tunnel};

/// Host and path -> upstream, with policy, as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Which hosts.
    pub host: HostPattern,
    /// Which paths.
    pub path: PathPattern,
    /// The upstream's name; one that exists.
    pub upstream: Arc<str>,
    /// How long things may take and how large they may be.
    pub limits: Limits,
    /// The bounds of its tunnels.
    pub tunnel: tunnel::Limits,
    /// How its sessions that begin in polling are judged.
    pub insight: insight::Settings,
}

/// The bounds of one exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long a node may take from the request's end to the head of its answer. `None` is
    /// `auto`: polls may take as long as the session's handshake allows, all else 60 s.
    pub response_timeout: Option<Duration>,
    /// How long a body, of either direction, may make no progress.
    pub body_timeout: Duration,
    /// The longest request body, in bytes. `None` is `auto`: on Engine.IO requests the node's
    /// `maxPayload`, for all else [`Limits::BODY_BYTES_MAX`].
    pub body_bytes_max: Option<u64>,
}

impl Limits {
    /// `body_max: auto` on requests that are not Engine.IO's. Bodies are streamed, so it protects
    /// the node and not us.
    pub const BODY_BYTES_MAX: u64 = 64 * 1024 * 1024;
}

impl Default for Limits {
    fn default() -> Self {
        Self { response_timeout: None, body_timeout: Duration::from_secs(30), body_bytes_max: None }
    }
}
