//! A configuration of several files: each application has its own, and the proxy follows all of them.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tokio::time::timeout;

use crate::support::websocket::{open, text};
use crate::support::{Client, FakeNode, ProxyProcess, Reply, Site, get, ok};

const MAIN: &str = "include: apps.d/\nlisteners: [{ bind: '127.0.0.1:0' }]\n\
                    admin: { bind: '127.0.0.1:0' }\n";

async fn named(name: &'static str) -> FakeNode {
    FakeNode::start(move |request| match request.head.is_upgrade() {
        true => Reply::Echo { behind: Vec::new() },
        false => ok(name),
    })
    .await
}

/// An application with a path of its own.
fn app(name: &str, node: &FakeNode) -> String {
    format!(
        "upstreams: {{ {name}: {{ nodes: ['{}'] }} }}\n\
         routes: [{{ path: /{name}/, upstream: {name} }}]\n",
        node.address
    )
}

/// A proxy that includes `apps.d`, with one application `a`.
fn site(node: &FakeNode) -> Site {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("apps.d")).unwrap();
    fs::write(directory.path().join("sockeye.yaml"), MAIN).unwrap();
    fs::write(directory.path().join("apps.d/a.yaml"), app("a", node)).unwrap();
    let file = directory.path().join("sockeye.yaml");
    Site::follow(directory, file)
}

