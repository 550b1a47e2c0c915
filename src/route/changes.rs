//! The fields that a route changes on their way.
//!
//! Pure. Runs for every request.

use super::cors::Cors;
use super::field_rules::FieldRules;

/// The rules for both directions. A route without any has none of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// For requests, towards nodes.
    pub(crate) request: FieldRules,
    /// For responses, towards clients.
    pub(crate) response: FieldRules,
    /// For pages of other origins.
    pub(crate) cors: Option<Cors>,
}

impl Changes {
    /// These rules. `None` if there are none.
    pub(crate) fn new(
        request: FieldRules,
        response: FieldRules,
        cors: Option<Cors>,
    ) -> Option<Self> {
        let is_empty = request.is_empty() && response.is_empty() && cors.is_none();
        (!is_empty).then_some(Self { request, response, cors })
    }
}
