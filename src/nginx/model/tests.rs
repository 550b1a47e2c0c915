//! What nginx does with a configuration.

use super::*;
use crate::nginx::reader::parse;

fn model(text: &str) -> Model {
    Model::new(&parse("a.conf", text).directives)
}

/// The words behind `location` that serve `path`.
fn location(model: &Model, path: &str) -> String {
    let selection = model.select(None, "a.example", path).unwrap();
    let slash = if selection.is_slash_missing { " slash" } else { "" };
    let shown = selection.location.map_or("none", |location| &*location.shown);
    format!("{}{slash}", shown.trim_start_matches("location "))
}

#[test]
fn a_location_is_chosen_as_nginx_does_it() {
    let model = model(
        "server { location / { } location = /a { } location /a/ { proxy_pass http://x; } location ^~ /a/b { }
           location ~ \\.js$ { } location ~* \\.PNG$ { location /a/c.png { } } location @n { }
           location /n/ { location /n/m/ { } location ~ ^/n/.*\\.js$ { } } location ^~ /d/ { location ~ \\.js$ { } } }",
    );
    let check = |path: &str, expected: &str| assert_eq!(location(&model, path), expected, "{path}");
    check("/", "/");
    check("/a", "= /a");
    check("/ab", "/");
    check("/a/", "/a/");
    check("/a/x.js", "~ \\.js$");
    check("/a/b.js", "^~ /a/b");
    check("/x.png", "~* \\.PNG$");
    check("/a/c.png", "/a/c.png");
    check("/n/x", "/n/");
    check("/n/m/x", "/n/m/");
    check("/n/x.js", "~ ^/n/.*\\.js$");
    check("/d/x", "^~ /d/");
    check("/d/x.js", "~ \\.js$");
}

#[test]
fn the_path_without_the_slash_of_a_proxy_is_redirected() {
    let model = model(
        "server { location / { } location /a/ { proxy_pass http://x; } location /b/ { root /x; } }",
    );
    assert_eq!(location(&model, "/a"), "/ slash");
    assert_eq!(location(&model, "/b"), "/");
}

#[test]
fn a_server_is_chosen_by_port_and_name() {
    let model = model(
        "http { server { listen 80; server_name a.example; } server { listen 80 default_server; server_name _; }
                server { listen 81; server_name *.a.example; } server { listen 81; server_name x.a.example; } }",
    );
    let line =
        |port: Option<u16>, host: &str| model.server(port, host).map(|server| server.at.column);
    let first = line(Some(80), "a.example");
    assert_ne!(first, line(Some(80), "other"), "the default server");
    assert_ne!(line(Some(81), "x.a.example"), line(Some(81), "y.a.example"));
    assert_eq!(line(Some(81), "other"), line(Some(81), "y.a.example"), "the first one");
    assert_eq!(line(Some(82), "a.example"), None);
    assert_eq!(line(None, "a.example"), first);
}

#[test]
fn settings_are_inherited_and_lists_are_not_merged() {
    let model = model(
        "http { proxy_read_timeout 1s; proxy_set_header A 1; proxy_set_header B 2;
           server { proxy_read_timeout 2s; location /a { proxy_set_header C 3; location /a/b { } } location /c { } } }",
    );
    let level = |path: &str| model.select(None, "x", path).unwrap().level();
    let fields = |path: &str| {
        let all = model.effective_all(level(path), "proxy_set_header");
        all.iter().filter_map(|it| it.argument(0)).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        (fields("/a"), fields("/a/b"), fields("/c")),
        ("C".into(), "C".into(), "A B".into())
    );
    assert_eq!(model.value(level("/a/b"), "proxy_read_timeout"), Some("2s"));
    assert_eq!(model.value(Model::HTTP, "proxy_read_timeout"), Some("1s"));
    assert_eq!(model.value(level("/c"), "root"), None);
}

#[test]
fn constants_are_put_into_texts() {
    let model = model(
        "map $uri $one { default 1; } map $uri $two { default 1; /a 2; }
         server { set $host_of app; set $up http://$host_of:3000; set $x 1; if ($a) { set $x 2; } set $self $self;
           location /a { set $host_of other; } }",
    );
    let check = |path: &str, text: &str, expected: &str| {
        let level = model.select(None, "x", path).unwrap().level();
        assert_eq!(model.fold(level, text), expected, "{path} {text}");
    };
    check("/", "$up/${uri}", "http://app:3000/${uri}");
    check("/a", "$up", "http://other:3000");
    check("/", "$one$two$x", "1${two}${x}");
    check("/", "$self $1a $$", "${self} ${1}a $$");
    check("/", "plain", "plain");
}

#[test]
fn an_upstream_has_servers_and_a_method() {
    let of = |text: &str| model(&format!("upstream u {{ {text} }}")).upstreams.remove(0);
    let upstream =
        of("server a:1 weight=3 max_fails=2; server b backup; server unix:/s down; least_conn;");
    let servers: Vec<_> = upstream
        .servers
        .iter()
        .map(|it| (&*it.address, it.weight, it.is_backup, it.is_down))
        .collect();
    assert_eq!(
        servers,
        [("a:1", 3, false, false), ("b", 1, true, false), ("unix:/s", 1, false, true)]
    );
    assert_eq!(upstream.servers[0].parameter("max_fails"), Some("2"));
    assert_eq!(upstream.method, Method::LeastConnections);
    assert_eq!(of("ip_hash; server a;").method, Method::IpHash);
    assert_eq!(of("hash $remote_addr consistent;").method, Method::Hash("$remote_addr".to_owned()));
    assert_eq!(of("sticky cookie srv expires=1h;").method, Method::StickyCookie("srv".to_owned()));
    assert_eq!(of("sticky name=srv;").method, Method::StickyCookie("srv".to_owned()));
    assert_eq!(of("sticky;").method, Method::StickyCookie("route".to_owned()));
    assert_eq!(of("sticky learn create=$a lookup=$b;").method, Method::StickyOther);
    assert!(!of("random two;").is_sticky() && of("ip_hash;").is_sticky());
}

#[test]
fn a_part_of_a_configuration_gets_a_server() {
    let snippet = model("location /ws { proxy_pass http://a; } proxy_set_header A 1;");
    assert!(snippet.is_snippet);
    assert_eq!(location(&snippet, "/ws"), "/ws");
    let level = snippet.select(None, "x", "/ws").unwrap().level();
    assert!(snippet.effective(level, "proxy_set_header").is_some());
    let inside = model("proxy_pass http://a; proxy_set_header A 1;");
    assert_eq!(location(&inside, "/ws"), "/");
    let nothing = model("proxy_set_header A 1;");
    assert!(nothing.is_snippet && nothing.servers.is_empty());
    let refused = model("http { location / { } server { } }");
    assert_eq!(refused.findings.iter().filter(|it| it.id == "location-outside").count(), 1);
    assert!(!refused.is_snippet);
}

#[test]
fn both_spellings_of_http2_and_the_old_one_of_tls_are_known() {
    let listens = |text: &str| {
        let listen = model(&format!("server {{ {text} }}")).servers.remove(0).listens.remove(0);
        (listen.is_tls, listen.is_http2)
    };
    assert_eq!(listens("listen 443 ssl http2;"), (true, true));
    assert_eq!(listens("listen 443 ssl; http2 on;"), (true, true));
    assert_eq!(listens("listen 443; ssl on;"), (true, false));
    assert_eq!(listens("root /x;"), (false, false));
}
