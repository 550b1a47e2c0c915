//! A Redis of the test's own: it joins Socket.IO nodes, keeps nothing, and listens on a Unix socket,
//! since there no port can be taken.
//!
//! Runs at start, at reload, or on a timer.

use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::script::ADVICE;

/// A running Redis; ends when dropped, and when the test is killed.
pub(crate) struct Redis {
    home: TempDir,
    _shell: Child,
    /// Closed with us: the shell waits for that.
    _stdin: ChildStdin,
    _log: Lines<BufReader<ChildStdout>>,
}

impl Redis {
    /// A Redis that accepts connections.
    pub(crate) async fn start() -> Self {
        let home = tempfile::Builder::new().prefix("sockeye-redis").tempdir().expect("a directory");
        let mut shell = Command::new("sh")
            .args(["-c", RUN_UNTIL_STDIN_CLOSES, "sh"])
            .args(["--port", "0", "--unixsocket", SOCKET, "--save", "", "--appendonly", "no"])
            .current_dir(home.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let stdin = shell.stdin.take().expect("stdin is piped above");
        let stdout = shell.stdout.take().expect("stdout is piped above");
        let mut log = BufReader::new(stdout).lines();
        timeout(READY_WITHIN, ready(&mut log))
            .await
            .unwrap_or_else(|_| panic!("Redis was not ready in {READY_WITHIN:?}"));
        Self { home, _shell: shell, _stdin: stdin, _log: log }
    }

    /// The socket's path, for `--redis` of `tests/node/server.js`.
    pub(crate) fn socket(&self) -> String {
        self.home.path().join(SOCKET).display().to_string()
    }
}

/// Reads the log up to the line that every version ends its start with.
async fn ready(log: &mut Lines<BufReader<ChildStdout>>) {
    let mut read = String::new();
    while let Some(line) = log.next_line().await.expect("the log is text") {
        if line.contains("eady to accept connections") {
            return;
        }
        read += &line;
        read.push('\n');
    }
    panic!("Redis did not start; {ADVICE}. Its words:\n{read}");
}

/// Redis does not watch its stdin, so a shell does. Valkey is what some distributions have instead.
const RUN_UNTIL_STDIN_CLOSES: &str = r#"
program=$(command -v redis-server || command -v valkey-server) || exit 1
"$program" "$@" &
cat >/dev/null
kill $!
wait
"#;

const SOCKET: &str = "redis.sock";

const READY_WITHIN: Duration = Duration::from_secs(20);
