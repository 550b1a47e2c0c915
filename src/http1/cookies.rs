//! The cookies of a request.
//!
//! Pure. Runs for every request.

use http::header::{COOKIE, HeaderMap};

/// The values of all cookies of that name (RFC 6265, section 4.2.1), in the order of the request.
pub(crate) fn cookie_values<'a>(
    headers: &'a HeaderMap,
    name: &str,
) -> impl Iterator<Item = &'a [u8]> {
    let fields = headers.get_all(COOKIE).iter();
    let pairs = fields.flat_map(|field| field.as_bytes().split(|byte| *byte == b';'));
    pairs
        .filter_map(move |pair| pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}
