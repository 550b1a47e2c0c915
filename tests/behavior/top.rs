//! `sockeye top`: the overview in a terminal.

use std::process::Command;
use std::time::Duration;

use crate::support::script::Script;
use crate::support::{FakeNode, Proxy, config};

async fn start() -> (Proxy, FakeNode, String) {
    let node = FakeNode::engineio("a").await;
    let yaml = config(&[node.address], "", "") + "admin: { bind: '127.0.0.1:0' }\n";
    let proxy = Proxy::start(&yaml);
    let admin = proxy.admin.unwrap().to_string();
    (proxy, node, admin)
}

#[tokio::test]
async fn a_pipe_gets_the_screen_once_as_text() {
    let (_proxy, _node, admin) = start().await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_sockeye"));
    command.args(["top", "--once", "--admin", &admin]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{output:?}");
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(shown.contains("\n\u{25cf} The node is fine; 0 sessions are open.\n"), "{shown}");
    assert_eq!(shown.lines().count(), 24, "{shown}");
    assert!(shown.lines().all(|line| line.chars().count() <= 80 && !line.contains('\u{1b}')));
}

#[tokio::test]
async fn whatever_ends_it_the_terminal_is_as_before() {
    let (_proxy, _node, admin) = start().await;
    let program = env!("CARGO_BIN_EXE_sockeye");
    for end in ["key", "signal"] {
        let arguments = ["--end", end, "--shows", "fine", "--", program, "top", "--admin", &admin];
        let mut terminal = Script::python("terminal.py", &arguments);
        let seen = terminal.event("terminal", Duration::from_secs(60)).await;
        assert_eq!(seen["code"], 0, "{end}: {seen:#}");
        assert_eq!(seen["restored"], true, "{end}: {seen:#}");
    }
}

#[tokio::test]
async fn a_process_that_does_not_answer_is_an_error() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sockeye"));
    // The discard port: nothing listens on it here.
    command.args(["top", "--admin", "127.0.0.1:9"]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot connect to 127.0.0.1:9"));
}
