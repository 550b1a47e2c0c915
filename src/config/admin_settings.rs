//! The admin listener, as configured.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::access::Operators;
use crate::tls::ServerTls;

/// The admin listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminSettings {
    /// Where it listens.
    pub bind: SocketAddr,
    /// TLS on it.
    pub(crate) tls: Option<Arc<ServerTls>>,
    /// Who may use it; `None`: everyone who reaches it.
    pub(crate) auth: Option<Arc<Operators>>,
}

impl AdminSettings {
    /// A listener at `bind`, without TLS, that everyone may use.
    pub fn new(bind: SocketAddr) -> Self {
        Self { bind, tls: None, auth: None }
    }

    /// What is in force after a listener with these settings was given those of `next`: all but the address.
    pub(crate) fn followed_by(&self, next: &Self) -> Self {
        let auth = match (&self.auth, &next.auth) {
            // It knows who was wrong recently.
            (Some(former), Some(next)) if former == next => Some(former.clone()),
            (_, next) => next.clone(),
        };
        Self { bind: self.bind, tls: next.tls.clone(), auth }
    }
}
