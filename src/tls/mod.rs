//! TLS: what a listener needs to answer handshakes.
//!
//! Runs at start, at reload, or on a timer.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;

/// TLS as a listener speaks it.
#[derive(Clone)]
pub struct ServerTls {
    config: Arc<ServerConfig>,
    /// How long a handshake may take, from the first byte that is waited for.
    pub handshake_timeout: Duration,
}

impl ServerTls {
    /// TLS with the certificates, versions and protocols of `config`.
    pub fn new(config: Arc<ServerConfig>) -> Self {
        Self { config, handshake_timeout: Self::HANDSHAKE_TIMEOUT }
    }

    /// What rustls needs for a handshake.
    pub fn config(&self) -> &Arc<ServerConfig> {
        &self.config
    }

    /// The default of `handshake_timeout`.
    pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
}

impl PartialEq for ServerTls {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.config, &other.config)
            && self.handshake_timeout == other.handshake_timeout
    }
}

impl Eq for ServerTls {}

impl fmt::Debug for ServerTls {
    /// Without keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").finish_non_exhaustive()
    }
}
