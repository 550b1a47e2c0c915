//! Regular expressions of nginx (PCRE) as far as an engine with linear time has them.
//!
//! Pure. Runs at start, at reload, or on a timer.

use regex::bytes::{Regex, RegexBuilder};

/// An expression that was compiled.
#[derive(Clone, Debug)]
pub struct PathRegex(Regex);

impl PathRegex {
    /// `None`: it has look-around, references, or a mistake.
    pub fn compile(text: &str, ignore_case: bool) -> Option<Self> {
        let mut builder = RegexBuilder::new(&rust_of(text));
        let builder = builder.unicode(false).case_insensitive(ignore_case).size_limit(BYTES_MAX);
        builder.dfa_size_limit(BYTES_MAX).build().ok().map(Self)
    }

    /// Whether it finds something in `text`.
    pub fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text.as_bytes())
    }
}

/// `text` in the form of the crate `regex`: escapes of characters that need none are refused there.
pub(crate) fn rust_of(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            result.push(c);
            continue;
        }
        match chars.next() {
            Some(next) if "!\"%',/:;<=>@_`".contains(next) || next == ' ' => result.push(next),
            Some(next) => result.extend(['\\', next]),
            None => result.push('\\'),
        }
    }
    result
}

const BYTES_MAX: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_of_pcre_are_understood_if_their_time_is_linear() {
        let matches =
            |text: &str, path: &str| PathRegex::compile(text, false).map(|it| it.is_match(path));
        assert_eq!(matches(r"\/api\/v[0-9]+", "/api/v1"), Some(true));
        assert_eq!(matches(r"^/(?<path>.*)$", "/x"), Some(true));
        assert_eq!(matches(r"\.(js|css)$", "/a.js"), Some(true));
        assert_eq!(matches(r"/\.(?!well-known)", "/.git"), None);
        assert_eq!(matches("(", "x"), None);
    }
}
