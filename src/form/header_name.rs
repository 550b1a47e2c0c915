//! The name of a header field.
//!
//! Pure. Runs at start, at reload, or on a timer.

use http::HeaderName;

use crate::yaml::Diagnostic;

/// The name that `text` is; `example` is one to write instead.
///
/// # Errors
///
/// It is none (RFC 9110, section 5.1).
pub(crate) fn header_name(text: &str, example: &str) -> Result<HeaderName, Diagnostic> {
    HeaderName::from_bytes(text.as_bytes()).map_err(|_| {
        Diagnostic::new("is not the name of a header field")
            .help(format!("write a name such as {example}"))
    })
}
