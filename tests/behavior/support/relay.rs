//! HAProxy and nginx, as other people run them: programs that send and read PROXY headers.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::script::ADVICE;

/// A running program; killed when dropped.
pub struct Relay {
    pub address: SocketAddr,
    _child: Child,
    _home: TempDir,
}

impl Relay {
    /// HAProxy with one proxy. `lines` follow its `bind`: the parameters of the address, then more lines.
    pub fn haproxy(lines: &str) -> Self {
        let home = home();
        let config = format!(
            "defaults\n  timeout connect 5s\n  timeout client 20s\n  timeout server 20s\n\
             listen test\n  bind fd@0 {lines}\n"
        );
        let path = home.path().join("haproxy.cfg");
        std::fs::write(&path, config).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut command = program("haproxy");
        // It takes over the socket, so that nobody else gets the port.
        command.args(["-db", "-f"]).arg(path).stdin(Stdio::from(OwnedFd::from(listener)));
        Self { address, _child: spawn(&mut command), _home: home }
    }

    /// nginx with this configuration, in which `LISTEN` stands for its address. Returns when it listens.
    pub async fn nginx(config: &str) -> Self {
        // Another program may take the port that was free a moment ago.
        for _ in 0..5 {
            if let Some(relay) = Self::try_nginx(config).await {
                return relay;
            }
        }
        panic!("nginx does not listen: see its messages above");
    }

    async fn try_nginx(config: &str) -> Option<Self> {
        // Debian has the module for TCP in a file of its own.
        const STREAM: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";
        let module = match Path::new(STREAM).exists() {
            true => format!("load_module {STREAM};\n"),
            false => String::new(),
        };
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path HOME; "))
            .concat();
        let home = home();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let config = config
            .replace("http {", &format!("http {{ access_log off; {temporary}"))
            .replace("LISTEN", &address.to_string());
        let config = format!(
            "{module}daemon off; master_process off; pid HOME/pid; error_log stderr warn; events {{}}\n\
             {config}"
        );
        let path = home.path().join("nginx.conf");
        std::fs::write(&path, config.replace("HOME", home.path().to_str().unwrap())).unwrap();
        let mut command = program("nginx");
        command.args(["-e", "stderr", "-p"]).arg(home.path()).arg("-c").arg(path);
        let mut child = spawn(command.stdin(Stdio::null()));
        let listens = async {
            while TcpStream::connect(address).await.is_err() {
                if child.try_wait().unwrap().is_some() {
                    return false;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            child.try_wait().unwrap().is_none()
        };
        let listens = timeout(Duration::from_secs(20), listens).await.expect("it starts in time");
        listens.then_some(Self { address, _child: child, _home: home })
    }
}

fn home() -> TempDir {
    tempfile::Builder::new().prefix("sockeye-relay").tempdir().unwrap()
}

fn spawn(command: &mut Command) -> Child {
    let child = command.kill_on_drop(true).spawn();
    child.unwrap_or_else(|error| panic!("cannot start it: {error}; {ADVICE}"))
}

/// The program of this name, which many systems keep where only root looks.
fn program(name: &str) -> Command {
    let path = format!("/usr/sbin/{name}");
    Command::new(if Path::new(&path).exists() { path } else { name.to_owned() })
}
