//! How it was found out who clients are.
//!
//! Pure. Runs for every request.

use prometheus_client::metrics::counter::Counter;

use super::LabelCounts;

/// How it was found out who the clients of a route are.
#[derive(Debug, Default)]
pub struct AuthCounts {
    /// Questions to the authorization service, by outcome.
    pub requests: LabelCounts<1>,
    /// Requests that were let in because the same credentials were right recently.
    pub remembered: Counter,
    /// Passwords that were checked, by outcome.
    pub passwords: LabelCounts<1>,
}
