//! Routes that answer without a node: files, redirects, responses of the configuration, and pages for errors.

use std::path::Path;

use bytes::Bytes;
use h2::client::SendRequest;
use http::Request;

use crate::support::http::Response;
use crate::support::http2;
use crate::support::websocket;
use crate::support::{
    Client, FakeNode, Proxy, Reply, Site, get, ok, open_packet, request, response,
};

/// A directory with an application, and what must not be served with it.
fn directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = directory.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("secret", "secret");
    write("www/index.html", "<h1>index</h1>");
    write("www/app.js", "0123456789");
    write("www/app.js.br", "BR");
    write("www/app.js.gz", "GZ");
    write("www/docs/index.html", "<h1>docs</h1>");
    write("www/private/a", "private");
    write("www/.env", "secret");
    write("www/.well-known/security.txt", "Contact: x");
    std::os::unix::fs::symlink("../secret", directory.path().join("www/out")).unwrap();
    std::os::unix::fs::symlink("app.js", directory.path().join("www/in.js")).unwrap();
    directory
}

fn www(directory: &tempfile::TempDir) -> String {
    directory.path().join("www").display().to_string()
}

/// A proxy for both versions of HTTP before `node`, with these routes.
fn proxy(node: &FakeNode, routes: &str) -> Proxy {
    Proxy::start(&yaml(node, routes))
}

fn yaml(node: &FakeNode, routes: &str) -> String {
    let address = node.address;
    format!(
        "listeners: [{{ bind: '127.0.0.1:0', http2: on }}]\n\
         upstreams: {{ chat: {{ nodes: ['{address}'], health: off }} }}\n\
         routes: [{routes}]\n"
    )
}

async fn ask(proxy: &Proxy, method: &str, target: &str, fields: &[&str]) -> Response {
    let mut client = Client::connect(proxy.address).await;
    client.send(request(method, target, fields, "")).await;
    client.response().await
}

#[tokio::test]
async fn files_are_sent_with_what_browsers_and_caches_need() {
    let (node, directory) = (FakeNode::start(|_| ok("node")).await, directory());
    let root = www(&directory);
    let proxy =
        proxy(&node, &format!("{{ files: {{ root: {root}, cache_control: max-age=60 }} }}"));

    let index = get(proxy.address, "/").await;
    assert_eq!((index.status(), &*index.text()), (200, "<h1>index</h1>"));
    assert_eq!(index.head.field("content-type"), Some("text/html"));
    assert_eq!(index.head.field("cache-control"), Some("no-cache"));
    assert!(index.head.field("x-request-id").is_some());

    let script = get(proxy.address, "/app.js").await;
    assert_eq!((script.status(), &*script.text()), (200, "0123456789"));
    assert_eq!(script.head.field("cache-control"), Some("max-age=60"));
    assert_eq!(script.head.field("vary"), Some("Accept-Encoding"));
    let (tag, date) =
        (script.head.field("etag").unwrap(), script.head.field("last-modified").unwrap());

    let check = async |fields: &[&str], status: u16, body: &str| {
        let response = ask(&proxy, "GET", "/app.js", fields).await;
        assert_eq!((response.status(), &*response.text()), (status, body), "{fields:?}");
        response
    };
    check(&[&format!("If-None-Match: {tag}")], 304, "").await;
    check(&[&format!("If-None-Match: W/{tag}")], 304, "").await;
    check(&[&format!("If-Modified-Since: {date}")], 304, "").await;
    check(&["If-Match: \"other\""], 412, "").await;
    let part = check(&["Range: bytes=2-4"], 206, "234").await;
    assert_eq!(part.head.field("content-range"), Some("bytes 2-4/10"));
    check(&["Range: bytes=2-4", &format!("If-Range: {tag}")], 206, "234").await;
    check(&["Range: bytes=2-4", "If-Range: \"other\""], 200, "0123456789").await;
    check(&["Range: bytes=2-4,6-7"], 200, "0123456789").await;
    check(&["Range: bytes=20-"], 416, "").await;
    let all = check(&["Range: bytes=-1000"], 206, "0123456789").await;
    assert_eq!(all.head.field("content-range"), Some("bytes 0-9/10"));
    let lines = ["If-None-Match: \"other\"", &format!("If-None-Match: {tag}")];
    let known = check(&lines, 304, "").await;
    assert_eq!(known.head.field("vary"), Some("Accept-Encoding"));
    assert_eq!(known.head.field("cache-control"), Some("max-age=60"));
    let failed = check(&["If-Match: \"other\""], 412, "").await;
    assert_eq!(failed.head.field("cache-control"), None);
    let gzip = check(&["Accept-Encoding: gzip"], 200, "GZ").await;
    assert_eq!(gzip.head.field("content-encoding"), Some("gzip"));
    assert_ne!(gzip.head.field("etag"), Some(tag));
    check(&["Accept-Encoding: gzip, br"], 200, "BR").await;
    check(&["Accept-Encoding: zstd"], 200, "0123456789").await;
    check(&["Accept-Encoding: identity;q=1, gzip;q=0.5"], 200, "0123456789").await;
    let path = directory.path().join("www/app.js.zst");
    std::fs::write(path, "ZST").unwrap();
    let zstd = check(&["Accept-Encoding: gzip, deflate, br, zstd"], 200, "ZST").await;
    assert_eq!(zstd.head.field("content-encoding"), Some("zstd"));
    assert!(node.requests().is_empty());
}

