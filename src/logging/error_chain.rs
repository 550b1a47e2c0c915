//! An error and its sources as text.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::error::Error;

/// The error and its sources, from the outermost to the root cause.
pub(crate) fn errors<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (**error).source())
}

/// The error and its sources, separated by colons.
pub(crate) fn error_chain(error: &(dyn Error + 'static)) -> String {
    errors(error).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] Inner);

    #[derive(Debug, thiserror::Error)]
    #[error("inner")]
    struct Inner;

    #[test]
    fn the_sources_of_an_error_follow_it() {
        assert_eq!(error_chain(&Outer(Inner)), "outer: inner");
        assert_eq!(error_chain(&Inner), "inner");
    }
}
