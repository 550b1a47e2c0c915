//! Host and path patterns, and which of two is the more specific.
//!
//! Pure. Runs for every request.

use std::cmp::Reverse;
use std::fmt;

use super::path_regex::PathRegex;

/// Which hosts a route serves. Names are lower case, without port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// `*` or no `host`: every host.
    Any,
    /// `*.example.com`: every name below, at any depth; holds `.example.com`.
    Below(Box<str>),
    /// One name, or one IP address.
    Exact(Box<str>),
}

/// Which paths a route serves.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PathPattern {
    /// `/a/` serves all that begins with it. `/a` serves `/a` itself and what is below `/a/`,
    /// but not `/ab`.
    Prefix(Box<str>),
    /// One path.
    Exact(Box<str>),
    /// All that an expression finds.
    Regex(PathRegex),
}

impl HostPattern {
    /// Whether the pattern serves `host`, which is lower case and without port.
    pub fn matches(&self, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Below(suffix) => host.len() > suffix.len() && host.ends_with(&**suffix),
            Self::Exact(name) => host == &**name,
        }
    }

    /// Orders patterns from the most specific to the least.
    pub fn precedence(&self) -> impl Ord + use<> {
        match self {
            Self::Exact(_) => (0, Reverse(0)),
            Self::Below(suffix) => (1, Reverse(suffix.len())),
            Self::Any => (2, Reverse(0)),
        }
    }
}

impl PathPattern {
    /// Whether the pattern serves `path`, a request target's path as it came.
    pub fn matches(&self, path: &str) -> bool {
        match self {
            Self::Exact(exact) => path == &**exact,
            Self::Regex(regex) => regex.matches(path),
            Self::Prefix(prefix) => path.strip_prefix(&**prefix).is_some_and(|rest| {
                prefix.ends_with('/') || rest.is_empty() || rest.starts_with('/')
            }),
        }
    }

    /// What each path that it serves begins with, up to the end of a segment.
    pub(crate) fn prefix(&self) -> Option<&str> {
        match self {
            Self::Exact(prefix) | Self::Prefix(prefix) => Some(prefix),
            Self::Regex(_) => None,
        }
    }

    /// Orders patterns from the most specific to the least. Only `/`, which serves everything, is less
    /// specific than an expression; of two expressions neither is.
    pub fn precedence(&self) -> impl Ord + use<> {
        match self {
            Self::Exact(exact) => (0, Reverse(exact.len())),
            Self::Regex(_) => (2, Reverse(0)),
            Self::Prefix(prefix) if &**prefix == "/" => (3, Reverse(0)),
            Self::Prefix(prefix) => (1, Reverse(prefix.len())),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Below(suffix) => write!(f, "*{suffix}"),
            Self::Exact(name) => f.write_str(name),
        }
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefix(prefix) => f.write_str(prefix),
            Self::Exact(exact) => write!(f, "= {exact}"),
            Self::Regex(regex) => write!(f, "~ {regex}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_at_a_segment() {
        let check = |prefix: &str, path: &str| PathPattern::Prefix(prefix.into()).matches(path);
        assert!(check("/", "/anything"));
        assert!(check("/socket.io/", "/socket.io/"));
        assert!(check("/socket.io/", "/socket.io/x"));
        assert!(!check("/socket.io/", "/socket.io"));
        assert!(check("/a", "/a"));
        assert!(check("/a", "/a/b"));
        assert!(!check("/a", "/ab"));
    }

    #[test]
    fn an_exact_path_has_nothing_below_it() {
        let exact = PathPattern::Exact("/health".into());
        assert!(exact.matches("/health"));
        assert!(!exact.matches("/health/"));
    }

    #[test]
    fn a_wildcard_serves_names_below_and_not_the_name_itself() {
        let below = HostPattern::Below(".example.com".into());
        assert!(below.matches("a.example.com"));
        assert!(below.matches("a.b.example.com"));
        assert!(!below.matches("example.com"));
        assert!(!below.matches(".example.com"));
        assert!(!below.matches("badexample.com"));
    }

    #[test]
    fn the_most_specific_pattern_comes_first() {
        let exact = HostPattern::Exact("a.example.com".into());
        let deep = HostPattern::Below(".a.example.com".into());
        let wide = HostPattern::Below(".example.com".into());
        assert!(exact.precedence() < deep.precedence());
        assert!(deep.precedence() < wide.precedence());
        assert!(wide.precedence() < HostPattern::Any.precedence());

        let exact = PathPattern::Exact("/a".into());
        let long = PathPattern::Prefix("/a/b/".into());
        let short = PathPattern::Prefix("/a/".into());
        let regex = PathPattern::Regex(PathRegex::parse("^/a/b/c").unwrap());
        assert!(short.precedence() < regex.precedence());
        assert!(regex.precedence() < PathPattern::Prefix("/".into()).precedence());
        assert!(exact.precedence() < long.precedence());
        assert!(long.precedence() < short.precedence());
    }
}
