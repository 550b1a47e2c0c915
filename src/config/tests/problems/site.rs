//! Problems in what a route answers without a node.

use std::fs;
use std::process::Command;

use crate::config::parse;

#[test]
fn what_is_wrong_is_reported_with_what_to_write() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("sockeye.yaml").display().to_string();
    fs::write(directory.path().join("long.html"), "x".repeat(256 * 1024 + 1)).unwrap();
    let check = |route: &str, path: &str, what: &str, help: &str| {
        let upstreams = "upstreams: { chat: { nodes: [b:1] } }";
        let text = format!("{upstreams}\nroutes: [{{ {route} }}]");
        let problems = parse(&file, &text).unwrap_err();
        let found: Vec<_> = problems.iter().collect();
        let [problem] = found[..] else { panic!("{problems}") };
        assert_eq!(problem.path, format!("routes[0]{path}"), "{route}");
        assert!(problem.what.starts_with(what), "{route}: {}", problem.what);
        let said = problem.help.as_deref().unwrap_or_default();
        assert!(said.contains(help), "{route}: {said}");
    };
    check("path: /", ".upstream", "is missing", "files, redirect, respond");
    check("files:", ".files", "is empty", "root: /srv/www");
    check("files: {}", ".files.root", "is missing", "root: /srv/www");
    let index = "files: { root: /srv, index: a/b }";
    check(index, ".files.index", "is not the name of a file", "index.html");
    let fallback = "files: { root: /srv, fallback: ../x }";
    check(fallback, ".files.fallback", "is not the path of a file", "below root");
    let both = "upstream: chat, files: { root: /srv, fallback: x }";
    check(both, ".files.fallback", "has no effect next to upstream", "remove");
    let both = "upstream: chat, redirect: { to: / }";
    check(both, ".redirect", "has no place next to upstream", "remove");
    let both = "files: { root: /srv }, respond: {}";
    check(both, ".respond", "has no place next to files", "remove");
    let limit = "respond: {}, tunnel: { buffer: 64KiB }";
    check(limit, ".tunnel", "has no effect without upstream", "remove");
    let prefix = "path: /a/, strip_prefix: /a, respond: {}";
    check(prefix, ".strip_prefix", "has no effect without upstream", "remove");

    for to in
        ["evil", "//evil.example", "https://${header.x}/", "https://a${query}", "ftp://a/", "/a b"]
    {
        let redirect = format!("redirect: {{ to: '{to}' }}");
        check(&redirect, ".redirect.to", "is not a place to go", "https://www");
    }
    let status = "redirect: { to: /, status: 304 }";
    check(status, ".redirect.status", "is not a status that redirects", "308");
    check("respond: { status: 99 }", ".respond.status", "", "200");
    let body = "respond: { status: 204, body: x }";
    check(body, ".respond.body", "has no place in a response of status 204", "remove");

    let page = |value: &str| format!("upstream: chat, error_pages: {{ {value} }}");
    let of_success = page("200: a.html");
    check(&of_success, ".error_pages.200", "is not the status of an error", "400 to 599");
    let gone = page("502: gone.html");
    check(&gone, ".error_pages.502", "cannot be read: No such file", "exists");
    let made = Command::new("mkfifo").arg(directory.path().join("pipe.html")).status();
    assert!(made.unwrap().success());
    check(&page("502: pipe.html"), ".error_pages.502", "cannot be read: it is not", "exists");
    check(&page("502: a.png"), ".error_pages.502", "is not the name of a page", ".html");
    check(&page("502: long.html"), ".error_pages.502", "is a file of more than 256KiB", "shorter");

    check("upstream: chat, compress: true", ".compress", "says not", "write on, off, or a map");
    let coding = "upstream: chat, compress: { codings: [deflate] }";
    check(coding, ".compress.codings[0]", "is not a known coding", "br, gzip, zstd");
    let none = "upstream: chat, compress: { types: [] }";
    check(none, ".compress.types", "is empty", "compress: off");
    let media_type = "upstream: chat, compress: { types: [html] }";
    check(media_type, ".compress.types[0]", "is not a media type", "text/html");
}

#[test]
fn upstreams_are_needed_by_routes_that_go_there() {
    let routes = |routes: &str| parse("a.yaml", &format!("routes: [{routes}]"));
    let answered = "{ path: /a, respond: {} }, { path: /b, redirect: { to: / } }, \
                    { path: /c, files: { root: /srv } }";
    assert!(routes(answered).unwrap().upstreams.is_empty());
    for needed in
        ["{ path: /a, files: { root: /srv }, upstream: x }", "{ upstream: x }", "{ path: / }"]
    {
        let problems = routes(&format!("{answered}, {needed}")).unwrap_err();
        assert!(
            problems.to_string().contains("upstreams: has no upstream"),
            "{needed}: {problems}"
        );
    }
}
