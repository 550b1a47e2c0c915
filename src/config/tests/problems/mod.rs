//! The problems as an operator reads them: broken files, and the whole report of each.

mod acme;
mod auth;
mod files;
mod listeners;
mod node_tls;
mod routes;
mod site;
mod upstreams;
mod yaml;

use crate::config::parse;

/// A file with `line` as its upstream.
fn with_upstream(line: &str) -> String {
    format!("routes: [{{ upstream: chat }}]\nupstreams:\n  chat:\n    {line}")
}

/// The report of `text` is `expected`.
fn check(text: &str, expected: &str) {
    let shown = parse("a.yaml", text).unwrap_err().to_string();
    assert_eq!(shown, expected.trim_start_matches('\n'), "of\n{text}");
}
