//! Directives that have no meaning for Sockeye, and why.
//!
//! Pure. Runs at start, at reload, or on a timer.

/// Why Sockeye needs nothing for the directive `name`; `None`: it may.
pub(super) fn why(name: &str) -> Option<&'static str> {
    let exact = EXACT.iter().find(|(names, _)| names.contains(&name));
    let family = FAMILIES.iter().find(|(start, _)| name.starts_with(start));
    exact.map(|(_, why)| *why).or_else(|| family.map(|(_, why)| *why))
}

const BODIES: &str = "bodies are passed on as they arrive, and nothing is buffered on disk";
const CONNECTIONS: &str = "connections to nodes are kept and reused";
const PROCESS: &str = "one process, with a worker for each core";
const SOCKETS: &str = "sockets are set up for low latency";
const LOGS: &str = "log: of the new file says what is logged";
const RETRIES: &str = "only what cannot have reached a node is sent again";
const TLS: &str = "the ciphers and sessions of TLS have safe defaults";
const COMPRESSION: &str = "compress: has defaults for it";
const FILES: &str = "files are opened for each request, and the system caches them";
const TYPES: &str = "the types of files are known";
const PATHS: &str = "paths in Location and Set-Cookie are those of the client";
const NO_CACHE: &str = "Sockeye has no cache of responses";

