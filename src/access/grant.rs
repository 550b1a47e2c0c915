//! What follows for a request from knowing who sends it.
//!
//! Pure. Runs for every request.

use http::{HeaderName, HeaderValue};

use crate::Instant;

/// Header fields, in their own memory.
pub(crate) type Fields = Vec<(HeaderName, HeaderValue)>;

/// What a request that may go on has got.
#[derive(Debug, Default)]
pub(crate) struct Grant {
    /// The fields that tell the node who sends it.
    pub(crate) fields: Fields,
    /// When its WebSocket has to end.
    pub(crate) expires_at: Option<Instant>,
}

impl Grant {
    /// The name of the client for operators: the first field that it is granted.
    pub(crate) fn user(&self) -> Option<&str> {
        let (_, value) = self.fields.first()?;
        value.to_str().ok().filter(|user| user.len() <= USER_BYTES_MAX)
    }

    /// These fields, without an end.
    pub(super) fn of(fields: Fields) -> Self {
        Self { fields, expires_at: None }
    }
}

/// Longer values are no names, and each tunnel would keep them.
const USER_BYTES_MAX: usize = 128;
