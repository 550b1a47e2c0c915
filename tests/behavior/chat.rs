//! `examples/chat`, run as its manual says, and its files compared with each other.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_yaml::Value;
use sockeye::internal::config::parse_alone;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::packaging::{assert_accepted, words};
use crate::support::redis::Redis;
use crate::support::socketio::{held, run_client};
use crate::support::{ProxyProcess, get};

#[tokio::test]
async fn guests_on_three_nodes_hear_each_other() {
    let redis = Redis::start().await;
    let mut yaml = written("sockeye.yaml");
    let mut nodes = Vec::new();
    for number in 1..=3 {
        let node = ChatNode::start(&format!("node-{number}"), &redis.socket()).await;
        yaml = yaml.replace(&format!("127.0.0.1:300{number}"), &node.address.to_string());
        nodes.push(node);
    }
    let proxy =
        ProxyProcess::start(&format!("{yaml}listeners: [{{ bind: '127.0.0.1:0' }}]\n")).await;

    let page = get(proxy.address, "/").await.text();
    let script = get(proxy.address, "/socket.io/socket.io.js").await;

    assert!(page.contains("<title>Chat</title>"), "{page}");
    assert_eq!(script.status(), 200);
    let url = format!("http://{}", proxy.address);
    for transports in ["polling", "websocket", "polling,websocket"] {
        let arguments = ["--url", &url, "--scenario", "chat", "--transports", transports];
        let result = held(run_client(&arguments).await);
        assert_eq!(result["nodes"], serde_json::json!(["node-1", "node-2", "node-3"]));
    }
}

#[test]
fn the_packages_are_those_that_the_tests_have() {
    let versions = |path: &str| -> serde_json::Value { serde_json::from_str(&read(path)).unwrap() };
    let (own, tested) =
        (versions("examples/chat/package.json"), versions("tests/node/package.json"));
    for (package, version) in own["dependencies"].as_object().unwrap() {
        assert_eq!(version, &tested["dependencies"][package], "{package}");
    }
}

#[test]
fn the_files_in_containers_are_there_and_know_each_other() {
    let mut compose: Value = serde_yaml::from_str(&written("compose.yaml")).unwrap();
    compose.apply_merge().unwrap();
    let services = &compose["services"];
    let text = written("sockeye.compose.yaml");
    let config = parse_alone("sockeye.compose.yaml", &text).unwrap();
    for node in &config.upstreams[0].upstream.nodes {
        let (name, port) = node.name.split_once(':').unwrap();
        let service = &services[name];
        assert_eq!(port, "3000", "the port that server.js takes by itself");
        assert!(example(service["build"].as_str().unwrap()).join("Dockerfile").exists());
        assert_node_accepts(&words(&service["command"]));
    }
    let proxy = &services["sockeye"];
    assert!(example(proxy["build"].as_str().unwrap()).join("Dockerfile").exists());
    assert_accepted(&words(&proxy["command"]));
    let published = words(&proxy["ports"]);
    for listener in &config.listeners {
        let port = listener.bind.port();
        assert!(published.contains(&format!("{port}:{port}")), "{port}");
    }
    let made = words(&services["certificate"]["command"]).concat();
    for file in ["localhost.pem", "localhost.key"] {
        assert!(
            text.contains(&format!("/etc/sockeye-tls/{file}")) && made.contains(file),
            "{file}"
        );
    }
    assert!(words(&proxy["volumes"]).contains(&"tls:/etc/sockeye-tls:ro".to_owned()));
    let mount = proxy["volumes"][0].as_str().unwrap().split(':').collect::<Vec<_>>();
    assert!(example(mount[0]).exists());
    assert!(words(&proxy["command"]).iter().any(|word| word == mount[1]), "{mount:?}");
}

#[test]
fn the_manual_says_what_there_is() {
    let manual = written("README.md");
    let config = sockeye::load(&example("sockeye.yaml")).unwrap();
    let ports = config.upstreams[0]
        .upstream
        .nodes
        .iter()
        .map(|node| (node.name.clone(), node.address.to_string()));
    for (name, address) in ports {
        let port = address.rsplit(':').next().unwrap();
        let command = format!("node server.js --name {name} --port {port}");
        assert!(manual.contains(&command), "{command}");
        assert_node_accepts(&command.split(' ').skip(2).map(str::to_owned).collect::<Vec<_>>());
    }
    assert!(manual.contains("-- run --config sockeye.yaml"));
    assert_accepted(&["run", "--config", "sockeye.yaml"].map(str::to_owned));
}

#[test]
fn the_manual_explains_each_line_of_nginx_conf() {
    let manual = written("README.md");
    let nginx = written("nginx.conf");
    let rows: Vec<&str> = manual
        .lines()
        .filter(|line| line.starts_with("| `") || line.starts_with("| what"))
        .collect();
    let lines =
        nginx.lines().map(str::trim).filter(|line| !line.starts_with('#') && line.ends_with(';'));
    for line in lines {
        let words: Vec<&str> = line.trim_end_matches(';').split_whitespace().collect();
        let subject = if words[0] == "proxy_set_header" { words[1] } else { words[0] };
        // The lines of the map are told together.
        let is_of_map = matches!(subject, "default" | "''");
        assert!(is_of_map || rows.iter().any(|row| row.contains(subject)), "{line}");
    }
}

/// One of the chat's nodes, on a port of its own; killed when dropped.
struct ChatNode {
    address: SocketAddr,
    _child: Child,
}

impl ChatNode {
    async fn start(name: &str, redis: &str) -> Self {
        let mut child = Command::new("node")
            .arg("server.js")
            .args(["--name", name, "--port", "0", "--redis", redis])
            .current_dir(example(""))
            // The same packages as examples/chat/package.json has, without a second copy.
            .env("NODE_PATH", root().join("tests/node/node_modules"))
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = timeout(READY_WITHIN, lines.next_line()).await.expect("a line in time");
        let line = line.unwrap().expect("the node says where it listens");
        let address = line.rsplit("//").next().unwrap().parse().unwrap();
        Self { address, _child: child }
    }
}

/// Whether server.js knows the options among `arguments`.
fn assert_node_accepts(arguments: &[String]) {
    let server = written("server.js");
    for option in arguments.iter().filter_map(|word| word.strip_prefix("--")) {
        assert!(server.contains(&format!("    {option}: {{ type: 'string'")), "{option}");
    }
}

fn written(file: &str) -> String {
    read(&format!("examples/chat/{file}"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

fn example(file: &str) -> PathBuf {
    root().join("examples/chat").join(file)
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

const READY_WITHIN: Duration = Duration::from_secs(20);
