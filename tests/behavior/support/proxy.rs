//! Sockeye under test: in this process, or as a process of its own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use sockeye::Config;
use sockeye::Server;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::node::FakeNode;

/// A proxy in this process, on a port of its own. Dropping it stops it.
pub struct Proxy {
    pub address: SocketAddr,
    /// Of the admin listener, if the configuration has one.
    pub admin: Option<SocketAddr>,
    _stop: oneshot::Sender<()>,
}

impl Proxy {
    /// A proxy with this configuration, whose listeners bind port 0.
    pub fn start(yaml: &str) -> Self {
        Self::start_with(yaml, |_| ())
    }

    /// As [`Proxy::start`]; `change` sets what no key of the configuration does.
    pub fn start_with(yaml: &str, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = match sockeye::parse("test.yaml", yaml) {
            Ok(config) => config,
            Err(problems) => panic!("{problems}"),
        };
        change(&mut config);
        let server = Server::bind(&config).unwrap();
        let address = server.addresses().next().expect("there is a listener");
        let admin = server.admin_address();
        let (stop, stopped) = oneshot::channel::<()>();
        std::thread::spawn(move || {
            let until = async {
                let _ = stopped.await;
            };
            server.run(until).unwrap();
        });
        Self { address, admin, _stop: stop }
    }

    /// A proxy that sends everything to `nodes`; `upstream` and `route` are more lines of theirs.
    pub fn before(nodes: &[&FakeNode], upstream: &str, route: &str) -> Self {
        let addresses: Vec<_> = nodes.iter().map(|node| node.address).collect();
        Self::start(&config(&addresses, upstream, route))
    }

    /// A proxy that sends everything to `nodes`, all at its default.
    pub fn default_before(nodes: &[&FakeNode]) -> Self {
        Self::before(nodes, "", "")
    }
}

/// A configuration with one upstream, one route, and a listener on port 0. `upstream` and `route`
/// hold more keys, in YAML's flow style: `affinity: none`.
pub fn config(nodes: &[SocketAddr], upstream: &str, route: &str) -> String {
    let nodes: Vec<_> = nodes.iter().map(|node| format!("'{node}'")).collect();
    let comma = |keys: &str| if keys.is_empty() { String::new() } else { format!(", {keys}") };
    format!(
        "listeners: [{{ bind: '127.0.0.1:0' }}]\n\
         upstreams: {{ chat: {{ nodes: [{}]{} }} }}\n\
         routes: [{{ path: /, upstream: chat{} }}]\n",
        nodes.join(", "),
        comma(upstream),
        comma(route),
    )
}

/// A proxy as a process of its own, for signals, logs and descriptors.
pub struct ProxyProcess {
    pub address: SocketAddr,
    pub child: Child,
    /// The file that it follows.
    pub file: PathBuf,
    /// `None` once it is read by a task.
    log: Option<Lines<BufReader<ChildStderr>>>,
    _config: tempfile::TempDir,
}

impl ProxyProcess {
    /// Starts the program with this configuration and waits until it listens.
    pub async fn start(yaml: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sockeye"));
        command.stdin(Stdio::null());
        Self::start_by(command, yaml).await
    }

    /// As [`ProxyProcess::start`], with a command that takes the program's arguments.
    pub async fn start_by(command: Command, yaml: &str) -> Self {
        let mut process = Self::spawn_by(command, yaml);
        let line = process.until_log("listening").await;
        let address = line.split("address=").nth(1).and_then(|rest| rest.split(' ').next());
        process.address = address.unwrap().trim_matches('"').parse().unwrap();
        process
    }

    /// As [`ProxyProcess::start_by`], and does not wait: its address is not known.
    pub fn spawn_by(mut command: Command, yaml: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sockeye.yaml");
        std::fs::write(&path, yaml).unwrap();
        let mut child = command
            .args(["run", "--config"])
            .arg(&path)
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        Self { address, child, file: path, log: Some(log), _config: directory }
    }

    /// Waits for a log line with `part` in it.
    pub async fn until_log(&mut self, part: &str) -> String {
        let log = self.log.as_mut().expect("the log was not given away");
        let mut passed = Vec::new();
        let read = async {
            loop {
                match log.next_line().await.unwrap() {
                    Some(line) if line.contains(part) => return line,
                    Some(line) => passed.push(line),
                    None => panic!("the log ended without {part:?}: {passed:#?}"),
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(20), read).await.expect("the log line in time")
    }

    /// Reads the log from now on, so that its pipe never fills and stops the process. The task ends
    /// with the log and gives the lines that warn.
    pub fn pass_log(&mut self) -> JoinHandle<Vec<String>> {
        let mut log = self.log.take().expect("the log was not given away");
        tokio::spawn(async move {
            let mut warnings = Vec::new();
            while let Some(line) = log.next_line().await.unwrap() {
                if line.contains(" WARN ") || line.contains(" ERROR ") {
                    warnings.push(line);
                }
            }
            warnings
        })
    }

    /// The process's id.
    pub fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// How many TCP connections over IPv4 the process has, to clients and to nodes.
    pub fn tcp_connections(&self) -> usize {
        const LISTENING: &str = "0A";
        let table = std::fs::read_to_string(format!("/proc/{}/net/tcp", self.pid())).unwrap();
        let rows = table.lines().map(|row| row.split_whitespace().collect::<Vec<_>>());
        let connected = rows.filter(|row| row.get(3).is_some_and(|state| *state != LISTENING));
        let inodes: Vec<String> =
            connected.filter_map(|row| Some(format!("socket:[{}]", row.get(9)?))).collect();
        let descriptors = std::fs::read_dir(format!("/proc/{}/fd", self.pid())).unwrap();
        let links = descriptors.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
        links.filter(|link| inodes.iter().any(|inode| link.as_os_str() == inode.as_str())).count()
    }

    /// What the process has used of its cores, in hundredths of a second.
    pub fn cpu_ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        // The name, in parentheses, may hold anything; user and system time are 12th and 13th behind it.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        fields[11..13].iter().map(|ticks| ticks.parse::<u64>().unwrap()).sum()
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let status = std::process::Command::new("kill")
            .args([format!("-{name}"), self.pid().to_string()])
            .status();
        assert!(status.unwrap().success());
    }
}
