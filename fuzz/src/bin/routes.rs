//! What a route is made of, a line each: an expression, a template, two prefixes and a target. Nothing of it
//! ends a line of a head, and a prefix that is removed comes back.

#![no_main]

use http::Uri;
use http::header::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use sockeye::internal::route::{expression_finds, rewritten, template_value};

fuzz_target!(|text: &str| {
    let mut lines = text.split('\n');
    let mut line = || lines.next().unwrap_or_default();
    let [expression, template, strip, add, target] = [(); 5].map(|()| line());
    let Ok(uri) = target.parse::<Uri>() else { return };
    let path = uri.path();
    let _ = expression_finds(expression, path);

    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_str(add) {
        headers.insert("cookie", value.clone());
        headers.insert("x-said", value);
    }
    if let Some(Some(value)) = template_value(template, &uri, &headers) {
        assert!(
            !value.as_bytes().iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)),
            "{template}"
        );
    }

    let is_path = |text: &str| text.starts_with('/') && !text.starts_with("//");
    if is_path(strip) && is_path(add) && is_path(path) {
        let Some((node, client)) = rewritten(strip, add, path) else { return };
        assert!(is_path(&node), "{strip} {add} {path}: {node}");
        let prefix = strip.trim_end_matches('/');
        assert!(client.is_none_or(|client| client.starts_with(prefix)), "{strip} {add} {path}");
    }
});
