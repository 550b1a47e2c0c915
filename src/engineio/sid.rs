//! The id of a session.
//!
//! Invariant: a [`Sid`] is 1 to [`Sid::BYTES_MAX`] bytes of text without control characters. It
//! is a bearer secret: anyone who knows it can take over the session. So it is never shown in full.
//!
//! Pure. Runs for every request.

use std::fmt;
use std::sync::Arc;

/// An Engine.IO session id, decoded: as the node made it, or with our tag at its end.
///
/// Its alphabet and length are arbitrary, because applications may make their own
/// (`io.engine.generateId`). Clones share the text.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Sid(Arc<str>);

impl Sid {
    /// The longest sid, in bytes with its tag. Servers make 16 or 20 characters, and applications
    /// put anything into one, for example a signed token. No table stores a sid, so this limits
    /// what a request copies.
    pub const BYTES_MAX: usize = 1024;

    /// `text` as a sid; `None` if it is empty, too long, or has control characters: no server
    /// makes such an id, and it could not be put into a log, a header or an unescaped JSON.
    pub fn new(text: &str) -> Option<Self> {
        let fits = !text.is_empty() && text.len() <= Self::BYTES_MAX;
        // Nearly all are ASCII, and then need not be decoded.
        let has_control = match text.is_ascii() {
            true => text.bytes().fold(false, |found, byte| found | byte.is_ascii_control()),
            false => text.contains(char::is_control),
        };
        (fits && !has_control).then(|| Self(text.into()))
    }

    /// The whole sid: for nodes and clients, never for a log.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Shows the first characters, at most four and never more than half.
impl fmt::Display for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = (self.0.chars().count() / 2).min(SHOWN_CHARS_MAX);
        for character in self.0.chars().take(shown) {
            write!(f, "{character}")?;
        }
        f.write_str("…")
    }
}

/// As [`Display`](fmt::Display): a sid inside a larger value must not come out either.
impl fmt::Debug for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sid({self})")
    }
}

/// Enough to follow a session through a log; of the 96 random bits of Node's sids, 72 stay
/// hidden.
const SHOWN_CHARS_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sid_is_bounded_text_without_control_characters() {
        let check = |text: &str, expected: bool| {
            assert_eq!(Sid::new(text).is_some(), expected, "{text:?}");
        };
        check("", false);
        check("a", true);
        check("lv_VI97HAXpY6yYWAAAC", true);
        check("ü.:/%\"\\ 😀", true);
        check("a\nb", false);
        check("a\u{7f}b", false);
        check("a\u{85}b", false);
        check(&"x".repeat(Sid::BYTES_MAX), true);
        check(&"x".repeat(Sid::BYTES_MAX + 1), false);
        check(&"ü".repeat(Sid::BYTES_MAX / 2 + 1), false);
    }

    #[test]
    fn a_sid_is_never_shown_in_full() {
        let check = |text: &str, expected: &str| {
            let sid = Sid::new(text).expect("a sid");
            assert_eq!(sid.to_string(), expected);
            assert_eq!(format!("{sid:?}"), format!("Sid({expected})"));
        };
        check("lv_VI97HAXpY6yYWAAAC", "lv_V…");
        check("ünïcödé😀", "ünïc…");
        check("abc", "a…");
        check("a", "…");
    }
}