#[tokio::test]
async fn head_says_what_get_would_and_both_versions_of_http_say_the_same() {
    let (node, directory) = (FakeNode::start(|_| ok("node")).await, directory());
    let proxy = proxy(&node, &format!("{{ files: {{ root: {} }} }}", www(&directory)));
    let mut client = Client::connect(proxy.address).await;
    client.send(request("HEAD", "/app.js", &[], "")).await;
    client.send(request("GET", "/", &["Connection: close"], "")).await;
    let all = String::from_utf8(client.until_end().await).unwrap().to_lowercase();
    assert!(all.contains("content-length: 10\r\n"), "{all}");
    assert!(all.ends_with("<h1>index</h1>") && !all.contains("0123456789"), "{all}");

    let mut requests = http2::connect(proxy.address).await;
    let check = async |requests: &mut SendRequest<Bytes>, method: &str, status: u16, body: &str| {
        let request = Request::builder().method(method).uri("http://test/app.js").body(()).unwrap();
        let (head, received) = http2::ask(requests, request).await.into_parts();
        assert_eq!(head.status, status, "{method}");
        assert_eq!(http2::received(received).await, body.as_bytes(), "{method}");
        head.headers
    };
    assert_eq!(check(&mut requests, "GET", 200, "0123456789").await["content-length"], "10");
    assert_eq!(check(&mut requests, "HEAD", 200, "").await["content-length"], "10");
    let request = Request::post("http://test/app.js").body(()).unwrap();
    let head = http2::ask(&mut requests, request).await.into_parts().0;
    assert_eq!((head.status.as_u16(), head.headers["allow"].to_str().unwrap()), (405, "GET, HEAD"));
}

#[tokio::test]
async fn a_range_is_for_get_alone_and_an_empty_file_has_none() {
    let (node, directory) = (FakeNode::start(|_| ok("node")).await, directory());
    std::fs::write(directory.path().join("www/empty"), "").unwrap();
    let proxy = proxy(&node, &format!("{{ files: {{ root: {} }} }}", www(&directory)));
    let mut client = Client::connect(proxy.address).await;
    client.send(request("HEAD", "/app.js", &["Range: bytes=2-4", "Connection: close"], "")).await;
    let head = String::from_utf8(client.until_end().await).unwrap().to_lowercase();
    assert!(head.starts_with("http/1.1 200 "), "{head}");
    assert!(head.contains("content-length: 10\r\n") && !head.contains("content-range"), "{head}");

    let empty = ask(&proxy, "GET", "/empty", &["Range: bytes=0-"]).await;
    assert_eq!((empty.status(), empty.head.field("content-length")), (200, Some("0")));
    assert_eq!(empty.head.field("content-range"), None);
}

#[tokio::test]
async fn a_compressed_file_that_cannot_be_opened_leaves_the_plain_one() {
    let (node, directory) = (FakeNode::start(|_| ok("node")).await, directory());
    let root = Path::new(&www(&directory)).to_owned();
    std::os::unix::fs::symlink("style.css.br", root.join("style.css.br")).unwrap();
    std::fs::create_dir(root.join("style.css.gz")).unwrap();
    std::fs::write(root.join("style.css"), "p {}").unwrap();
    let proxy = proxy(&node, &format!("{{ files: {{ root: {} }} }}", www(&directory)));
    for coding in ["br", "gzip", "br, gzip"] {
        let field = format!("Accept-Encoding: {coding}");
        let response = ask(&proxy, "GET", "/style.css", &[&field]).await;
        assert_eq!((response.status(), &*response.text()), (200, "p {}"), "{coding}");
        let mut client = Client::connect(proxy.address).await;
        client.send(request("HEAD", "/style.css", &[&field, "Connection: close"], "")).await;
        let head = String::from_utf8(client.until_end().await).unwrap().to_lowercase();
        assert!(head.contains("content-length: 4\r\n"), "{head}");
        assert!(!head.contains("content-encoding"), "{head}");
    }
}

