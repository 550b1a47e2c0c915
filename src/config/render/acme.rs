//! `acme:`
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::path::Path;

use super::list;
use crate::acme::Settings;
use crate::config::file::acme::{Acme, Eab};

/// The section of these settings.
pub(super) fn render(settings: &Settings) -> Acme {
    let file = |path: &Path| Some(path.display().to_string());
    let address = |url: &String| url.strip_prefix("mailto:").unwrap_or(url).to_owned();
    Acme {
        directory: Some(settings.directory.to_string()),
        contact: list(&settings.contact, address),
        store: file(&settings.store),
        challenge: Some(settings.challenge.label().to_owned()),
        eab: settings
            .eab
            .as_ref()
            .map(|eab| Eab { kid: Some(eab.kid.to_string()), hmac_file: file(&eab.hmac_file) }),
        ca: settings.ca.as_deref().and_then(file),
        agree_to_terms: Some(true),
    }
}
