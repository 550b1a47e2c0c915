//! The fields that a route changes, as the file that says all of it.
//!
//! Pure. Runs at start, at reload, or on a timer.

use http::HeaderName;

use super::list;
use super::upstream::HIDDEN;
use crate::config::file::fields::{self as keys, Headers};
use crate::route::{Cors, FieldRules, Template};
use crate::yaml::{List, RawScalar, is_secret_field};

/// `request_headers:` or `response_headers:`
pub(super) fn render(rules: &FieldRules) -> Option<Headers> {
    let values = |written: &[(HeaderName, Template)]| {
        let shown = |(name, template): &(HeaderName, Template)| {
            let is_hidden = is_secret_field(name.as_str());
            let value = if is_hidden { HIDDEN.to_owned() } else { template.to_string() };
            (name.to_string(), Some(RawScalar::new(value)))
        };
        (!written.is_empty()).then(|| written.iter().map(shown).collect())
    };
    let headers = || Headers {
        set: values(rules.set()),
        add: values(rules.added()),
        remove: list(rules.removed(), ToString::to_string).filter(|list| !list.is_empty()),
    };
    (!rules.is_empty()).then(headers)
}

/// `cors:`
pub(super) fn cors(cors: &Cors) -> keys::Cors {
    fn names<T: ToString>(names: &[T]) -> List<String> {
        list(names, ToString::to_string).filter(|names| !names.is_empty())
    }
    keys::Cors {
        origins: names(cors.origins.rules()),
        credentials: Some(cors.credentials),
        methods: names(&cors.methods),
        headers: names(&cors.headers),
        expose_headers: names(&cors.expose_headers),
        max_age: Some(keys::MAX_AGE.render(&cors.max_age)),
    }
}
