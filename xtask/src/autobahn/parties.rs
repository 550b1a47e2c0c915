//! The two that the fuzzing client speaks to, each on a port that the system chose. They end with
//! their values.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use crate::command::{Failure, root, run};

/// The server: `tests/node/echo.js`.
pub(super) struct Echo(Party);

/// A Sockeye before the server, as configured by default, or with TLS.
pub(super) struct Proxy(Party);

impl Echo {
    /// Starts it and waits until it accepts.
    pub(super) fn start() -> Result<Self, Failure> {
        let mut node = Command::new("node");
        node.arg("echo.js").current_dir(root().join("tests/node")).stdout(Stdio::piped());
        let party = Party::start(
            &mut node,
            "the echo server",
            |child| child.stdout.take(),
            |line| {
                let event: serde_json::Value = serde_json::from_str(line).ok()?;
                event.get("port")?.as_u64()?.try_into().ok()
            },
        );
        party.map(Self)
    }

    pub(super) fn port(&self) -> u16 {
        self.0.port
    }
}

impl Proxy {
    /// Starts the Sockeye that was built with this program, and waits until it accepts.
    pub(super) fn start(echo: &Echo, directory: &Path, tls: bool) -> Result<Self, Failure> {
        let configuration = directory.join("sockeye.yaml");
        let mut keys = "bind: '127.0.0.1:0'".to_owned();
        if tls {
            make_certificate(directory)?;
            keys += ", tls: { chain: chain.pem, key: key.pem }";
        }
        let text = format!(
            "listeners: [{{ {keys} }}]\n\
             upstreams: {{ echo: {{ nodes: ['127.0.0.1:{}'], affinity: none }} }}\n\
             routes: [{{ upstream: echo }}]\n\
             log: {{ format: json }}\n",
            echo.port()
        );
        fs::write(&configuration, text)
            .map_err(|error| Failure(format!("cannot write Sockeye's configuration: {error}")))?;
        let mut sockeye = Command::new(sockeye()?);
        sockeye.arg("run").arg("--config").arg(&configuration).stderr(Stdio::piped());
        let party = Party::start(
            &mut sockeye,
            "Sockeye",
            |child| child.stderr.take(),
            |line| {
                let (_, address) = line.split_once("\"address\":\"127.0.0.1:")?;
                address.split('"').next()?.parse().ok()
            },
        );
        party.map(Self)
    }

    pub(super) fn port(&self) -> u16 {
        self.0.port
    }
}

/// The Sockeye that was built with this program.
pub(super) fn sockeye() -> Result<PathBuf, Failure> {
    let program = env::current_exe()
        .map_err(|error| Failure(format!("cannot tell where Sockeye was built: {error}")))?;
    Ok(program.with_file_name("sockeye"))
}

/// Leaves `chain.pem` and `key.pem`, which the suite does not verify.
fn make_certificate(directory: &Path) -> Result<(), Failure> {
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]);
    openssl.args(["-nodes", "-days", "2", "-subj", "/CN=localhost"]);
    openssl.args(["-addext", "subjectAltName=DNS:localhost"]);
    run(openssl.args(["-keyout", "key.pem", "-out", "chain.pem"]).current_dir(directory))
}

/// A child process that accepts on a port.
struct Party {
    child: Child,
    port: u16,
}

impl Party {
    /// Starts `command` and reads what `output` takes of it up to the line in which `port` finds one.
    fn start<R: Read + Send + 'static>(
        command: &mut Command,
        name: &str,
        output: impl FnOnce(&mut Child) -> Option<R>,
        port: impl Fn(&str) -> Option<u16>,
    ) -> Result<Self, Failure> {
        let mut child = command
            .stdin(Stdio::piped())
            .spawn()
            .map_err(|error| Failure(format!("cannot start {name}: {error}")))?;
        let output = output(&mut child).expect("the caller made it a pipe");
        let mut party = Self { child, port: 0 };
        let mut lines = BufReader::new(output).lines();
        let found = lines.by_ref().map_while(Result::ok).find_map(|line| port(&line));
        party.port = found.ok_or_else(|| Failure(format!("{name} ended before it accepted")))?;
        // Somebody must read on, or a full pipe would stop the child.
        thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Ok(party)
    }
}

impl Drop for Party {
    fn drop(&mut self) {
        // If this fails it has ended already, and then there is nobody to wait for either.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
