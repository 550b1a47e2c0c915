//! `sockeye init`, in a network of its own: it asks all ports of a machine, and other tests have nodes too.

use std::path::Path;
use std::process::{Command, Output};

/// Runs a script where nothing else listens, in a directory of its own, with the program as `$1` and the
/// script of a node as `$2`.
fn alone(directory: &Path, script: &str) -> Output {
    let server = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/node/server.js");
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--net", "sh", "-c"])
        .arg(format!("ip link set lo up || exit 9\n{script}"))
        .args(["sh", env!("CARGO_BIN_EXE_sockeye")])
        .arg(server)
        .current_dir(directory)
        .output();
    output.expect("unshare (util-linux), and user namespaces; `cargo xtask setup` tells more")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_configuration_is_written_for_the_nodes_that_run() {
    let directory = tempfile::tempdir().unwrap();
    // Each node ends when its standard input does, and prints a line when it is ready.
    let output = alone(
        directory.path(),
        "mkfifo hold ready; exec 7<>hold\n\
         for port in 3000 8080; do\n\
         node \"$2\" --port $port <hold >ready 2>/dev/null & nodes=\"$nodes $!\"; head -n 1 ready\n\
         done\n\
         \"$1\" init && \"$1\" check; code=$?\n\
         kill $nodes; exit $code",
    );
    assert_eq!(output.status.code(), Some(0), "{} {}", text(&output.stdout), text(&output.stderr));
    let written = std::fs::read_to_string(directory.path().join("sockeye.yaml")).unwrap();
    for part in ["127.0.0.1:3000", "127.0.0.1:8080", "bind: \":8081\""] {
        assert!(written.contains(part), "{part} is not in\n{written}");
    }
}

#[test]
fn a_proxy_is_no_node_and_a_node_may_listen_at_one_address_alone() {
    let directory = tempfile::tempdir().unwrap();
    let nginx =
        "daemon off; user root root; pid pid; error_log stderr; events {} http { access_log off;
        client_body_temp_path t; proxy_temp_path t; fastcgi_temp_path t; uwsgi_temp_path t;
        scgi_temp_path t; server { listen 127.0.0.1:8000;
        location /socket.io/ { proxy_pass http://[::1]:3000; } } }";
    std::fs::write(directory.path().join("nginx.conf"), nginx).unwrap();
    let output = alone(
        directory.path(),
        "mkfifo hold ready; exec 7<>hold\n\
         node \"$2\" --host ::1 --port 3000 <hold >ready 2>/dev/null & nodes=$!; head -n 1 ready\n\
         nginx -p . -c nginx.conf >/dev/null 2>&1 & nodes=\"$nodes $!\"\n\
         timeout 20 sh -c 'until test -s pid; do :; done'\n\
         \"$1\" init; code=$?\n\
         kill $nodes; exit $code",
    );
    assert_eq!(output.status.code(), Some(0), "{} {}", text(&output.stdout), text(&output.stderr));
    let written = std::fs::read_to_string(directory.path().join("sockeye.yaml")).unwrap();
    assert!(written.contains("[::1]:3000") && !written.contains(":8000"), "{written}");
}

#[test]
fn without_nodes_the_package_is_a_hint_and_without_it_nothing_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let nothing = alone(directory.path(), "\"$1\" init");
    assert_eq!(nothing.status.code(), Some(1), "{}", text(&nothing.stderr));
    assert!(text(&nothing.stderr).contains("--nodes"), "{}", text(&nothing.stderr));
    let file = directory.path().join("sockeye.yaml");
    assert!(!file.exists());

    let package = r#"{ "dependencies": { "socket.io": "^4.8.0" } }"#;
    std::fs::write(directory.path().join("package.json"), package).unwrap();
    let guessed = alone(directory.path(), "\"$1\" init && \"$1\" check");
    assert_eq!(guessed.status.code(), Some(0), "{}", text(&guessed.stderr));
    let written = std::fs::read_to_string(&file).unwrap();
    assert!(written.contains("127.0.0.1:3000") && written.contains("guess"), "{written}");
}

#[test]
fn a_file_is_not_overwritten_and_named_nodes_are_used() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("chat.yaml");
    let init = |nodes: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sockeye"));
        command.args(["init", "--nodes", nodes, "--output"]).arg(&file).output().unwrap()
    };
    let wrong = init("nowhere");
    assert_eq!(wrong.status.code(), Some(1));
    assert!(!file.exists(), "{}", text(&wrong.stderr));
    assert_eq!(init("10.0.0.1:3000,10.0.0.2:3000").status.code(), Some(0));
    let written = std::fs::read_to_string(&file).unwrap();
    assert!(written.contains("10.0.0.2:3000"), "{written}");
    let again = init("10.0.0.3:3000");
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stderr).contains("not overwritten"), "{}", text(&again.stderr));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), written);
}

#[test]
fn run_without_a_file_says_how_to_get_one() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_sockeye"));
    let output = command.arg("run").current_dir(directory.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("sockeye init"), "{}", text(&output.stderr));
}
