//! `proxy_pass`: where requests go, and with which path.
//!
//! Pure. Runs at start, at reload, or on a timer.

use super::paths::RoutePath;
use crate::nginx::{Part, parts};

/// What `proxy_pass` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Passed {
    pub(super) is_tls: bool,
    /// The host with its port, the name of an upstream, or `unix:` and a path.
    pub(super) authority: String,
    /// What is behind it: `/v2/`.
    pub(super) uri: Option<String>,
}

/// What of a path the node gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rewrite {
    pub(super) strip: Option<String>,
    pub(super) add: Option<String>,
    /// What is different from nginx.
    pub(super) note: Option<&'static str>,
}

impl Passed {
    /// What `text`, without constants, says.
    ///
    /// # Errors
    ///
    /// Why it cannot be carried over.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        let is_tls = match scheme.to_ascii_lowercase().as_str() {
            "http" | "ws" => false,
            "https" | "wss" => true,
            other => return Err(format!("the scheme {other} cannot be passed on to")),
        };
        if let Some(path) = rest.strip_prefix("unix:") {
            let (path, uri) = match path.split_once(':') {
                Some((path, uri)) => (path, Some(uri)),
                None => (path, None),
            };
            let uri = uri.filter(|uri| !uri.is_empty()).map(str::to_owned);
            return Ok(Self { is_tls, authority: format!("unix:{path}"), uri });
        }
        // A variable that holds the path may follow the host without a slash.
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let known = ["${request_uri}", "${uri}"].iter().filter_map(|name| rest.find(name)).min();
        let (authority, uri) = rest.split_at(known.map_or(end, |at| at.min(end)));
        let variable = parts(authority).into_iter().find_map(|part| match part {
            Part::Variable(name) => Some(name),
            Part::Text(_) => None,
        });
        if let Some(name) = variable {
            return Err(format!("${name} decides for each request where it goes"));
        }
        if authority.is_empty() {
            return Err("it names no host".to_owned());
        }
        let uri = (!uri.is_empty()).then(|| uri.to_owned());
        Ok(Self { is_tls, authority: authority.to_owned(), uri })
    }

    /// The host and port.
    pub(super) fn address(&self) -> String {
        let has_port =
            self.authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        match has_port || self.authority.starts_with("unix:") {
            true => self.authority.clone(),
            false if self.is_tls => format!("{}:443", self.authority),
            false => format!("{}:80", self.authority),
        }
    }
}

/// What nodes get of the paths of `route`, if `uri` is written behind the host. `pattern` is that of the
/// location, if it is an expression.
///
/// # Errors
///
/// Why it cannot be carried over.
pub(super) fn rewrite(
    uri: &str,
    route: &RoutePath,
    pattern: Option<&str>,
) -> Result<Rewrite, &'static str> {
    let plain = uri.trim_end_matches("${is_args}${args}").trim_end_matches("?${args}");
    if matches!(plain, "${request_uri}" | "${uri}" | "/${uri}" | "${document_uri}") {
        return Ok(Rewrite::default());
    }
    if let Some((path, query)) = uri.split_once('?') {
        let is_kept = ["${args}", "${query_string}"].iter().any(|name| query.contains(name));
        if !is_kept || path.is_empty() {
            return Err("the query that it adds cannot be written");
        }
        let note = Some("nginx adds to the query; nodes get that of the client");
        return rewrite(path, route, pattern).map(|rewrite| Rewrite { note, ..rewrite });
    }
    if plain.contains('$') {
        return captured(plain, pattern.ok_or("its path has variables")?);
    }
    match route {
        RoutePath::Regex(_) => Err("its path is the same for all requests"),
        RoutePath::Exact(path) => exact(path, plain),
        RoutePath::Prefix(path) => Ok(replaced(path, plain)),
    }
}

/// Replaces the prefix `from` by `to`.
pub(super) fn replaced(from: &str, to: &str) -> Rewrite {
    if from == to {
        return Rewrite::default();
    }
    let (strip, add) = (prefix_of(from), prefix_of(to));
    let note = (from.ends_with('/') != to.ends_with('/'))
        .then(|| match to.ends_with('/') {
            // `/ws/x` becomes `//x` in nginx.
            true => (from != "/").then_some("nginx sends two slashes here; nodes get one"),
            // `/app/x` becomes `/v2x` in nginx.
            false => Some("nginx joins the two paths without a slash; nodes get one"),
        })
        .flatten();
    if strip == add {
        return Rewrite { note, ..Rewrite::default() };
    }
    Rewrite { strip, add, note }
}

/// A `rewrite` of `expression` that makes the one path `to` of the paths of `route`.
///
/// # Errors
///
/// Why it cannot be carried over.
pub(super) fn fixed(
    expression: &str,
    to: &str,
    route: &RoutePath,
) -> Result<Rewrite, &'static str> {
    let note = Some("nginx sends this one path for all paths of the location");
    let to = to.trim_end_matches('?');
    match route {
        RoutePath::Exact(path) => exact(path, to),
        RoutePath::Prefix(path) if path.ends_with('/') == to.ends_with('/') || to == "/" => {
            let is_one = expression.ends_with('$') && !expression.contains(['*', '+']);
            let note = if is_one {
                Some("nginx changes this one path; Sockeye, those below it too")
            } else {
                note
            };
            Ok(Rewrite { note, ..replaced(path, to) })
        }
        RoutePath::Prefix(_) => {
            Err("the slash at the end of the new path cannot be added or removed")
        }
        RoutePath::Regex(_) => Err("its path is the same for all requests"),
    }
}