#[tokio::test]
async fn the_rules_for_an_index_hold_for_its_directory() {
    let (node, directory) = (FakeNode::start(|_| ok("node")).await, directory());
    let root = www(&directory);
    let proxy = proxy(
        &node,
        &format!(
            "{{ files: {{ root: {root} }} }}, \
             {{ path: {{ exact: /docs/index.html }}, files: {{ root: {root} }}, deny: [127.0.0.0/8] }}, \
             {{ path: {{ exact: /index.html }}, redirect: {{ to: / }} }}"
        ),
    );
    assert_eq!(get(proxy.address, "/docs/index.html").await.status(), 403);
    let response = get(proxy.address, "/docs/?x=1").await;
    assert_eq!(
        (response.status(), response.head.field("location")),
        (307, Some("/docs/index.html?x=1"))
    );
    // A redirect to the directory is no rule for its index.
    assert_eq!(get(proxy.address, "/").await.text(), "<h1>index</h1>");
    assert_eq!(get(proxy.address, "/index.html").await.head.field("location"), Some("/"));
}

#[tokio::test]
async fn nothing_hidden_nothing_outside_and_nothing_of_another_route_is_served() {
    let (node, directory) = (FakeNode::start(|_| ok("node")).await, directory());
    let root = www(&directory);
    let proxy = proxy(
        &node,
        &format!(
            "{{ files: {{ root: {root} }} }}, \
             {{ path: /private/, files: {{ root: {root} }}, deny: [127.0.0.0/8] }}"
        ),
    );
    let check = async |target: &str, status: u16| {
        let response = get(proxy.address, target).await;
        assert_eq!(response.status(), status, "{target}");
        assert!(!response.text().contains("secret"), "{target}");
    };
    for target in
        ["/out", "/.env", "/%2eenv", "//app.js", "/docs//index.html", "/docs%2findex.html"]
    {
        check(target, 404).await;
    }
    for target in ["/../secret", "/..%2fsecret", "/%2e%2e/secret", "/a%5c..%5csecret", "/app.js%00"]
    {
        check(target, 400).await;
    }
    check("/.well-known/security.txt", 200).await;
    check("/in.js", 200).await;
    check("/app%2Ejs", 200).await;
    check("/private/a", 403).await;
    check("/%70rivate/a", 400).await;
    check("/app.js/", 404).await;
    check("/app.js/x", 404).await;
    check(&format!("/{}", "a".repeat(300)), 404).await;
}

#[tokio::test]
async fn a_named_pipe_is_no_file_and_blocks_nobody() {
    let (node, directory) = (FakeNode::start(|_| ok("node")).await, directory());
    let pipe = Path::new(&www(&directory)).join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let proxy = proxy(&node, &format!("{{ files: {{ root: {} }} }}", www(&directory)));
    assert_eq!(get(proxy.address, "/pipe").await.status(), 404);
}

#[tokio::test]
async fn a_directory_leads_to_its_index_with_prefix_and_query() {
    let (node, directory) = (FakeNode::start(|_| ok("node")).await, directory());
    let route =
        format!("{{ path: /site/, strip_prefix: /site, files: {{ root: {} }} }}", www(&directory));
    let proxy = proxy(&node, &route);
    let response = get(proxy.address, "/site/docs?x=1").await;
    assert_eq!(
        (response.status(), response.head.field("location")),
        (308, Some("/site/docs/?x=1"))
    );
    assert_eq!(get(proxy.address, "/site/docs/").await.text(), "<h1>docs</h1>");
    assert_eq!(get(proxy.address, "/site/").await.text(), "<h1>index</h1>");
    assert_eq!(get(proxy.address, "/docs/").await.status(), 404);

    let route =
        format!("{{ path: /site, strip_prefix: /site, files: {{ root: {} }} }}", www(&directory));
    let proxy = super::site::proxy(&node, &route);
    let response = get(proxy.address, "/site?x=1").await;
    assert_eq!((response.status(), response.head.field("location")), (308, Some("/site/?x=1")));
    assert_eq!(get(proxy.address, "/site/").await.text(), "<h1>index</h1>");
}

