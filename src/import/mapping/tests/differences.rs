//! What is otherwise than with nginx, and what is said of it.

use super::*;

#[test]
fn the_server_with_websockets_keeps_its_name_on_all_ports() {
    let plain = "server { listen 80; server_name a.example; location / { root /srv; } }";
    let io = "server { listen 81; server_name a.example; location /socket.io/ { proxy_pass http://io:1; } }";
    check(&format!("{plain} {io}"), &["- path: /socket.io/ upstream: io-1"], &["server-names"]);
    let all = "server { listen 81; location /socket.io/ { proxy_pass http://io:1; } }";
    check(&format!("{plain} {all}"), &["host: a.example path: / files: root: /srv"], &["ports"]);
    check(&format!("{plain} {}", plain.replace("80", "81")), &[], &["server-names"]);
}

#[test]
fn a_redirect_is_that_of_nginx_or_reported() {
    let tls = "server { listen 443 ssl; server_name a.example; ssl_certificate /c.pem; ssl_certificate_key /k.pem; location / { proxy_pass http://a:1; } }";
    let redirect =
        |to: &str| format!("server {{ listen 80; server_name a.example; return 301 {to}; }} {tls}");
    let noted = |text: &str| ids(&imported(text), Level::Note).contains(&"redirect-hosts");
    assert!(!noted(&redirect("https://a.example$request_uri")));
    assert!(!noted(&redirect("https://$host$request_uri")));
    assert!(noted(&redirect("https://www.a.example$request_uri")));
    check(&redirect("https://$host:8443$request_uri"), &["redirect_http: 8443"], &[]);
    check(
        "server { listen 80; server_name a.example; return 301 https://b.example$request_uri; } server { listen 80 default_server; location / { proxy_pass http://a:1; } }",
        &["host: a.example path: / redirect: to: \"https://b.example${target}\" status: 301"],
        &[],
    );
}

#[test]
fn the_location_of_a_service_is_as_open_as_it_was() {
    let of = |service: &str| {
        format!(
            "location / {{ auth_request /check; {APP} }} location = /check {{ {service} proxy_pass http://auth:1/; }}"
        )
    };
    check_server(&of("internal;"), &["exact: /check respond: status: 404"], &[]);
    check_server(&of(""), &["exact: /check upstream: auth-1"], &[]);
}

#[test]
fn a_map_that_decides_where_requests_go_is_reported_and_its_default_is_taken() {
    check(
        "map $http_host $to { default a:1; b.example b:1; } server { location / { proxy_pass http://$to; } }",
        &["path: / upstream: a-1"],
        &["map"],
    );
    check(
        "map $uri $to { /x b:1; } server { location / { proxy_pass http://$to; } location /a { proxy_pass http://a:1; } }",
        &["path: / respond: status: 501"],
        &["proxy-pass"],
    );
}

#[test]
fn what_a_query_adds_is_left_out_and_reported() {
    let import = imported("server { location = /a { proxy_pass http://a:1/b?c=d&$args; } }");
    assert!(yaml(&import).contains("add_prefix: /b"), "{}", yaml(&import));
    assert!(ids(&import, Level::Note).contains(&"proxy-path"));
}

#[test]
fn what_holds_after_a_jump_is_what_the_named_location_says() {
    check_server(
        "location / { try_files /none @app; } location @app { proxy_pass http://a:1; add_header X-A b always; }",
        &["path: / upstream: a-1 response_headers: set: X-A: b"],
        &[],
    );
}

#[test]
fn what_several_servers_say_alike_is_said_once() {
    let server = |name: &str, ssl: &str| {
        format!(
            "server {{ listen 443 ssl; http2 on; server_name {name}; ssl_certificate /c.pem; ssl_certificate_key /k.pem; {ssl} location / {{ proxy_pass http://a:1; }} }}"
        )
    };
    let alike = "ssl_protocols TLSv1.3; keepalive_timeout 70;";
    check(
        &format!("{} {}", server("a.example", alike), server("b.example", alike)),
        &["min_version: \"1.3\" http2: on keep_alive_timeout: 70s"],
        &[],
    );
    check(
        &format!(
            "{} {}",
            server("a.example", alike),
            server("b.example", "ssl_protocols TLSv1.2;")
        ),
        &["min_version: \"1.3\""],
        &["not-carried"],
    );
}

#[test]
fn fields_of_redirects_and_cookies_are_reported_if_they_are_more_than_paths() {
    check_server(
        "location / { proxy_pass http://a:1; proxy_cookie_path / \"/; secure\"; proxy_redirect off; }",
        &[],
        &["not-carried"],
    );
    check_server(
        "location / { proxy_pass http://a:1; proxy_set_header Host $proxy_host; proxy_cookie_path / /a; }",
        &[],
        &[],
    );
}

#[test]
fn an_expression_that_became_a_prefix_is_asked_like_one_and_that_is_said() {
    let import = imported(
        "server { location ~ ^/a/x { proxy_pass http://a:1; } location /a/xy/ { proxy_pass http://b:1; } }",
    );
    let notes = ids(&import, Level::Note);
    assert!(notes.contains(&"path"), "{notes:?}");
    let import = imported(
        "server { location ~ ^/a/x { proxy_pass http://a:1; } location /a/x/y/ { proxy_pass http://b:1; } }",
    );
    assert!(ids(&import, Level::Note).contains(&"regex-order"));
}

#[test]
fn a_target_that_a_condition_changes_is_the_one_without_it() {
    check_server(
        "set $to a:1; if ($http_upgrade) { set $to b:1; } location / { proxy_pass http://$to; }",
        &["path: / upstream: a-1"],
        &["if-upgrade", "map"],
    );
}
