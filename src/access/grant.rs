//! What follows for a request from knowing who sends it.
//!
//! Pure. Runs for every request.

use http::{HeaderName, HeaderValue};

use crate::Instant;

/// What a request that may go on has got.
#[derive(Debug, Default)]
pub(crate) struct Grant {
    /// The fields that tell the node who sends it.
    pub(crate) fields: Vec<(HeaderName, HeaderValue)>,
    /// When its WebSocket has to end.
    pub(crate) expires_at: Option<Instant>,
}