#[tokio::test]
async fn an_application_with_paths_of_its_own_gets_its_page_and_a_missing_script_is_missing() {
    let (node, directory) = (FakeNode::start(|_| ok("node")).await, directory());
    let route = format!("{{ files: {{ root: {}, fallback: index.html }} }}", www(&directory));
    let proxy = proxy(&node, &route);
    let check = async |target: &str, fields: &[&str], status: u16| {
        let response = ask(&proxy, "GET", target, fields).await;
        assert_eq!(response.status(), status, "{target} {fields:?}");
        assert_eq!(response.text().contains("<h1>index</h1>"), status == 200, "{target}");
    };
    check("/users/7", &[], 200).await;
    check("/users/", &["Accept: */*"], 200).await;
    check("/users/a.b", &["Accept: text/html,*/*;q=0.8"], 200).await;
    check("/assets/gone.js", &["Accept: */*"], 404).await;
    check("/assets/gone.js", &["Accept: text/html;q=0, */*"], 404).await;
    check("/users/7", &["Accept: application/json, text/html;q=0"], 404).await;
}

#[tokio::test]
async fn what_is_no_file_goes_to_the_upstream_and_so_does_what_only_a_node_has() {
    let node = FakeNode::start(|request| ok(&format!("node {}", request.head.method))).await;
    let directory = directory();
    let route = format!("{{ files: {{ root: {} }}, upstream: chat }}", www(&directory));
    let proxy = proxy(&node, &route);
    assert_eq!(get(proxy.address, "/app.js").await.text(), "0123456789");
    assert_eq!(get(proxy.address, "/api").await.text(), "node GET");
    assert_eq!(get(proxy.address, "/.env").await.text(), "node GET");
    assert_eq!(ask(&proxy, "POST", "/app.js", &[]).await.text(), "node POST");
    assert_eq!(get(proxy.address, "/app.js?EIO=4&transport=websocket").await.text(), "node GET");
    let (_, response) = websocket::ask(proxy.address, "/app.js", &[]).await;
    assert_eq!(response.text(), "node GET");
}

#[tokio::test]
async fn a_route_of_files_says_what_it_does_not_do() {
    let (node, directory) = (FakeNode::start(|_| ok("node")).await, directory());
    let route = format!("{{ files: {{ root: {}, fallback: index.html }} }}", www(&directory));
    let proxy = proxy(&node, &route);
    let post = ask(&proxy, "POST", "/", &[]).await;
    assert_eq!((post.status(), post.head.field("allow")), (405, Some("GET, HEAD")));

    let (_, refused) = websocket::ask(proxy.address, "/socket.io/", &[]).await;
    assert_eq!(refused.status(), 404);
    assert!(refused.text().contains("no WebSockets"), "{}", refused.text());

    let poll = get(proxy.address, "/socket.io/?EIO=4&transport=polling").await;
    assert_eq!((poll.status(), poll.head.field("content-type")), (404, Some("application/json")));
}

#[tokio::test]
async fn a_redirect_keeps_parts_of_the_request_and_leads_nowhere_else() {
    let node = FakeNode::start(|_| ok("node")).await;
    let proxy = proxy(
        &node,
        "{ path: /, redirect: { to: 'https://${hostname}${target}', status: 301 } }, \
         { path: /old/, redirect: { to: '/new${path}' } }",
    );
    let to_itself = super::site::proxy(&node, "{ redirect: { to: '${target}' } }");
    let check = async |proxy: &Proxy, target: &str, status: u16, location: &str| {
        let response = get(proxy.address, target).await;
        assert_eq!((response.status(), response.head.field("location")), (status, Some(location)));
    };
    check(&proxy, "/x?y=1", 301, "https://test/x?y=1").await;
    check(&proxy, "/old/x?y", 307, "/new/old/x").await;
    check(&to_itself, "//evil.example/", 307, "/evil.example/").await;
    let by_field = super::site::proxy(&node, "{ redirect: { to: '/${header.x-to}' } }");
    let response = ask(&by_field, "GET", "/", &["X-To: a\t/evil.example"]).await;
    assert_eq!(response.head.field("location"), Some("/a%09/evil.example"));

    let (_, response) = websocket::ask(proxy.address, "/old/", &[]).await;
    assert_eq!((response.status(), response.head.field("connection")), (307, Some("close")));
}

