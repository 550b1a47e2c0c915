//! The pattern of a location as the path of a route.
//!
//! Pure. Runs at start, at reload, or on a timer.

use regex::bytes::RegexBuilder;

use crate::nginx::{Location, LocationKind, rust_of};

/// The path of a route.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum RoutePath {
    Prefix(String),
    Exact(String),
    Regex(String),
}

/// The paths for a location, and what is different.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Paths {
    pub(super) paths: Vec<RoutePath>,
    /// What to say of it.
    pub(super) note: Option<&'static str>,
}

/// The paths of `location`, which is within the location of the path `above`.
///
/// # Errors
///
/// Why there are none.
pub(super) fn of(location: &Location, above: Option<&str>) -> Result<Paths, &'static str> {
    match location.kind {
        LocationKind::Named => Err("no path leads to it"),
        LocationKind::Exact => {
            plain(&location.pattern).map(|path| only(RoutePath::Exact(path), None))
        }
        LocationKind::Prefix | LocationKind::PrefixFirst => prefix(&location.pattern),
        LocationKind::Regex => regex(&location.pattern, false, above),
        LocationKind::RegexIgnoreCase => regex(&location.pattern, true, above),
    }
}

fn only(path: RoutePath, note: Option<&'static str>) -> Paths {
    Paths { paths: vec![path], note }
}

fn prefix(pattern: &str) -> Result<Paths, &'static str> {
    if let Some(before) = pattern.strip_suffix('*') {
        let note = "nginx takes the * for a letter; all paths that begin so are served";
        return plain(before).map(|path| only(RoutePath::Prefix(path), Some(note)));
    }
    let path = plain(pattern)?;
    // In the middle of a segment, as `/user-`.
    if path.ends_with(['-', '_', '.', '~', '=']) {
        return Ok(only(RoutePath::Regex(format!("^{}", escaped(&path))), None));
    }
    Ok(only(RoutePath::Prefix(path), None))
}

/// `pattern` as clients send it.
fn plain(pattern: &str) -> Result<String, &'static str> {
    if !pattern.starts_with('/') {
        return Err("it does not begin with a slash, so that no request has it");
    }
    let mut path = String::with_capacity(pattern.len());
    for byte in pattern.bytes() {
        if byte.is_ascii_graphic() && !b"?#\"<>[]\\^`{}".contains(&byte) {
            path.push(char::from(byte));
        } else {
            path.push_str(&format!("%{byte:02X}"));
        }
    }
    if path.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err("clients remove . and .. before they send a request");
    }
    Ok(path)
}

/// The paths of an expression: prefixes if it is nothing else.
fn regex(pattern: &str, ignore_case: bool, above: Option<&str>) -> Result<Paths, &'static str> {
    let pattern = rust_of(pattern);
    if let Some(paths) = disguised(&pattern).and_then(|paths| in_case(paths, ignore_case)) {
        return Ok(paths);
    }
    let anchored = pattern.strip_prefix('^');
    let expression = match (anchored, above) {
        _ if has_alternatives(&pattern) => format!("^/{{0}}(?:{})", unanchored(&pattern)),
        (Some(rest), _) if rest.starts_with('/') => format!("^{rest}"),
        (Some(rest), _) => format!("^/{{0}}{rest}"),
        (None, Some(above)) if above.starts_with('/') && above != "/" => {
            format!("^{}.*(?:{pattern})", escaped(above))
        }
        (None, _) => match pattern.strip_prefix('/') {
            Some(rest) => format!("^/(?:.*/)?{rest}"),
            None => format!("^/.*{pattern}"),
        },
    };
    let expression = if ignore_case { format!("(?i){expression}") } else { expression };
    let mut builder = RegexBuilder::new(&expression);
    match builder.unicode(false).size_limit(BYTES_MAX).dfa_size_limit(BYTES_MAX).build() {
        Ok(_) => Ok(only(RoutePath::Regex(expression), None)),
        Err(_) => Err(
            "the expression has look-around, a reference or a mistake, which Sockeye does not have",
        ),
    }
}

