//! The path that a node gets for a client's path, and the way back for the paths in its response.
//!
//! Prefixes are compared by whole segments and byte for byte: nothing is decoded.
//!
//! Pure. Runs for every request.

use crate::yaml::Diagnostic;

/// Which prefix of the client's path is removed, and which one is added for the node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PathRewrite {
    strip: PathPrefix,
    add: PathPrefix,
}

/// Whole segments, without a slash at the end: `/a/b`. Empty if there are none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PathPrefix(Box<str>);

impl PathPrefix {
    /// The prefix that `path` writes, which is a valid path; a slash at its end does not count.
    ///
    /// # Errors
    ///
    /// It has no segment, or an empty one.
    pub(crate) fn parse(path: &str) -> Result<Self, Diagnostic> {
        let prefix = path.strip_suffix('/').unwrap_or(path);
        if prefix.is_empty() {
            let diagnostic = Diagnostic::new("is every path");
            return Err(diagnostic.help("write a prefix such as /app, or take the key out"));
        }
        if prefix.ends_with('/') || prefix.contains("//") {
            let diagnostic = Diagnostic::new("has an empty segment");
            return Err(diagnostic.help("write a prefix such as /app/chat"));
        }
        Ok(Self(prefix.into()))
    }

    /// Its segments.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// What follows these segments in `path`.
    pub(crate) fn rest<'p>(&self, path: &'p str) -> Option<&'p str> {
        let rest = path.strip_prefix(&*self.0)?;
        (rest.is_empty() || rest.starts_with('/')).then_some(rest)
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl PathRewrite {
    /// Removes `strip` and adds `add`. `None` if neither is given.
    pub(crate) fn new(strip: Option<PathPrefix>, add: Option<PathPrefix>) -> Option<Self> {
        let is_given = strip.is_some() || add.is_some();
        is_given.then(|| Self { strip: strip.unwrap_or_default(), add: add.unwrap_or_default() })
    }

    /// The prefix that a node does not see.
    pub(crate) fn stripped(&self) -> Option<&str> {
        Some(self.strip.as_str()).filter(|prefix| !prefix.is_empty())
    }

    /// The prefix that a client does not see.
    pub(crate) fn added(&self) -> Option<&str> {
        Some(self.add.as_str()).filter(|prefix| !prefix.is_empty())
    }

    /// Appends the path for a node to `target`. `path` has the prefix: it is one of the route's.
    pub(crate) fn write_for_node(&self, path: &str, target: &mut String) {
        let rest = self.strip.rest(path).unwrap_or(path);
        join(&self.add, rest, target);
    }

    /// The path by which a client finds what is at `path` on the node. `None`: the same path, because
    /// it is the client's own already, or one that no path of the route leads to.
    pub(crate) fn for_client(&self, path: &str) -> Option<String> {
        let rest = match self.add.is_empty() {
            // A node that knows its prefix writes it.
            true if self.strip.rest(path).is_some() => return None,
            true => path,
            false => self.add.rest(path)?,
        };
        let mut written = String::with_capacity(self.strip.0.len() + rest.len() + 1);
        join(&self.strip, rest, &mut written);
        Some(written)
    }

    /// The `Path` of a cookie for a client, which is `path` at the node. `None`: the same one.
    pub(crate) fn cookie_path(&self, path: &str) -> Option<String> {
        let above = path.strip_suffix('/').unwrap_or(path);
        let is_above = self.add.0.strip_prefix(above).is_some_and(|rest| rest.starts_with('/'));
        let is_everything = self.add.is_empty() && above.is_empty();
        if !is_above && !is_everything {
            return self.for_client(path);
        }
        // It is for all paths that clients have. `/app` is for `/app/` too, and not the reverse.
        Some(self.stripped().unwrap_or("/").to_owned())
    }
}

