//! Paths by a regular expression, for what prefixes cannot say. The time that a match takes is linear in
//! the length of the path, whatever the expression is, and what the expression compiles to is bounded.
//!
//! Pure. Runs for every request.

use std::fmt;
use std::hash::{Hash, Hasher};

use regex::bytes::{Regex, RegexBuilder};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::Look;
use regex_syntax::hir::literal::{Extractor, Literal};

use crate::yaml::Diagnostic;

/// The expression. Its text is its identity.
#[derive(Clone, Debug)]
pub struct PathRegex(Regex);

impl PathRegex {
    /// The expression that `text` writes. It says where the path begins, so that it cannot find
    /// `/socket.io/` in the middle of another path; it says by `$` where the path ends, if it has to.
    ///
    /// # Errors
    ///
    /// It is no expression of the crate `regex`, too large, or does not begin with the path.
    pub(crate) fn parse(text: &str) -> Result<Self, Diagnostic> {
        if !STARTS.iter().any(|start| text.starts_with(start)) {
            let diagnostic = Diagnostic::new("does not begin with `^/`");
            return Err(diagnostic.help(r"write an expression such as ^/v[0-9]+/socket\.io/"));
        }
        let help = "write an expression as the crate regex has them: no look-around, no references";
        let refused = |what: String| Diagnostic::new(what).help(help);
        let parsed = ParserBuilder::new().unicode(false).utf8(false).build().parse(text);
        let parsed = parsed.map_err(|error| {
            let fault = match &error {
                regex_syntax::Error::Parse(error) => error.kind().to_string(),
                regex_syntax::Error::Translate(error) => error.kind().to_string(),
                other => other.to_string(),
            };
            refused(format!("is not a regular expression: {fault}"))
        })?;
        if !parsed.properties().look_set_prefix().contains(Look::Start) {
            let diagnostic = Diagnostic::new("has an alternative that begins anywhere");
            return Err(diagnostic.help("write ^/(a|b)/ instead of ^/a/|/b/"));
        }
        let begins = Extractor::new().extract(&parsed);
        let is_doubled = |begin: &Literal| begin.as_bytes().starts_with(b"//");
        if begins.literals().is_some_and(|all| !all.is_empty() && all.iter().all(is_doubled)) {
            let diagnostic =
                Diagnostic::new("begins with two slashes, which no path of a route does");
            return Err(diagnostic.help("write one: `//a` is refused if `/a` has another route"));
        }
        let mut builder = RegexBuilder::new(text);
        builder.unicode(false).size_limit(BYTES_MAX).dfa_size_limit(BYTES_MAX);
        match builder.build() {
            Ok(regex) => Ok(Self(regex)),
            Err(_) => Err(Diagnostic::new("is too large when it is compiled")
                .help("write it with fewer repetitions, or write several routes")),
        }
    }

    /// Whether it finds `path`.
    pub(super) fn matches(&self, path: &str) -> bool {
        self.0.is_match(path.as_bytes())
    }

    /// As it was written.
    pub(crate) fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl PartialEq for PathRegex {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for PathRegex {}

impl Hash for PathRegex {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Display for PathRegex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How an expression begins; with `(?i)`, the letter case of paths does not matter.
const STARTS: [&str; 2] = ["^/", "(?i)^/"];

/// What an expression may need, compiled, and for its matches.
const BYTES_MAX: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_expression_finds_paths_from_their_beginning() {
        let check = |text: &str, path: &str, expected: bool| {
            assert_eq!(PathRegex::parse(text).unwrap().matches(path), expected, "{text} {path}");
        };
        check(r"^/v[0-9]+/socket\.io/", "/v12/socket.io/", true);
        check(r"^/v[0-9]+/socket\.io/", "/v12/socket.io/x", true);
        check(r"^/v[0-9]+/socket\.io/", "/v12/socketxio/", false);
        check(r"^/v[0-9]+/socket\.io/", "/x/v12/socket.io/", false);
        check("^/(a|b)$", "/a", true);
        check("^/(a|b)$", "/a/", false);
        check("^//?a", "/a", true);
        check("^/.*//", "/a//b", true);
        check("(?i)^/chat$", "/Chat", true);
        check(r"^/.*\xff", "/ä", false);
        check("^/(a*)*$", &format!("/{}b", "a".repeat(60_000)), false);
    }

    #[test]
    fn what_is_no_expression_is_refused_with_the_reason() {
        let check = |text: &str, what: &str| {
            let refused = PathRegex::parse(text).unwrap_err();
            assert!(refused.what().contains(what), "{text}: {}", refused.what());
            assert!(refused.help_text().is_some(), "{text}");
        };
        check("", "does not begin");
        check("/a", "does not begin");
        check(r"\.io", "does not begin");
        check("^a", "does not begin");
        check("^/a|/b", "begins anywhere");
        check("^/(", "unclosed group");
        check("^/(?!x)", "look-around");
        check(r"^/(a)\1", "backreferences");
        check("^//", "two slashes");
        check("(?i)^//a", "two slashes");
        check("^/(/a|/b)", "two slashes");
        check("^/(((a{100}){100}){100})", "too large");
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_was_written(
            text in r"(\(\?i\))?\^/[/ab.*+?()|\[\]{}0-9^$\\]{0,12}",
            path in "[/ab0]{0,8}",
        ) {
            if let Ok(regex) = PathRegex::parse(&text) {
                let _ = regex.matches(&format!("/{path}"));
                prop_assert_eq!(PathRegex::parse(regex.as_str()).unwrap(), regex);
            }
        }
    }
}