#[tokio::test]
async fn rules_of_the_route_hold_for_what_needs_no_node() {
    let node = FakeNode::start(|_| ok("node")).await;
    let proxy = proxy(
        &node,
        "{ path: /a, respond: { body: hello }, response_headers: { set: { Cache-Control: no-store } }, \
           cors: { origins: ['https://app.example'] } }, \
         { path: /b, respond: { status: 503, body: '<p>soon', content_type: text/html }, \
           origins: ['https://app.example'] }",
    );
    let response = ask(&proxy, "GET", "/a", &["Origin: https://app.example"]).await;
    assert_eq!((response.status(), &*response.text()), (200, "hello"));
    assert_eq!(response.head.field("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(response.head.field("cache-control"), Some("no-store"));
    assert_eq!(response.head.field("access-control-allow-origin"), Some("https://app.example"));
    let fields = ["Origin: https://app.example", "Access-Control-Request-Method: GET"];
    assert_eq!(ask(&proxy, "OPTIONS", "/a", &fields).await.status(), 204);

    let response = ask(&proxy, "GET", "/b", &["Origin: https://app.example"]).await;
    assert_eq!((response.status(), &*response.text()), (503, "<p>soon"));
    assert_eq!(response.head.field("content-type"), Some("text/html"));
    assert_eq!(ask(&proxy, "GET", "/b", &["Origin: https://evil.example"]).await.status(), 403);
}

#[tokio::test]
async fn a_body_that_nobody_reads_ends_the_connection() {
    let node = FakeNode::start(|_| ok("node")).await;
    let proxy = proxy(&node, "{ respond: { body: hello } }");
    let mut client = Client::connect(proxy.address).await;
    client.send(request("POST", "/", &[], "a body")).await;
    let response = client.response().await;
    assert_eq!((response.status(), response.head.field("connection")), (200, Some("close")));
}

#[tokio::test]
async fn errors_of_ours_have_pages_but_for_clients_that_read_none() {
    let node = FakeNode::start(|request| match request.head.target.as_str() {
        "/node/404" => Reply::Bytes(response("404 Not Found", "of the node")),
        _ => ok(&open_packet("s")),
    })
    .await;
    let directory = tempfile::tempdir().unwrap();
    let page = |name: &str, text: &str| {
        std::fs::write(directory.path().join(name), text).unwrap();
    };
    page("missing.html", "<h1>missing");
    page("refused.txt", "refused");
    page("node.html", "<h1>of ours");
    let file = directory.path().join("sockeye.yaml");
    let routes = "{ path: /node/, upstream: chat }, \
         { path: /replaced/, upstream: chat, strip_prefix: /replaced, add_prefix: /node, \
           error_pages: { 404: node.html }, intercept_errors: true }, \
         { path: /refused/, upstream: chat, deny: [127.0.0.0/8], error_pages: { 4xx: refused.txt } }";
    let text = format!("{}error_pages: {{ 404: missing.html }}\n", yaml(&node, routes));
    std::fs::write(&file, text).unwrap();
    let missing = directory.path().join("missing.html");
    let site = Site::follow(directory, file);

    let check = async |target: &str, status: u16, body: &str| {
        let response = get(site.address(), target).await;
        assert_eq!((response.status(), &*response.text()), (status, body), "{target}");
        response
    };
    let page = check("/nowhere", 404, "<h1>missing").await;
    assert_eq!(page.head.field("content-type"), Some("text/html; charset=utf-8"));
    check("/node/404", 404, "of the node").await;
    check("/replaced/404", 404, "<h1>of ours").await;
    check("/refused/", 403, "refused").await;
    let poll = get(site.address(), "/refused/?EIO=4&transport=polling").await;
    assert_eq!(poll.head.field("content-type"), Some("application/json"));
    let (_, refused) = websocket::ask(site.address(), "/refused/", &[]).await;
    assert!(refused.text().starts_with("403"), "{}", refused.text());

    // A page that changes is read again.
    std::fs::write(&missing, "<h1>gone").unwrap();
    site.reloader.reload().await.unwrap();
    check("/nowhere", 404, "<h1>gone").await;
}

#[tokio::test]
async fn a_node_that_is_gone_has_the_page_of_a_bad_gateway() {
    let node = FakeNode::start(|_| ok("")).await;
    let directory = tempfile::tempdir().unwrap();
    let page = directory.path().join("502.html");
    std::fs::write(&page, "<h1>back soon").unwrap();
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let yaml =
        yaml(&node, &format!("{{ upstream: chat, error_pages: {{ 5xx: {} }} }}", page.display()));
    let proxy = Proxy::start(&yaml.replace(&node.address.to_string(), &dead.to_string()));
    let response = get(proxy.address, "/").await;
    assert_eq!((response.status() / 100, &*response.text()), (5, "<h1>back soon"));
    assert_eq!(response.head.field("cache-control"), Some("no-store"));
}