/// `found`, if upper and lower case matter, or no client writes the paths in upper case: those of Socket.IO.
fn in_case(found: Paths, ignore_case: bool) -> Option<Paths> {
    let text = |path: &RoutePath| match path {
        RoutePath::Prefix(path) | RoutePath::Exact(path) | RoutePath::Regex(path) => path.clone(),
    };
    let has_letters = |path: &RoutePath| text(path).bytes().any(|it| it.is_ascii_alphabetic());
    if !ignore_case || !found.paths.iter().any(has_letters) {
        return Some(found);
    }
    let is_engineio = |path: &RoutePath| {
        let lower = text(path).to_ascii_lowercase();
        lower.contains("socket.io") || lower.contains("engine.io")
    };
    let lower = |path: &RoutePath| match path {
        RoutePath::Prefix(path) => RoutePath::Prefix(path.to_ascii_lowercase()),
        RoutePath::Exact(path) => RoutePath::Exact(path.to_ascii_lowercase()),
        RoutePath::Regex(path) => RoutePath::Regex(path.clone()),
    };
    let note = found.note.or(Some("upper and lower case matter now"));
    let paths = found.paths.iter().map(lower).collect();
    found.paths.iter().all(is_engineio).then_some(Paths { paths, note })
}

/// All alternatives may begin anywhere, those with `^` at the beginning alone.
fn unanchored(pattern: &str) -> String {
    let branch = |branch: &str| {
        if branch.starts_with('^') { branch.to_owned() } else { format!(".*{branch}") }
    };
    split_top(pattern).into_iter().map(branch).collect::<Vec<_>>().join("|")
}

fn has_alternatives(pattern: &str) -> bool {
    split_top(pattern).len() > 1
}

/// The alternatives of `pattern` outside of all groups and classes.
fn split_top(pattern: &str) -> Vec<&str> {
    let (mut depth, mut is_class, mut start) = (0_usize, false, 0);
    let mut found = Vec::new();
    let mut bytes = pattern.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\\' => drop(bytes.next()),
            b'[' => is_class = true,
            b']' => is_class = false,
            b'(' if !is_class => depth += 1,
            b')' if !is_class => depth = depth.saturating_sub(1),
            b'|' if !is_class && depth == 0 => {
                found.extend(pattern.get(start..at));
                start = at + 1;
            }
            _ => (),
        }
    }
    found.extend(pattern.get(start..));
    found
}

/// The prefixes or exact paths that `pattern` is.
fn disguised(pattern: &str) -> Option<Paths> {
    let (literal, rest, has_loose_dot) = literal(pattern.strip_prefix('^').unwrap_or(pattern));
    let is_anchored = pattern.starts_with('^');
    // `~* \.io` of many a recipe, and `~ /socket\.io`.
    let is_engineio =
        ["socket.io", "engine.io"].iter().any(|name| literal.contains(name)) || literal == ".io";
    if !is_anchored && is_engineio && is_all(rest) {
        let path = match literal.find('/') {
            Some(0) => literal.clone(),
            _ => format!("/{}", if literal == ".io" { "socket.io" } else { &*literal }),
        };
        let note = "it also matched in the middle of a path; the route is for this prefix alone";
        return plain(&path).ok().map(|path| only(RoutePath::Prefix(path), Some(note)));
    }
    if !is_anchored || !literal.starts_with('/') {
        return None;
    }
    let note = has_loose_dot.then_some("the . that is not escaped was taken for a dot");
    if let Some((alternatives, rest)) = group(rest) {
        let literals: Option<Vec<String>> = alternatives
            .iter()
            .map(|text| {
                let (found, rest, _) = self::literal(text);
                (rest.is_empty() && !found.is_empty()).then(|| format!("{literal}{found}"))
            })
            .collect();
        let (tail, rest, _) = self::literal(rest);
        let paths: Option<Vec<Vec<RoutePath>>> =
            literals?.iter().map(|start| ended(&format!("{start}{tail}"), rest)).collect();
        return Some(Paths { paths: paths?.concat(), note });
    }
    let is_within = !literal.ends_with('/') && ["", ".*", "(.*)", ".*$", "(.*)$"].contains(&rest);
    const WITHIN: &str =
        "it also matched within a word; the route is for whole segments of the path";
    let within = is_within.then_some(WITHIN);
    let note = note.or(within);
    // A single segment that is not complete, as `^/v`, is an expression.
    Some(Paths { paths: ended(&literal, rest)?, note })
}

