//! Several files: what is joined, and what is said when something is wrong with one of them.

use std::fs;

use tempfile::TempDir;

use super::super::{Config, Problems, load};

/// A directory with these files; a name that ends in `/` is a directory.
pub(super) fn files(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = directory.path().join(name);
        if name.ends_with('/') {
            fs::create_dir_all(path).unwrap();
            continue;
        }
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    directory
}

pub(super) fn read(directory: &TempDir) -> Result<Config, Problems> {
    load(&directory.path().join("main.yaml"))
}

/// What is said of these files, without the path of their directory.
pub(super) fn said(list: &[(&str, &str)]) -> String {
    said_of(&files(list))
}

pub(super) fn said_of(directory: &TempDir) -> String {
    let path = format!("{}/", directory.path().display());
    match read(directory) {
        Ok(config) => config.warnings.join("\n").replace(&path, ""),
        Err(problems) => {
            problems.to_string().replace(&path, "").replace(path.trim_end_matches('/'), "HERE")
        }
    }
}

pub(super) const MAIN: &str = "include: apps.d/\n";
pub(super) const SHOP: &str =
    "upstreams: { shop: { nodes: [a:1] } }\nroutes: [{ path: /shop, upstream: shop }]\n";
pub(super) const CHAT: &str =
    "upstreams:\n  chat: { nodes: [b:1] }\nroutes:\n  - { path: /chat, upstream: chat }\n";

#[test]
fn each_application_has_its_own_file() {
    let directory = files(&[
        ("main.yaml", "include: apps.d\nroutes: [{ path: /own, upstream: shop }]\n"),
        ("apps.d/shop.yaml", SHOP),
        ("apps.d/chat.yml", CHAT),
        ("apps.d/readme.txt", "routes: nonsense"),
        ("apps.d/.shop.yaml", "routes: nonsense"),
    ]);
    let config = read(&directory).unwrap();
    let upstreams: Vec<_> = config.upstreams.iter().map(|it| &*it.upstream.name).collect();
    assert_eq!(upstreams, ["chat", "shop"]);
    let paths: Vec<_> = config.routes.iter().map(|route| route.path.to_string()).collect();
    assert_eq!(paths, ["/own", "/chat", "/shop"], "its own first, then by the names of files");
    let names = ["apps.d", "apps.d/chat.yml", "apps.d/shop.yaml"];
    assert_eq!(config.included, names.map(|name| directory.path().join(name)));
    assert!(config.files().iter().any(|file| file.ends_with("apps.d/chat.yml")));
    let shown = serde_yaml::to_string(&config.render()).unwrap();
    assert!(shown.contains("path: /chat") && !shown.contains("include"), "{shown}");
}

#[test]
fn files_and_directories_can_be_listed() {
    let directory = files(&[
        ("main.yaml", "include: [one.conf, apps.d/]\n"),
        ("one.conf", SHOP),
        ("apps.d/chat.yaml", CHAT),
    ]);
    let config = read(&directory).unwrap();
    assert_eq!(config.routes.len(), 2);
    fs::write(directory.path().join("main.yaml"), "include: one.conf\n").unwrap();
    assert_eq!(read(&directory).unwrap().routes.len(), 1);
}

#[test]
fn a_problem_is_shown_in_its_file() {
    check(
        &[
            ("main.yaml", MAIN),
            ("apps.d/a.yaml", SHOP),
            ("apps.d/b.yaml", "routes:\n  - { path: /b, upstream: shopp }\n"),
        ],
        "\
apps.d/b.yaml:2:27: routes[0].upstream: `shopp` is not an upstream
 2 |   - { path: /b, upstream: shopp }
   |                           ^^^^^
   = help: write shop
1 problem in apps.d/b.yaml",
    );
    check(
        &[
            ("main.yaml", "include: apps.d/\nlogs: {}\n"),
            ("apps.d/a.yaml", SHOP),
            ("apps.d/b.yaml", "upstreams:\n  chat: { nodes: [b:1], balanse: random }\n"),
        ],
        "\
main.yaml:2:1: logs: is not a known key
 2 | logs: {}
   | ^^^^
   = help: write log
apps.d/b.yaml:2:25: upstreams.chat.balanse: is not a known key
 2 |   chat: { nodes: [b:1], balanse: random }
   |                         ^^^^^^^
   = help: write balance
2 problems in main.yaml and apps.d/b.yaml",
    );
}

pub(super) fn check(list: &[(&str, &str)], expected: &str) {
    assert_eq!(said(list), expected);
}

#[test]
fn what_two_files_define_is_refused_with_both_places() {
    check(
        &[
            ("main.yaml", MAIN),
            ("apps.d/a.yaml", SHOP),
            ("apps.d/b.yaml", "upstreams:\n  shop: { nodes: [c:1] }\n"),
        ],
        "\
apps.d/b.yaml:2:3: upstreams.shop: is already defined in apps.d/a.yaml, line 1
 2 |   shop: { nodes: [c:1] }
   |   ^^^^
   = help: give one of the two another name
1 problem in apps.d/b.yaml",
    );
    check(
        &[
            ("main.yaml", MAIN),
            ("apps.d/a.yaml", SHOP),
            (
                "apps.d/b.yaml",
                "routes:\n  - { path: /x, upstream: shop }\n  - { path: /shop, upstream: shop }\n",
            ),
        ],
        "\
apps.d/b.yaml:3:5: routes[1]: has the same host and path as routes[0] (apps.d/a.yaml, line 2)
 3 |   - { path: /shop, upstream: shop }
   |     ^
   = help: change or remove one of the two
1 problem in apps.d/b.yaml",
    );
}

#[test]
fn what_only_the_main_file_may_have_is_named() {
    check(
        &[("main.yaml", MAIN), ("apps.d/a.yaml", &format!("{SHOP}log: {{ level: debug }}\n"))],
        "\
apps.d/a.yaml:3:1: log: cannot be in an included file, because it is for the whole process
 3 | log: { level: debug }
   | ^^^
   = help: move it to main.yaml
1 problem in apps.d/a.yaml",
    );
    check(
        &[("main.yaml", MAIN), ("apps.d/a.yaml", &format!("include: ../apps.d\n{SHOP}"))],
        "\
apps.d/a.yaml:1:1: include: cannot be in a file that is included itself
 1 | include: ../apps.d
   | ^^^^^^^
   = help: write the path under include in main.yaml
1 problem in apps.d/a.yaml",
    );
    check(
        &[("main.yaml", MAIN), ("apps.d/a.yaml", "route: []\n")],
        "\
apps.d/a.yaml:1:1: route: is not a key of an included file
 1 | route: []
   | ^^^^^
   = help: write routes
1 problem in apps.d/a.yaml",
    );
}