/// Asks until `path` is answered so: a change of a file takes a moment to be seen.
async fn until(address: SocketAddr, path: &str, status: u16, expected: &str) {
    let served = async {
        loop {
            let response = get(address, path).await;
            if response.status() == status && (status != 200 || response.text() == expected) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(20), served).await.expect("the new configuration in time");
}

#[tokio::test]
async fn files_that_come_change_move_and_go_are_followed() {
    let (a, b) = (named("a").await, named("b").await);
    let site = site(&a);
    let (address, apps) = (site.address(), site.directory().join("apps.d"));
    assert_eq!(get(address, "/a/").await.text(), "a");
    assert_eq!(get(address, "/b/").await.status(), 404);
    let mut tunnel = open(address, "/a/ws").await;
    let mut kept = Client::connect(address).await;

    fs::write(apps.join("b.yaml"), app("b", &b)).unwrap();
    until(address, "/b/", 200, "b").await;
    fs::write(apps.join("b.yaml"), app("b", &a)).unwrap();
    until(address, "/b/", 200, "a").await;
    fs::rename(apps.join("b.yaml"), apps.join("b.yaml.off")).unwrap();
    until(address, "/b/", 404, "").await;
    fs::rename(apps.join("b.yaml.off"), apps.join("c.yml")).unwrap();
    until(address, "/b/", 200, "a").await;
    fs::remove_file(apps.join("c.yml")).unwrap();
    until(address, "/b/", 404, "").await;

    assert_eq!(kept.get("/a/").await.text(), "a");
    tunnel.send(text("still here")).await;
    assert_eq!(tunnel.frame().await, Some((1, b"still here".to_vec())));
}

#[tokio::test]
async fn a_broken_file_keeps_all_applications_until_it_is_right() {
    let (a, b) = (named("a").await, named("b").await);
    let site = site(&a);
    let apps = site.directory().join("apps.d");
    fs::write(apps.join("a.yaml"), app("a", &b)).unwrap();
    fs::write(apps.join("b.yaml"), "upstreams:\n  b: { nodez: [a:1] }\n").unwrap();

    let refused = site.reloader.reload().await.unwrap_err().to_string();

    for part in ["apps.d/b.yaml:2:8: upstreams.b.nodez", "write nodes"] {
        assert!(refused.contains(part), "{part} is not in {refused}");
    }
    assert_eq!(get(site.address(), "/a/").await.text(), "a", "nor is the other file in force");
    fs::write(apps.join("b.yaml"), app("b", &b)).unwrap();
    until(site.address(), "/b/", 200, "b").await;
    assert_eq!(get(site.address(), "/a/").await.text(), "b");
}

#[tokio::test]
async fn a_directory_that_was_missing_is_seen_when_it_is_there() {
    let (a, b) = (named("a").await, named("b").await);
    let site = site(&a);
    let root = site.directory();
    let refused =
        site.reload(&MAIN.replace("apps.d/", "[apps.d, more.d]")).await.unwrap_err().to_string();
    assert!(refused.contains("include[1]: `more.d` does not exist"), "{refused}");
    fs::create_dir(root.join("new.d")).unwrap();
    fs::write(root.join("new.d/b.yaml"), app("b", &b)).unwrap();
    fs::rename(root.join("new.d"), root.join("more.d")).unwrap();
    until(site.address(), "/b/", 200, "b").await;
}

/// As Kubernetes writes a ConfigMap.
fn swap(apps: &Path, version: &str, files: &[(&str, String)]) {
    fs::create_dir(apps.join(version)).unwrap();
    for (name, text) in files {
        fs::write(apps.join(version).join(name), text).unwrap();
        let link = apps.join(name);
        if fs::symlink_metadata(&link).is_err() {
            symlink(format!("..data/{name}"), link).unwrap();
        }
    }
    symlink(version, apps.join("..data_tmp")).unwrap();
    fs::rename(apps.join("..data_tmp"), apps.join("..data")).unwrap();
}

#[tokio::test]
async fn a_config_map_of_applications_and_a_link_to_a_directory_are_followed() {
    let (a, b) = (named("a").await, named("b").await);
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().to_owned();
    let apps = root.join("apps.d");
    fs::create_dir(&apps).unwrap();
    fs::write(root.join("sockeye.yaml"), MAIN).unwrap();
    swap(&apps, "..v1", &[("a.yaml", app("a", &a))]);
    let site = Site::follow(directory, root.join("sockeye.yaml"));
    assert_eq!(get(site.address(), "/a/").await.text(), "a");
    swap(&apps, "..v2", &[("a.yaml", app("a", &b)), ("b.yaml", app("b", &b))]);
    fs::remove_dir_all(apps.join("..v1")).unwrap();
    until(site.address(), "/a/", 200, "b").await;
    until(site.address(), "/b/", 200, "b").await;

    for (release, node, name) in [("one", &a, "a"), ("two", &b, "b"), ("three", &a, "a")] {
        fs::create_dir(root.join(release)).unwrap();
        fs::write(root.join(release).join("a.yaml"), app("a", node)).unwrap();
        symlink(release, root.join("link")).unwrap();
        if release == "one" {
            fs::remove_dir_all(&apps).unwrap();
        }
        fs::rename(root.join("link"), root.join("apps.d")).unwrap();
        until(site.address(), "/a/", 200, name).await;
    }
}

#[tokio::test]
async fn sighup_reads_all_files_and_the_log_and_the_admin_listener_name_the_file() {
    let a = named("a").await;
    let directory = tempfile::tempdir().unwrap();
    let apps = directory.path().join("apps.d");
    fs::create_dir(&apps).unwrap();
    fs::write(apps.join("a.yaml"), app("a", &a)).unwrap();
    let main = MAIN.replace("apps.d/", apps.to_str().unwrap());
    let mut proxy = ProxyProcess::start(&main).await;
    let admin = proxy.until_log("admin listener").await;
    let admin = admin.split("address=").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    proxy.until_log(" ready").await;
    assert_eq!(get(proxy.address, "/a/").await.text(), "a");

    fs::write(apps.join("a.yaml"), "routes:\n  - { upstream: b }\n").unwrap();
    proxy.signal("HUP");
    let line = proxy.until_log("not reloaded").await;
    assert!(line.contains("apps.d/a.yaml:2:"), "{line}");

    let sockeye = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_sockeye")).args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, said) = sockeye(&["reload", "--admin", &admin, "--json"]);
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(code, Some(1));
    let mut problems = said["problems"].as_array().unwrap().iter();
    let named = problems.find(|problem| problem["line"] == 2).unwrap();
    assert!(named["file"].as_str().unwrap().ends_with("apps.d/a.yaml"), "{said}");
    assert_eq!(get(proxy.address, "/a/").await.text(), "a");
}

#[test]
fn check_counts_the_files_and_reports_all_problems() {
    let check = |file: &str| {
        let output =
            Command::new(env!("CARGO_BIN_EXE_sockeye")).args(["check", file]).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    };
    let (code, said) = check("configs/apps.yaml");
    let expected = "configs/apps.yaml with 2 files that it includes is fine: 1 listener, 3 upstreams, \
                    3 routes\n";
    assert_eq!((code, &*said), (Some(0), expected));

    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("apps.d")).unwrap();
    let file = directory.path().join("sockeye.yaml");
    fs::write(&file, format!("{MAIN}log: {{ level: loud }}\n")).unwrap();
    fs::write(directory.path().join("apps.d/a.yaml"), "routes: [{ path: a, upstream: b }]")
        .unwrap();
    let (code, said) = check(file.to_str().unwrap());
    assert_eq!(code, Some(1));
    for part in ["sockeye.yaml:4:", "apps.d/a.yaml:1:18: routes[0].path", "problems in "] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
}
