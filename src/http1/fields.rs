//! Lists in field values.
//!
//! Pure. Runs for every request.

use http::header::{HeaderMap, HeaderName};

/// The members of a comma-separated field over all its lines (RFC 9110, section 5.6.1), empty ones
/// included.
pub(super) fn members<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    let lines = headers.get_all(name).into_iter();
    lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii)
}
