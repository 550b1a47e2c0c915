//! What a tunnel may cost and how long it may be silent.
//!
//! Runs at start, at reload, or on a timer.

use std::time::Duration;

/// The bounds of one tunnel; a route's `tunnel:` section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Without a frame in either direction for this long the tunnel is closed.
    pub idle_timeout: IdleTimeout,
    /// The bytes kept for each direction when the other side does not take them; then reading
    /// stops.
    pub buffer_bytes: usize,
}

/// When a silent tunnel is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdleTimeout {
    /// As the session's handshake says (`pingInterval + pingTimeout` and a margin); for tunnels
    /// that are not Engine.IO's, [`Limits::PLAIN_IDLE_TIMEOUT`].
    Auto,
    /// After this long, whatever the handshake says.
    After(Duration),
    /// Never.
    Off,
}

impl Limits {
    /// `idle_timeout: auto` on a route of plain WebSockets.
    pub const PLAIN_IDLE_TIMEOUT: Duration = Duration::from_secs(300);
}

impl Default for Limits {
    fn default() -> Self {
        Self { idle_timeout: IdleTimeout::Auto, buffer_bytes: 64 * 1024 }
    }
}