/// The paths for `literal` with the end `rest` of an expression.
fn ended(literal: &str, rest: &str) -> Option<Vec<RoutePath>> {
    let literal = plain(literal).ok()?;
    if rest == "$" {
        return Some(vec![RoutePath::Exact(literal)]);
    }
    if rest == "/?$" {
        let slash = format!("{literal}/");
        return Some(vec![RoutePath::Exact(literal), RoutePath::Exact(slash)]);
    }
    let is_whole = is_all(rest) && !literal.ends_with(['-', '_', '.', '~', '=']);
    is_whole.then(|| vec![RoutePath::Prefix(literal)])
}

/// Whether the end `rest` of an expression accepts all that follows.
fn is_all(rest: &str) -> bool {
    let ends = [
        "", ".*", "(.*)", "(.+)", ".*$", "(.*)$", "/?(.*)$", "/?(.*)", "/?", "/?.*", "(/|$)",
        "(?:/|$)",
    ];
    ends.contains(&rest)
        || ["(/.*)?$", "(/.*)?", "($|/)", "(|/.*)$", "(?:/.*)?$", "(/.*)$"].contains(&rest)
}

/// The letters that `pattern` begins with, what follows, and whether a dot among them was not escaped.
fn literal(pattern: &str) -> (String, &str, bool) {
    let (mut found, mut rest, mut is_loose) = (String::new(), pattern, false);
    loop {
        let mut chars = rest.chars();
        let (c, length) = match (chars.next(), chars.next()) {
            (Some('\\'), Some(c)) if !c.is_ascii_alphanumeric() => (c, 1 + c.len_utf8()),
            (Some('.'), Some(c)) if c.is_ascii_alphanumeric() => {
                is_loose = true;
                ('.', 1)
            }
            (Some(c), _) if c.is_ascii_alphanumeric() || "/-_~%@:,=".contains(c) => (c, 1),
            _ => break,
        };
        // What is repeated is not a letter.
        let after = rest.get(length..).unwrap_or_default();
        if after.starts_with(['*', '+', '?', '{']) {
            break;
        }
        found.push(c);
        rest = after;
    }
    (found, rest, is_loose)
}

/// The alternatives of the group that `pattern` begins with, and what follows.
fn group(pattern: &str) -> Option<(Vec<&str>, &str)> {
    let inner = pattern.strip_prefix("(?:").or_else(|| pattern.strip_prefix('('))?;
    let (inside, rest) = inner.split_once(')')?;
    let alternatives: Vec<&str> = inside.split('|').collect();
    let is_plain = !inside.contains(['(', '[', '*', '+', '?']) && !inside.ends_with('\\');
    (is_plain && (2..=ALTERNATIVES_MAX).contains(&alternatives.len()))
        .then_some((alternatives, rest))
}

/// The letters that each path begins with that `expression`, one of ours, finds.
pub(super) fn literal_start(expression: &str) -> String {
    let text = expression.strip_prefix("(?i)").unwrap_or(expression);
    let text = text.strip_prefix('^').unwrap_or(text);
    if text.starts_with("/{0}") || has_alternatives(text) {
        return String::new();
    }
    literal(text).0
}

