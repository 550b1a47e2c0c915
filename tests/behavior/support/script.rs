//! A program of ours in another language: it prints one JSON object on each line, and it ends when
//! its stdin is closed, so that none outlives its test, however that ends.
//!
//! Runs at start, at reload, or on a timer.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// A running program; killed when dropped.
pub(crate) struct Script {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    lines: mpsc::Receiver<Value>,
    /// Owns the task that reads stdout, so that a full pipe never stops the program.
    _reader: JoinSet<()>,
}

impl Script {
    /// Starts `file` of `tests/node` on Node.js.
    pub(crate) fn node(file: &str, arguments: &[&str]) -> Self {
        let home = tests_directory("node");
        require(&home.join("node_modules"));
        Self::spawn(Command::new("node"), &home.join(file), arguments)
    }

    /// The same as [`Script::node`], with a client that trusts the authority in the file `ca`.
    pub(crate) fn node_trusting(ca: &Path, file: &str, arguments: &[&str]) -> Self {
        let home = tests_directory("node");
        require(&home.join("node_modules"));
        let mut trusting = Command::new("node");
        trusting.env("NODE_EXTRA_CA_CERTS", ca);
        Self::spawn(trusting, &home.join(file), arguments)
    }

    /// Starts `file` of `tests/python` in its virtual environment.
    pub(crate) fn python(file: &str, arguments: &[&str]) -> Self {
        Self::spawn(interpreter(), &tests_directory("python").join(file), arguments)
    }

    /// The same as [`Script::python`], with a client that trusts the authority in the file `ca`.
    pub(crate) fn python_trusting(ca: &Path, file: &str, arguments: &[&str]) -> Self {
        let mut trusting = interpreter();
        trusting.env("SSL_CERT_FILE", ca);
        Self::spawn(trusting, &tests_directory("python").join(file), arguments)
    }

    fn spawn(mut command: Command, file: &Path, arguments: &[&str]) -> Self {
        let name = format!("{} {}", file.display(), arguments.join(" "));
        let mut child = command
            .arg(file)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name}: {error}; {ADVICE}"));
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().expect("stdout is piped above");
        let (sender, lines) = mpsc::channel(LINES_MAX);
        let mut reader = JoinSet::new();
        reader.spawn(read_lines(stdout, sender));
        Self { name, child, stdin, lines, _reader: reader }
    }

    /// The next line whose `event` is `name`; what came before it is skipped. Panics if the program
    /// ends first, or after `deadline`.
    pub(crate) async fn event(&mut self, name: &str, deadline: Duration) -> Value {
        match timeout(deadline, self.find(name)).await {
            Ok(Some(line)) => line,
            Ok(None) => panic!("{} ended without `{name}`; its words are above", self.name),
            Err(_) => panic!("{} printed no `{name}` in {deadline:?}", self.name),
        }
    }

    /// The lines before the one whose `event` is `name`. Panics as [`Script::event`] does.
    pub(crate) async fn events_until(&mut self, name: &str, deadline: Duration) -> Vec<Value> {
        let mut passed = Vec::new();
        let read = async {
            while let Some(line) = self.lines.recv().await {
                if line["event"] == name {
                    return true;
                }
                passed.push(line);
            }
            false
        };
        let found = timeout(deadline, read).await;
        assert!(found == Ok(true), "{} printed no `{name}` in {deadline:?}", self.name);
        passed
    }

    /// The next line. Panics if the program ends first.
    pub(crate) async fn next(&mut self) -> Value {
        let line = self.lines.recv().await;
        line.unwrap_or_else(|| panic!("{} ended; its words are above", self.name))
    }

    async fn find(&mut self, name: &str) -> Option<Value> {
        loop {
            let line = self.lines.recv().await?;
            if line["event"] == name {
                return Some(line);
            }
        }
    }

    /// Tells the program that its test is gone.
    pub(crate) fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Sends SIGKILL and waits for the end, so that its port is free afterwards.
    pub(crate) async fn kill(&mut self) {
        self.child
            .kill()
            .await
            .unwrap_or_else(|error| panic!("cannot kill {}: {error}", self.name));
    }

    /// Sends a signal by its short name, such as `TERM`.
    pub(crate) async fn signal(&self, signal: &str) {
        let pid = self.child.id().expect("nobody waited for the program yet").to_string();
        let status = Command::new("kill").args(["-s", signal, &pid]).status().await;
        assert!(status.is_ok_and(|status| status.success()), "cannot signal {}", self.name);
    }

    /// Waits for the program to end by itself.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        timeout(ENDS_WITHIN, self.child.wait())
            .await
            .unwrap_or_else(|_| panic!("{} did not end in {ENDS_WITHIN:?}", self.name))
            .expect("a child can be waited for")
    }
}

/// Hands over each line of `stdout` until it ends or nobody listens. What is not JSON is a library's
/// own chatter.
async fn read_lines(stdout: ChildStdout, sender: mpsc::Sender<Value>) {
    let mut lines = BufReader::new(stdout).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let Ok(value) = serde_json::from_str(&line) else { continue };
        if sender.send(value).await.is_err() {
            return;
        }
    }
}

/// Python in its virtual environment.
fn interpreter() -> Command {
    let interpreter = tests_directory("python").join(".venv/bin/python");
    require(&interpreter);
    Command::new(interpreter)
}

fn tests_directory(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

fn require(path: &Path) {
    assert!(path.exists(), "{} is missing; {ADVICE}", path.display());
}

/// What to do about a missing part.
pub(crate) const ADVICE: &str = "run `cargo xtask test`, which installs what tests need";

/// Lines that may wait for the test. A program that printed more would stop at its next line.
const LINES_MAX: usize = 100_000;

/// An orderly end closes some connections; it is not a wait for clients.
const ENDS_WITHIN: Duration = Duration::from_secs(20);
