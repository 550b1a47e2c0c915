//! What the fuzz targets ask of the parsers of a route's keys.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::net::{IpAddr, Ipv4Addr};

use http::Uri;
use http::header::{HeaderMap, HeaderValue};

use super::{PathPrefix, PathRegex, PathRewrite, Template, Variables};

/// Whether `expression` finds `path`. `None`: it is refused.
pub fn expression_finds(expression: &str, path: &str) -> Option<bool> {
    PathRegex::parse(expression).ok().map(|expression| expression.matches(path))
}

/// The value of the template `text` for a request for `uri` with these fields. The outer `None`: it is refused.
pub fn template_value(text: &str, uri: &Uri, headers: &HeaderMap) -> Option<Option<HeaderValue>> {
    let template = Template::parse(text).ok()?;
    let variables = Variables {
        client_address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        host: "chat.example.com:8443",
        scheme: "https",
        request_id: &HeaderValue::from_static("1"),
        uri,
        headers,
        may_say: |_| true,
        owned: None,
    };
    Some(template.value(&variables))
}

/// The path that a node gets for `path`, and the one that a client gets back for it. `None`: a prefix is refused.
pub fn rewritten(strip: &str, add: &str, path: &str) -> Option<(String, Option<String>)> {
    let rewrite =
        PathRewrite::new(Some(PathPrefix::parse(strip).ok()?), Some(PathPrefix::parse(add).ok()?))?;
    let mut target = String::new();
    rewrite.write_for_node(path, &mut target);
    let back = rewrite.for_client(&target);
    Some((target, back))
}