/// Whether `expression`, one of ours, finds all paths that begin with `prefix`, and no others.
pub(super) fn is_all_below(expression: &str, prefix: &str) -> bool {
    let (found, rest, _) = literal(expression.trim_start_matches('^'));
    !expression.starts_with("(?i)") && found == prefix && is_all(rest)
}

/// `path` as an expression that finds it.
pub(super) fn escaped(path: &str) -> String {
    path.chars().fold(String::new(), |mut text, c| {
        if !c.is_ascii_alphanumeric() && !"/-_~%:,=&@!;'".contains(c) {
            text.push('\\');
        }
        text.push(c);
        text
    })
}

const BYTES_MAX: usize = 1 << 20;
const ALTERNATIVES_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(found: Result<Paths, &str>) -> String {
        let Ok(Paths { paths, note }) = found else { return "none".to_owned() };
        let path = |path: &RoutePath| match path {
            RoutePath::Prefix(path) => path.clone(),
            RoutePath::Exact(path) => format!("= {path}"),
            RoutePath::Regex(path) => format!("~ {path}"),
        };
        let paths: Vec<String> = paths.iter().map(path).collect();
        format!("{}{}", paths.join(" "), if note.is_some() { " !" } else { "" })
    }

    #[test]
    fn expressions_that_are_prefixes_become_prefixes() {
        let check = |pattern: &str, expected: &str| {
            assert_eq!(shown(regex(pattern, false, None)), expected, "{pattern}");
        };
        check(r"^/socket\.io", "/socket.io !");
        check(r"^\/socket\.io\/", "/socket.io/");
        check("^/socket.io/(.*)", "/socket.io/ !");
        check(r"^/socket\.io/?$", "= /socket.io = /socket.io/");
        check(r"^/ws$", "= /ws");
        check(r"^/(api|ws)/", "/api/ /ws/");
        check(r"^/(?:a|b\.c)(/.*)?$", "/a /b.c");
        check(r"\.io", "/socket.io !");
        check(r"/socket\.io/", "/socket.io/ !");
        check(r"^/user-", r"~ ^/user-");
    }

    #[test]
    fn other_expressions_begin_with_the_path() {
        let check = |pattern: &str, ignore_case: bool, above: Option<&str>, expected: &str| {
            assert_eq!(shown(regex(pattern, ignore_case, above)), expected, "{pattern}");
        };
        check(
            r"/api/v[0-9]+/(users/)?websocket$",
            false,
            None,
            "~ ^/(?:.*/)?api/v[0-9]+/(users/)?websocket$",
        );
        check(r"^/v[0-9]+/ws", false, None, "~ ^/v[0-9]+/ws");
        check(r"\.(js|css)$", true, None, r"~ (?i)^/.*\.(js|css)$");
        check(r"\.js$", false, Some("/app/"), r"~ ^/app/.*(?:\.js$)");
        check(r"^/a[0-9]|\.b$", false, None, r"~ ^/{0}(?:^/a[0-9]|.*\.b$)");
        check(r"^(/a|/b)x", false, None, "~ ^/{0}(/a|/b)x");
        check(r"/\.(?!well-known)", false, None, "none");
    }

    #[test]
    fn prefixes_are_as_clients_send_them() {
        let check = |pattern: &str, expected: &str| {
            assert_eq!(shown(prefix(pattern)), expected, "{pattern}")
        };
        check("/", "/");
        check("/a b/ü", "/a%20b/%C3%BC");
        check("/chat/*", "/chat/ !");
        check("/user_", r"~ ^/user_");
        check("a", "none");
        check("/a/../b", "none");
        assert_eq!(literal_start("^/api/v[0-9]+"), "/api/v");
        assert_eq!(literal_start(r"(?i)^/.*\.js"), "/");
        assert_eq!(escaped("/a.b+c"), r"/a\.b\+c");
    }
}