fn exact(from: &str, to: &str) -> Result<Rewrite, &'static str> {
    if from == to {
        return Ok(Rewrite::default());
    }
    let (strip, add) = (prefix_of(from), prefix_of(to));
    // What is left behind the prefix is a slash or nothing.
    let is_slash = match &add {
        None => true,
        Some(_) => from.ends_with('/') == to.ends_with('/'),
    };
    if !is_slash || strip.is_none() {
        return Err("the slash at the end of one of the paths cannot be changed");
    }
    Ok(Rewrite { strip, add, note: None })
}

/// `to` has captures of the expression `pattern`.
pub(super) fn captured(to: &str, pattern: &str) -> Result<Rewrite, &'static str> {
    const WHY: &str = "what it does with the path cannot be written as a prefix";
    let (before, name) = to.split_once("${").ok_or(WHY)?;
    let (name, after) = name.split_once('}').ok_or(WHY)?;
    let plain: String = pattern.replace("\\/", "/").replace("\\.", ".").replace("\\-", "-");
    let plain = plain.trim_start_matches('^');
    let capture = ["(.*)$", "(.*)", "(.+)$", "(.+)"];
    let named = format!("(?<{name}>.*)");
    let start = capture.iter().find_map(|capture| plain.strip_suffix(capture));
    let start = start.or_else(|| plain.trim_end_matches('$').strip_suffix(&*named)).ok_or(WHY)?;
    let is_capture = name == "1" || plain.contains(&named);
    let optional = start.strip_suffix("/?");
    let start = optional.unwrap_or(start);
    if !after.is_empty() || !is_capture || start.contains(['(', '[', '*', '+', '?', '|', '$']) {
        return Err(WHY);
    }
    if !start.starts_with('/') {
        return Err(WHY);
    }
    // `^/x(.*)$` to `/y$1`, and `^/x/?(.*)$` to `/y/$1`.
    let from = if optional.is_some() && before.ends_with('/') {
        format!("{start}/")
    } else {
        start.to_owned()
    };
    Ok(replaced(&from, before))
}

/// The whole segments of `path`; `None` if there are none.
fn prefix_of(path: &str) -> Option<String> {
    let prefix = path.trim_end_matches('/');
    (!prefix.is_empty()).then(|| prefix.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_has_a_host_and_maybe_a_path() {
        let check = |text: &str, address: &str, uri: Option<&str>| {
            let passed = Passed::parse(text).unwrap();
            assert_eq!((&*passed.address(), passed.uri.as_deref()), (address, uri), "{text}");
        };
        check("http://app:3000", "app:3000", None);
        check("http://app", "app:80", None);
        check("https://app/", "app:443", Some("/"));
        check("http://[::1]:3000/a", "[::1]:3000", Some("/a"));
        check("http://app:3000${request_uri}", "app:3000", Some("${request_uri}"));
        check("http://unix:/run/app.sock", "unix:/run/app.sock", None);
        check("http://unix:/run/app.sock:/a/", "unix:/run/app.sock", Some("/a/"));
        for text in ["http://${host}:3000", "ftp://a", "http:///a", "http://${1}.a"] {
            assert!(Passed::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_path_behind_the_host_replaces_the_prefix() {
        let check = |uri: &str, route: RoutePath, pattern: Option<&str>, expected: &str| {
            let shown = match rewrite(uri, &route, pattern) {
                Ok(Rewrite { strip, add, note }) => format!(
                    "{} {}{}",
                    strip.as_deref().unwrap_or("-"),
                    add.as_deref().unwrap_or("-"),
                    if note.is_some() { " !" } else { "" }
                ),
                Err(_) => "none".to_owned(),
            };
            assert_eq!(shown, expected, "{uri} {route:?}");
        };
        let prefix = |path: &str| RoutePath::Prefix(path.to_owned());
        let exact = |path: &str| RoutePath::Exact(path.to_owned());
        let regex = || RoutePath::Regex("^/".to_owned());
        check("/", prefix("/"), None, "- -");
        check("/", prefix("/app/"), None, "/app -");
        check("/app/", prefix("/app/"), None, "- -");
        check("/", prefix("/ws"), None, "/ws - !");
        check("/v2/", prefix("/app/"), None, "/app /v2");
        check("/v2", prefix("/app"), None, "/app /v2");
        check("/v2", prefix("/app/"), None, "/app /v2 !");
        check("/v2/", prefix("/"), None, "- /v2");
        check("/", exact("/ws"), None, "/ws -");
        check("/a/b", exact("/ws"), None, "/ws /a/b");
        check("/a/", exact("/ws"), None, "none");
        check("/?a=1", prefix("/"), None, "none");
        check("${request_uri}", prefix("/a/"), None, "- -");
        check("/${1}${is_args}${args}", regex(), Some("^/api/(.*)$"), "/api -");
        check("/v2/${1}", regex(), Some(r"^\/api\/(.*)"), "/api /v2");
        check("/${path}", regex(), Some("^/api/(?<path>.*)$"), "/api -");
        check("/${2}", regex(), Some("^/(a|b)/(.*)$"), "none");
        check("/x", regex(), None, "none");
    }
}
