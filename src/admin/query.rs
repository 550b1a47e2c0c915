//! The parameters in the query of an endpoint.
//!
//! Pure. Runs at start, at reload, or on a timer.

use percent_encoding::percent_decode_str;

/// Names, and values without percent-encoding, in the order of the query.
pub(super) fn parameters(query: Option<&str>) -> impl Iterator<Item = (&str, String)> {
    let pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (name, percent_decode_str(value).decode_utf8_lossy().into_owned())
    })
}