/// Appends a path of `prefix` and `rest`. A target that begins with two slashes would name a host to
/// many servers and to browsers.
fn join(prefix: &PathPrefix, rest: &str, path: &mut String) {
    path.push_str(&prefix.0);
    if prefix.is_empty() {
        path.push('/');
        path.push_str(rest.trim_start_matches('/'));
    } else {
        path.push_str(rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewrite(strip: &str, add: &str) -> PathRewrite {
        let prefix = |text: &str| (!text.is_empty()).then(|| PathPrefix::parse(text).unwrap());
        PathRewrite::new(prefix(strip), prefix(add)).unwrap()
    }

    #[test]
    fn a_prefix_is_removed_added_or_replaced_by_whole_segments() {
        let check = |strip: &str, add: &str, path: &str, expected: &str| {
            let mut target = String::new();
            rewrite(strip, add).write_for_node(path, &mut target);
            assert_eq!(target, expected, "{strip} {add} {path}");
        };
        check("/app", "", "/app/socket.io/", "/socket.io/");
        check("/app/", "", "/app/socket.io", "/socket.io");
        check("/app", "", "/app", "/");
        check("/app", "", "/app/", "/");
        check("/app", "", "/app/a%2Fb/%c3%a4;v=1//", "/a%2Fb/%c3%a4;v=1//");
        check("/app", "", "/app//evil.example/", "/evil.example/");
        check("/a/b", "", "/a/b/c", "/c");
        check("", "/v2", "/socket.io/", "/v2/socket.io/");
        check("", "/v2", "/", "/v2/");
        check("/app", "/v2/x/", "/app/socket.io/", "/v2/x/socket.io/");
        check("/app", "/v2", "/app", "/v2");
        check("/app", "/v2", "/app//a", "/v2//a");
    }

    #[test]
    fn a_path_of_a_node_is_found_by_the_client() {
        let check = |strip: &str, add: &str, path: &str, expected: Option<&str>| {
            let found = rewrite(strip, add).for_client(path);
            assert_eq!(found.as_deref(), expected, "{strip} {add} {path}");
        };
        check("/app", "", "/login", Some("/app/login"));
        check("/app", "", "/", Some("/app/"));
        check("/app", "", "/apple", Some("/app/apple"));
        // The node knows its prefix.
        check("/app", "", "/app/login", None);
        check("/app", "", "/app", None);
        check("", "/v2", "/v2/login", Some("/login"));
        check("", "/v2", "/v2", Some("/"));
        check("", "/v2", "/v2//evil.example", Some("/evil.example"));
        check("", "/v2", "/v22", None);
        check("", "/v2", "/elsewhere", None);
        check("/app", "/v2", "/v2/login", Some("/app/login"));
        check("/app", "/app/v2", "/app/v2/login", Some("/app/login"));
        check("/app", "/v2", "/app/login", None);
    }

    #[test]
    fn a_cookie_is_sent_with_the_same_requests_as_without_the_proxy() {
        let check = |strip: &str, add: &str, path: &str, expected: Option<&str>| {
            let found = rewrite(strip, add).cookie_path(path);
            assert_eq!(found.as_deref(), expected, "{strip} {add} {path}");
        };
        check("/app", "", "/", Some("/app"));
        check("/app", "", "/admin/", Some("/app/admin/"));
        check("/app", "", "/app", None);
        check("", "/v2/x", "/", Some("/"));
        check("", "/v2/x", "/v2", Some("/"));
        check("", "/v2/x", "/v2/x", Some("/"));
        check("", "/v2/x", "/v2/x/a", Some("/a"));
        check("", "/v2/x", "/v", None);
        check("/app", "/v2", "/", Some("/app"));
        check("/app", "/v2", "/v2/a", Some("/app/a"));
        check("/app", "/v2", "/other", None);
    }

    #[test]
    fn a_prefix_has_segments() {
        for text in ["/", "//", "/a//b", "/a//"] {
            assert!(PathPrefix::parse(text).is_err(), "{text}");
        }
        assert_eq!(PathPrefix::parse("/a/b/").unwrap().as_str(), "/a/b");
    }
}