/// Whole names.
const EXACT: &[(&[&str], &str)] = &[
    (
        &["events", "user", "daemon", "master_process", "pid", "lock_file", "load_module", "env"],
        PROCESS,
    ),
    (
        &[
            "working_directory",
            "timer_resolution",
            "pcre_jit",
            "thread_pool",
            "use",
            "multi_accept",
        ],
        PROCESS,
    ),
    (&["accept_mutex", "accept_mutex_delay", "debug_connection", "worker_processes"], PROCESS),
    (
        &[
            "sendfile",
            "sendfile_max_chunk",
            "tcp_nopush",
            "tcp_nodelay",
            "reset_timedout_connection",
        ],
        SOCKETS,
    ),
    (&["lingering_close", "lingering_time", "lingering_timeout", "postpone_output"], SOCKETS),
    (
        &[
            "aio",
            "aio_write",
            "directio",
            "output_buffers",
            "read_ahead",
            "etag",
            "if_modified_since",
        ],
        FILES,
    ),
    (&["max_ranges", "disable_symlinks"], FILES),
    (&["proxy_http_version"], "nodes are spoken to in HTTP/1.1"),
    (&["proxy_redirect", "proxy_cookie_path", "port_in_redirect", "absolute_redirect"], PATHS),
    (&["server_name_in_redirect"], PATHS),
    (&["proxy_buffering", "proxy_buffers", "proxy_buffer_size", "proxy_busy_buffers_size"], BODIES),
    (
        &["proxy_request_buffering", "proxy_max_temp_file_size", "proxy_temp_file_write_size"],
        BODIES,
    ),
    (&["proxy_temp_path", "client_body_buffer_size", "client_body_temp_path"], BODIES),
    (&["client_body_in_file_only", "client_body_in_single_buffer", "proxy_ignore_headers"], BODIES),
    (&["proxy_cache_bypass", "proxy_no_cache", "proxy_cache_revalidate"], NO_CACHE),
    (
        &["proxy_socket_keepalive", "keepalive", "keepalive_time", "zone", "state", "ntlm"],
        CONNECTIONS,
    ),
    (&["proxy_headers_hash_max_size", "proxy_headers_hash_bucket_size"], "fields need no table"),
    (
        &["types_hash_max_size", "types_hash_bucket_size", "variables_hash_max_size"],
        "nothing is hashed",
    ),
    (
        &["variables_hash_bucket_size", "map_hash_max_size", "map_hash_bucket_size"],
        "nothing is hashed",
    ),
    (&["server_names_hash_max_size", "server_names_hash_bucket_size"], "nothing is hashed"),
    (
        &[
            "types",
            "default_type",
            "charset",
            "charset_types",
            "override_charset",
            "source_charset",
        ],
        TYPES,
    ),
    (&["access_log", "error_log", "log_format", "log_not_found", "log_subrequest"], LOGS),
    (&["rewrite_log", "uninitialized_variable_warn"], LOGS),
    (&["server_tokens"], "responses do not name Sockeye"),
    (
        &["merge_slashes", "underscores_in_headers", "ignore_invalid_headers"],
        "requests are strictly parsed",
    ),
    (
        &["chunked_transfer_encoding", "request_pool_size", "connection_pool_size"],
        "memory is bounded",
    ),
    (
        &["client_header_buffer_size", "large_client_header_buffers"],
        "head_max of a listener has 64KiB",
    ),
    (
        &["keepalive_disable", "send_lowat", "recursive_error_pages", "resolver_timeout"],
        "nothing like it exists",
    ),
    (
        &["send_timeout", "client_body_timeout"],
        "request_body_timeout and tunnel.stalled_client have defaults",
    ),
    (&["ssl_prefer_server_ciphers", "ssl_ciphers", "ssl_ecdh_curve", "ssl_dhparam", "ssl"], TLS),
    (&["ssl_buffer_size", "ssl_early_data", "ssl_conf_command", "ssl_reject_handshake"], TLS),
    (
        &["ssl_stapling", "ssl_stapling_verify", "ssl_stapling_file"],
        "tls.ocsp is a file that others renew",
    ),
    (&["ssl_trusted_certificate"], "it is only for OCSP"),
    (&["proxy_ssl_protocols", "proxy_ssl_ciphers", "proxy_ssl_session_reuse"], TLS),
    (&["proxy_ssl_verify_depth", "proxy_ssl_conf_command"], TLS),
    (&["proxy_pass_header"], "fields of nodes are passed on"),
    (
        &["brotli_static", "gzip_static", "gunzip", "zstd_static"],
        "app.js.gz, .br and .zst are found",
    ),
    (
        &["http2_max_concurrent_streams", "http2_recv_timeout", "http2_idle_timeout"],
        "HTTP/2 is bounded",
    ),
    (&["http2_push_preload", "http2_max_requests", "http2_max_field_size"], "HTTP/2 is bounded"),
    (
        &["http3", "quic_retry", "ssl_quic"],
        "HTTP/3 has no WebSockets that clients of Socket.IO use",
    ),
    (&["real_ip_recursive"], "X-Forwarded-For is read up to the first address that is not trusted"),
    (&["limit_req_status", "limit_conn_status"], "a client with too many requests gets 429"),
    (&["limit_req_log_level", "limit_conn_log_level"], LOGS),
    (&["proxy_pass_request_headers"], "requests are passed on as they are"),
    (&["break", "msie_padding", "satisfy"], "it changes nothing here"),
    (&["root", "index"], "nothing that is carried over reads files there"),
];

/// How names of families begin.
const FAMILIES: &[(&str, &str)] = &[
    ("worker_", PROCESS),
    ("open_file_cache", FILES),
    ("open_log_file", LOGS),
    ("proxy_next_upstream", RETRIES),
    ("ssl_session", TLS),
    ("gzip_", COMPRESSION),
    ("brotli_", COMPRESSION),
    ("zstd_", COMPRESSION),
    ("http2_chunk", "HTTP/2 is bounded"),
    ("http3_", "HTTP/3 has no WebSockets that clients of Socket.IO use"),
    ("proxy_cache_", NO_CACHE),
    ("fastcgi_cache_", NO_CACHE),
    ("keepalive_", CONNECTIONS),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_has_one_reason() {
        let all: Vec<&str> = EXACT.iter().flat_map(|(names, _)| names.iter().copied()).collect();
        for name in &all {
            assert_eq!(all.iter().filter(|other| other == &name).count(), 1, "{name}");
        }
        assert_eq!(why("worker_connections"), Some(PROCESS));
        assert_eq!(why("proxy_next_upstream_tries"), Some(RETRIES));
        assert_eq!(why("fastcgi_pass"), None);
        assert_eq!(why("proxy_pass"), None);
    }
}
