//! What nginx refuses to load is found by us, and what it accepts is not said to be refused.

use std::process::Stdio;

use sockeye::internal::nginx::{Model, findings, parse};
use tokio::process::Command;

/// The mistakes for which nginx does not load a file.
const REFUSED: [&str; 12] = [
    "unknown-variable",
    "misplaced",
    "directive-twice",
    "location-twice",
    "unknown-directive",
    "uri-not-allowed",
    "no-certificate",
    "backup-with-hash",
    "zone-unknown",
    "upstream-twice",
    "listen-twice",
    "arguments",
];

/// What stands within `http`; `PASS` is a target.
const TRIED: [&str; 47] = [
    "server { location / { PASS; proxy_set_header Connection $connection_upgrade; } }",
    "map $http_upgrade $connection_upgrade { default a; } server { location / { PASS; proxy_set_header Connection $connection_upgrade; } }",
    "server { location / { PASS; proxy_set_header Connection $proxy_connection; } }",
    "server { location / { PASS; proxy_set_header Connection $http_connection; } }",
    "server { location / { set $a b; PASS; proxy_set_header Connection $a; } }",
    "server { location / { if ($host) { proxy_set_header A 1; } } }",
    "server { location / { if ($host) { proxy_http_version 1.1; } } }",
    "server { location / { if ($host) { PASS; } } }",
    "server { location / { if ($host) { return 403; } } }",
    "server { limit_req_zone $binary_remote_addr zone=a:1m rate=1r/s; }",
    "limit_req_zone $binary_remote_addr zone=a:1m rate=1r/s; server { limit_req zone=a; }",
    "server { map $host $b { default 1; } }",
    "server { upstream a { server 127.0.0.1:1; } }",
    "PASS; server { }",
    "server { PASS; }",
    "server { location / { PASS; PASS; } }",
    "server { location / { PASS; proxy_read_timeout 1s; proxy_read_timeout 2s; } }",
    "server { location / { PASS; proxy_hide_header A; proxy_hide_header B; } }",
    "server { location /a { } location /a { } }",
    "server { location /a { } location ^~ /a { } }",
    "server { location /a { } location = /a { } }",
    "server { location ~ /a { } location ~ /a { } }",
    "server { location / { proxy_response_buffering off; } }",
    "server { location / { health_check; } }",
    "server { location ~ ^/a { PASS/b; } }",
    "server { location ~ ^/a { PASS$request_uri; } }",
    "server { location @a { PASS/; } }",
    "server { location / { limit_except GET { PASS/; } } }",
    "server { location / { if ($host) { PASS/; } } }",
    "server { listen 127.0.0.1:1 ssl; }",
    "upstream a { ip_hash; server 127.0.0.1:1; server 127.0.0.1:2 backup; }",
    "upstream a { hash $uri; server 127.0.0.1:1; server 127.0.0.1:2 backup; }",
    "upstream a { server 127.0.0.1:1; server 127.0.0.1:2 backup; ip_hash; }",
    "upstream a { least_conn; server 127.0.0.1:1; server 127.0.0.1:2 backup; }",
    "server { location / { PASS; limit_req zone=a; } }",
    "server { location / { PASS; proxy_cache a; } }",
    "server { location / { PASS; proxy_cache off; } }",
    "upstream a { server 127.0.0.1:1; } upstream a { server 127.0.0.1:2; }",
    "server { listen 127.0.0.1:1; listen 127.0.0.1:1; }",
    "server { listen 127.0.0.1:1; } server { listen 127.0.0.1:1; }",
    "server { listen 127.0.0.1:1 default_server; } server { listen 127.0.0.1:1 default_server; }",
    "server { location / { PASS; proxy_set_header Connection keep-alive upgrade; } }",
    "server { location / { PASS; proxy_set_header Host; } }",
    "server { location / { return 200 a b; } }",
    "server { location / { add_header A b c d; } }",
    "server { location / { root /a /b; } }",
    "server { server_name a b c; location / { return 200 \"a b\"; } }",
];

#[tokio::test]
#[ignore = "needs nginx: cargo xtask edge"]
async fn what_nginx_refuses_is_found_and_nothing_else() {
    let mut faults = Vec::new();
    for tried in TRIED {
        let content = tried.replace("PASS", "proxy_pass http://127.0.0.1:1");
        let text = format!("events {{ }} http {{ {content} }}");
        let directives = parse("nginx.conf", &text).directives;
        let model = Model::new(&directives);
        let found = findings(&directives, &model);
        let found: Vec<&str> =
            found.iter().map(|it| it.id).filter(|id| REFUSED.contains(id)).collect();
        let refused = refusal(&text).await;
        if refused.is_some() == found.is_empty() {
            faults.push(format!("{tried}: nginx {refused:?}, found {found:?}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// What nginx says against `text`.
async fn refusal(text: &str) -> Option<String> {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().display();
    std::fs::create_dir(directory.path().join("logs")).unwrap();
    let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|name| format!("{name}_temp_path {root}/{name}; "))
        .collect();
    let text = text.replacen("http {", &format!("http {{ access_log off; {paths}"), 1);
    let file = directory.path().join("nginx.conf");
    std::fs::write(&file, format!("pid {root}/pid; {text}")).unwrap();
    let mut command = Command::new("nginx");
    command.args(["-t", "-e", "stderr", "-p"]).arg(directory.path()).arg("-c").arg(&file);
    let output = command.stdin(Stdio::null()).output().await.expect("nginx is installed");
    (!output.status.success()).then(|| String::from_utf8_lossy(&output.stderr).into_owned())
}
