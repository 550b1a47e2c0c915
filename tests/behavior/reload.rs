//! Hot reload: what runs goes on, what is new is served, what is wrong changes nothing.

use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::timeout;

use crate::support::websocket::{open, text};
use crate::support::{Client, FakeNode, ProxyProcess, Reply, Site, config, get, ok, request};

/// A node that says its name to all.
async fn named(name: &'static str) -> FakeNode {
    FakeNode::start(move |_| ok(name)).await
}

/// One listener with more keys, one upstream with `nodes`, one route.
fn before(nodes: &[&FakeNode], listener: &str) -> String {
    let addresses: Vec<_> = nodes.iter().map(|node| node.address).collect();
    config(&addresses, "", "").replace("'127.0.0.1:0'", &format!("'127.0.0.1:0'{listener}"))
}

/// Asks until `address` answers `expected`: a change of the file takes a moment to be seen.
async fn until_served(address: SocketAddr, expected: &str) {
    let served = async {
        while get(address, "/").await.text() != expected {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(20), served).await.expect("the new configuration in time");
}

fn free_address() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn changes_are_served_and_logged() {
    let (a, b) = (named("a").await, named("b").await);
    let site = Site::start(&before(&[&a], ""));
    assert_eq!(get(site.address(), "/").await.text(), "a");

    let changes = site.reload(&before(&[&b], "")).await.unwrap();

    assert_eq!(get(site.address(), "/").await.text(), "b");
    assert_eq!(changes.to_string(), format!("+node chat/{}, -node chat/{}", b.address, a.address));
    assert!(site.reloader.last().unwrap().outcome.is_ok());
}

#[tokio::test]
async fn a_file_that_says_the_same_changes_nothing() {
    let node = named("a").await;
    let yaml = before(&[&node], "");
    let site = Site::start(&yaml);
    assert!(site.reload(&format!("# a comment\n{yaml}")).await.unwrap().is_empty());
    assert_eq!(get(site.address(), "/").await.text(), "a");
}

#[tokio::test]
async fn a_broken_file_keeps_everything_and_says_why() {
    let node = named("a").await;
    let site = Site::start(&before(&[&node], ""));
    let tunnel_and_poll = Client::connect(site.address()).await;

    let refused = site.reload("upstreams: { chat: { nodez: [a:1] } }").await.unwrap_err();

    let said = refused.to_string();
    for part in ["sockeye.yaml:1:", "nodez", "write nodes", "routes"] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    let last = site.reloader.last().unwrap().outcome.unwrap_err();
    assert_eq!(last.to_string(), said);
    let mut client = tunnel_and_poll;
    assert_eq!(client.get("/").await.text(), "a");
    assert_eq!(get(site.address(), "/").await.text(), "a");

    site.reload(&before(&[&node], ", header_timeout: 2s")).await.unwrap();
    assert!(site.reloader.last().unwrap().outcome.is_ok());
}

#[tokio::test]
async fn an_address_that_is_taken_keeps_everything() {
    let (a, b) = (named("a").await, named("b").await);
    let site = Site::start(&before(&[&a], ""));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let free = free_address();
    let more = format!(" }}, {{ bind: '{free}' }}, {{ bind: '{}'", taken.local_addr().unwrap());

    let refused = site.reload(&before(&[&b], &more)).await.unwrap_err();

    assert!(refused.to_string().contains(&taken.local_addr().unwrap().to_string()), "{refused}");
    assert_eq!(get(site.address(), "/").await.text(), "a", "the new node is not in force");
    TcpStream::connect(free).await.unwrap_err();
}

#[tokio::test]
async fn a_file_that_is_replaced_is_seen() {
    let (a, b) = (named("a").await, named("b").await);
    let site = Site::start(&before(&[&a], ""));
    let new = site.directory().join("new");
    std::fs::write(&new, before(&[&b], "")).unwrap();
    std::fs::rename(new, site.directory().join("sockeye.yaml")).unwrap();
    until_served(site.address(), "b").await;
}

#[tokio::test]
async fn a_file_that_is_edited_in_place_is_seen() {
    let (a, b) = (named("a").await, named("b").await);
    let site = Site::start(&before(&[&a], ""));
    for node in [&b, &a] {
        std::fs::write(site.directory().join("sockeye.yaml"), before(&[node], "")).unwrap();
        until_served(site.address(), if std::ptr::eq(node, &a) { "a" } else { "b" }).await;
    }
}

#[tokio::test]
async fn a_config_map_that_is_swapped_is_seen_again_and_again() {
    let (a, b) = (named("a").await, named("b").await);
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let swap = |version: &str, node: &FakeNode| {
        std::fs::create_dir(at(version)).unwrap();
        std::fs::write(at(version).join("sockeye.yaml"), before(&[node], "")).unwrap();
        symlink(version, at("..data_tmp")).unwrap();
        std::fs::rename(at("..data_tmp"), at("..data")).unwrap();
    };
    swap("..v1", &a);
    symlink("..data/sockeye.yaml", at("sockeye.yaml")).unwrap();
    let file = at("sockeye.yaml");
    let root = directory.path().to_owned();
    let site = Site::follow(directory, file);
    let at = |name: &str| root.join(name);
    assert_eq!(get(site.address(), "/").await.text(), "a");
    for (version, former, node, name) in [("..v2", "..v1", &b, "b"), ("..v3", "..v2", &a, "a")] {
        std::fs::create_dir(at(version)).unwrap();
        std::fs::write(at(version).join("sockeye.yaml"), before(&[node], "")).unwrap();
        symlink(version, at("..data_tmp")).unwrap();
        std::fs::rename(at("..data_tmp"), at("..data")).unwrap();
        std::fs::remove_dir_all(at(former)).unwrap();
        until_served(site.address(), name).await;
    }
}

#[tokio::test]
async fn sighup_reloads_and_one_log_line_lists_the_changes() {
    let (a, b) = (named("a").await, named("b").await);
    let mut proxy = ProxyProcess::start(&before(&[&a], "")).await;
    proxy.until_log(" ready").await;
    proxy.signal("HUP");
    proxy.until_log("reloaded: no changes").await;

    std::fs::write(&proxy.file, "upstreams: { chat: { nodez: [a:1] } }").unwrap();
    proxy.signal("HUP");
    let line = proxy.until_log("not reloaded, the configuration is unchanged").await;
    assert!(line.contains("problems=2") && line.contains("write nodes"), "one line: {line}");
    assert_eq!(get(proxy.address, "/").await.text(), "a");

    std::fs::write(&proxy.file, before(&[&b], "")).unwrap();
    proxy.signal("HUP");
    proxy.until_log(&format!("reloaded: +node chat/{}", b.address)).await;
    assert_eq!(get(proxy.address, "/").await.text(), "b");
}

#[tokio::test]
async fn the_log_level_changes_with_the_file() {
    let node = named("a").await;
    let yaml = before(&[&node], "");
    let mut proxy = ProxyProcess::start(&yaml).await;
    proxy.until_log(" ready").await;
    std::fs::write(&proxy.file, format!("{yaml}log: {{ level: debug }}\n")).unwrap();
    proxy.signal("HUP");
    proxy.until_log("reloaded: +log").await;
    get(proxy.address, "/").await;
    proxy.until_log("DEBUG").await;
}

#[tokio::test]
async fn an_unchanged_listener_loses_nobody_and_a_new_one_is_there_at_once() {
    let (a, b) = (named("a").await, named("b").await);
    let site = Site::start(&before(&[&a], ""));
    let free = free_address();
    let more = format!(" }}, {{ bind: '{free}'");
    for node in [&b, &a, &b] {
        // Connected before the reload, and their request comes after it.
        let mut waiting = Vec::new();
        for _ in 0..20 {
            waiting.push(Client::connect(site.address()).await);
        }
        site.reload(&before(&[node], &more)).await.unwrap();
        for mut client in waiting {
            assert_eq!(client.get("/").await.status(), 200);
        }
        assert_eq!(get(free, "/").await.status(), 200);
    }
}

#[tokio::test]
async fn a_listener_that_stays_takes_its_new_settings_for_new_connections() {
    let node = named("a").await;
    let site = Site::start(&before(&[&node], ", keep_alive_timeout: 1h"));
    let mut old = Client::connect(site.address()).await;
    assert_eq!(old.get("/").await.text(), "a");

    site.reload(&before(&[&node], ", keep_alive_timeout: 1s")).await.unwrap();

    let mut new = Client::connect(site.address()).await;
    assert_eq!(new.get("/").await.text(), "a");
    assert_eq!(new.until_end().await, b"", "within a second of idleness");
    assert_eq!(old.get("/").await.text(), "a", "the old connection has its own");
}

#[tokio::test]
async fn connections_of_a_removed_listener_live_on_and_are_served_by_what_is_new() {
    let (a, b) = (named("a").await, named("b").await);
    let second = " }, { bind: '127.0.0.1:0'";
    let site = Site::start(&before(&[&a], second));
    let removed = site.addresses[1];
    let mut kept = Client::connect(removed).await;
    assert_eq!(kept.get("/").await.text(), "a");

    site.reload(&before(&[&b], "")).await.unwrap();

    assert_eq!(kept.get("/").await.text(), "b", "kept alive, with the new nodes");
    let refused = async {
        while TcpStream::connect(removed).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(10), refused).await.expect("the address is closed");
    assert_eq!(kept.get("/").await.text(), "b");
}

#[tokio::test]
async fn tunnels_and_pending_polls_are_not_touched() {
    let node = FakeNode::start(|request| match request.head.is_upgrade() {
        true => Reply::Echo { behind: Vec::new() },
        false if request.head.target.contains("slow") => Reply::Silence,
        false => ok("a"),
    })
    .await;
    let other = named("b").await;
    let site = Site::start(&before(&[&node], ""));
    let mut tunnel = open(site.address(), "/ws").await;
    let mut poll = Client::connect(site.address()).await;
    poll.send(request("GET", "/slow", &[], "")).await;
    node.until_requests(2).await;

    site.reload(&before(&[&other], "")).await.unwrap();
    site.reload(&before(&[&other], ", header_timeout: 2s")).await.unwrap();

    tunnel.send(text("still here")).await;
    assert_eq!(tunnel.frame().await, Some((1, b"still here".to_vec())));
    assert_eq!(get(site.address(), "/").await.text(), "b");
    drop(node);
    assert_eq!(poll.response().await.status(), 502, "its own node ended it, and nothing else");
}

#[tokio::test]
async fn sessions_outlive_reloads_and_the_node_that_left() {
    let left = FakeNode::start(|request| match request.query("sid") {
        None if request.query("EIO") == Some("3") => ok(r#"32:0{"sid":"learned","upgrades":[]}"#),
        None => ok(&crate::support::open_packet("tagged")),
        Some("learned" | "tagged") => ok("mine"),
        Some(_) => Reply::Hangup,
    })
    .await;
    let stays = named("stranger").await;
    let site = Site::start(&before(&[&left], ""));
    let v3 = get(site.address(), "/socket.io/?EIO=3&transport=polling").await.text();
    assert!(v3.contains("\"learned\""), "{v3}");
    let v4 = get(site.address(), "/socket.io/?EIO=4&transport=polling").await.text();
    let tagged = v4.split('"').nth(3).unwrap();
    assert_ne!(tagged, "tagged");

    for nodes in [&[&stays, &left][..], &[&stays], &[&stays]] {
        site.reload(&before(nodes, "")).await.unwrap();
        for (eio, sid) in [("3", "learned"), ("4", tagged)] {
            let target = format!("/socket.io/?EIO={eio}&transport=polling&sid={sid}");
            assert_eq!(get(site.address(), &target).await.text(), "mine", "{sid}");
        }
    }
    for _ in 0..10 {
        let target = "/socket.io/?EIO=4&transport=polling";
        assert_eq!(get(site.address(), target).await.text(), "stranger", "no new session there");
    }
}

/// A command that reads its configuration from `file`, with `yaml` on its standard input.
async fn piped(file: &str, yaml: &str) -> (Child, Lines<BufReader<ChildStderr>>) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_sockeye"))
        .args(["run", "--config", file])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(yaml.as_bytes()).await.unwrap();
    drop(input);
    let log = BufReader::new(child.stderr.take().unwrap()).lines();
    (child, log)
}

/// The next line with `part` in it.
async fn until_line(log: &mut Lines<BufReader<ChildStderr>>, part: &str) -> String {
    let read = async {
        loop {
            let line = log.next_line().await.unwrap().expect("the log goes on");
            if line.contains(part) {
                return line;
            }
        }
    };
    timeout(Duration::from_secs(20), read).await.expect("the line in time")
}

#[tokio::test]
async fn a_configuration_from_a_pipe_is_served_and_not_read_again() {
    let node = named("a").await;
    for file in ["-", "/dev/stdin"] {
        let (child, mut log) = piped(file, &before(&[&node], "")).await;
        until_line(&mut log, "can be read only once").await;
        let line = until_line(&mut log, "listening").await;
        let address = line.split("address=").nth(1).and_then(|rest| rest.split(' ').next());
        assert_eq!(get(address.unwrap().parse().unwrap(), "/").await.text(), "a");
        let pid = child.id().unwrap().to_string();
        assert!(
            std::process::Command::new("kill").args(["-HUP", &pid]).status().unwrap().success()
        );
        let line = until_line(&mut log, "not reloaded").await;
        assert!(line.contains("restart to change it"), "{line}");
    }
}
