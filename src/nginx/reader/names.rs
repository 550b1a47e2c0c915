//! Names of directives by which a line can be seen to begin a directive, although the one before it has no
//! `;`.
//!
//! Pure. Runs at start, at reload, or on a timer.

/// Whether `word`, at the beginning of a line, is the name of a directive.
pub(super) fn is_directive(word: &str) -> bool {
    let is_family = FAMILIES.iter().any(|family| word.starts_with(family));
    let is_plain = word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    is_plain && (is_family && word.len() < LENGTH_MAX || NAMES.binary_search(&word).is_ok())
}

/// How the names of a module begin.
const FAMILIES: [&str; 9] =
    ["auth_", "client_", "fastcgi_", "gzip_", "keepalive_", "proxy_", "ssl_", "tcp_", "worker_"];

const LENGTH_MAX: usize = 40;

/// In alphabetical order.
const NAMES: [&str; 47] = [
    "access_log",
    "add_header",
    "alias",
    "allow",
    "autoindex",
    "charset",
    "default_type",
    "deny",
    "error_log",
    "error_page",
    "events",
    "expires",
    "gzip",
    "hash",
    "http",
    "if",
    "include",
    "index",
    "internal",
    "ip_hash",
    "keepalive",
    "least_conn",
    "limit_conn",
    "limit_conn_zone",
    "limit_except",
    "limit_rate",
    "limit_req",
    "limit_req_zone",
    "listen",
    "location",
    "log_format",
    "map",
    "resolver",
    "return",
    "rewrite",
    "root",
    "satisfy",
    "send_timeout",
    "sendfile",
    "server",
    "server_name",
    "server_tokens",
    "set",
    "try_files",
    "types",
    "upstream",
    "zone",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_in_order() {
        assert!(NAMES.is_sorted());
        for name in ["proxy_pass", "location", "zone"] {
            assert!(is_directive(name), "{name}");
        }
        for word in ["application/json", "proxy-1", "http://a", "example.com", "Upgrade"] {
            assert!(!is_directive(word), "{word}");
        }
    }
}
