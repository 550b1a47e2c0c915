//! Real nodes, and the proxy before them: processes that end with their values.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::BytesMut;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{interval, timeout};

use crate::Outcome;
use crate::wire::{invalid, read_body, read_head};

/// A Socket.IO server of `tests/node`.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) port: u16,
    /// It ends when its input is closed.
    child: Child,
}

impl Node {
    pub(super) fn start() -> Outcome<Self> {
        let mut child = Command::new("node")
            .arg(root().join("tests/node/server.js"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start node: {error}"))?;
        let mut lines =
            BufReader::new(child.stdout.take().ok_or("its output is not ours")?).lines();
        let ready = lines.next().ok_or("no node: run `cargo xtask setup`, which installs it")??;
        let ready: Value = serde_json::from_str(&ready)?;
        let port = ready["port"].as_u64().and_then(|port| u16::try_from(port).ok());
        // A full pipe would stop it.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Ok(Self { port: port.ok_or("a ready line without port")?, child })
    }

    /// How many connections it has accepted.
    pub(super) async fn accepted(&self) -> Outcome<u64> {
        let body = get(SocketAddr::from(([127, 0, 0, 1], self.port)), "/counts").await?;
        let counts: Value = serde_json::from_slice(&body)?;
        Ok(counts["tcp_connections"].as_u64().ok_or("counts without connections")?)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// The proxy.
#[derive(Debug)]
pub(super) struct Proxy {
    pub(super) address: SocketAddr,
    child: Child,
    file: PathBuf,
}

impl Proxy {
    pub(super) fn start(program: &Path, nodes: &[Node; 2], connections: &str) -> Outcome<Self> {
        // Nobody else gets the port so soon.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let file = std::env::temp_dir().join(format!("bench-sessions-{}.yaml", address.port()));
        let [one, other] = [nodes[0].port, nodes[1].port];
        let yaml = format!(
            "listeners: [{{ bind: '{address}' }}]\nlog: {{ level: warn }}\n\
             upstreams:\n  chat:\n    nodes: ['127.0.0.1:{one}', '127.0.0.1:{other}']\n    \
             connections: {connections}\n\
             routes: [{{ path: /, upstream: chat }}]\n"
        );
        fs::write(&file, yaml)?;
        let child = Command::new(program)
            .args(["run", "--config"])
            .arg(&file)
            .stdin(Stdio::null())
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", program.display()))?;
        Ok(Self { address, child, file })
    }

    /// Waits until a node answers through it.
    pub(super) async fn until_ready(&self) -> Outcome {
        let asks = async {
            let mut look = interval(Duration::from_millis(50));
            loop {
                look.tick().await;
                if get(self.address, "/counts").await.is_ok() {
                    return;
                }
            }
        };
        Ok(timeout(READY_WITHIN, asks).await?)
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        end(&mut self.child);
        let _ = fs::remove_file(&self.file);
    }
}

/// A process that has ended already needs no end.
fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

/// The body of a 200, over a connection of its own.
async fn get(address: SocketAddr, target: &str) -> Outcome<BytesMut> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {target} HTTP/1.1\r\nHost: bench.test\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut buffer = BytesMut::new();
    let head = read_head(&mut stream, &mut buffer).await?;
    let head = head.ok_or_else(|| invalid("closed instead of an answer"))?;
    if !head.first_line().starts_with("HTTP/1.1 200") {
        return Err(head.first_line().to_owned().into());
    }
    Ok(read_body(&mut stream, &mut buffer, &head).await?)
}

/// The repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

const READY_WITHIN: Duration = Duration::from_secs(20);
