//! The importer of nginx: the command, what it serves and follows, and that it reads as others read.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use sockeye::internal::nginx::{Directive, parse};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::support::script::Script;
use crate::support::{FakeNode, get, ok};

fn import(arguments: &[&str], directory: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sockeye"));
    command.args(["import", "nginx"]).args(arguments).current_dir(directory);
    command.stdin(Stdio::null()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

const CHAT: &str = "upstream chat { server 10.0.0.1:3000; server 10.0.0.2:3000; }\n\
                    server { listen 80; location /socket.io/ { proxy_pass http://chat; } }\n";

#[test]
fn a_file_that_is_carried_over_whole_becomes_yaml_that_checks() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("nginx.conf"), CHAT).unwrap();
    let printed = import(&["nginx.conf"], directory.path());
    assert_eq!(printed.status.code(), Some(0), "{}", text(&printed.stderr));
    assert!(
        text(&printed.stdout).contains("path: /socket.io/  # nginx.conf:2 location /socket.io/")
    );

    let written = import(&["nginx.conf", "-o", "sockeye.yaml"], directory.path());
    assert_eq!(written.status.code(), Some(0), "{}", text(&written.stderr));
    assert_eq!(text(&written.stdout), "");
    let path = directory.path().join("sockeye.yaml");
    assert!(sockeye::load(&path).is_ok(), "{}", fs::read_to_string(&path).unwrap());

    fs::write(&path, "mine").unwrap();
    let again = import(&["nginx.conf", "-o", "sockeye.yaml"], directory.path());
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stderr).contains("--force"), "{}", text(&again.stderr));
    assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    let forced = import(&["nginx.conf", "-o", "sockeye.yaml", "--force"], directory.path());
    assert_eq!(forced.status.code(), Some(0));
    assert_ne!(fs::read_to_string(&path).unwrap(), "mine");
}

#[test]
fn what_is_to_do_by_hand_is_said_and_is_3() {
    let directory = tempfile::tempdir().unwrap();
    let php = CHAT.replace("location", "location ~ \\.php$ { fastcgi_pass a:9000; } location");
    fs::write(directory.path().join("nginx.conf"), php).unwrap();
    let output = import(&["nginx.conf"], directory.path());
    assert_eq!(output.status.code(), Some(3));
    assert!(
        text(&output.stderr).contains("nginx.conf:2: fastcgi_pass a:9000"),
        "{}",
        text(&output.stderr)
    );

    let output = import(&["nginx.conf", "--json"], directory.path());
    let report: Value = serde_json::from_slice(&output.stderr).unwrap();
    let by_hand: Vec<&Value> =
        report.as_array().unwrap().iter().filter(|it| it["level"] == "by-hand").collect();
    assert_eq!((by_hand.len(), &by_hand[0]["line"]), (1, &json!(2)), "{report}");
}

#[test]
fn what_cannot_be_read_is_1_and_wrong_use_is_2() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("binary"), b"\x7fELF\0\0").unwrap();
    fs::create_dir(directory.path().join("d")).unwrap();
    for (file, part) in [("none", "none"), ("binary", "binary file"), ("d", "d: ")] {
        let output = import(&[file], directory.path());
        assert_eq!(output.status.code(), Some(1), "{file}");
        assert!(text(&output.stderr).contains(part), "{}", text(&output.stderr));
    }
    assert_eq!(import(&[], directory.path()).status.code(), Some(2));
    assert_eq!(import(&["a", "--force"], directory.path()).status.code(), Some(2));
}

#[test]
fn large_files_and_many_includes_are_imported_in_time() {
    let directory = tempfile::tempdir().unwrap();
    let location = |number: usize| format!("location /l{number}/ {{ proxy_pass http://a:1; }}\n");
    fs::create_dir(directory.path().join("d")).unwrap();
    for number in 0..1000 {
        fs::write(directory.path().join(format!("d/{number}.conf")), location(number)).unwrap();
    }
    let main = "server { listen 80; include d/*.conf; location / { proxy_pass http://a:1; } }";
    fs::write(directory.path().join("nginx.conf"), main).unwrap();
    let output = import(&["nginx.conf"], directory.path());
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("path: /l999/"));

    let comments = "# a comment of a file that a program writes\n".repeat(240_000);
    fs::write(directory.path().join("large.conf"), format!("{comments}{CHAT}")).unwrap();
    let output = import(&["large.conf"], directory.path());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));

    fs::write(directory.path().join("a.conf"), format!("{CHAT} include b.conf;")).unwrap();
    fs::write(directory.path().join("b.conf"), "include a.conf;").unwrap();
    let output = import(&["a.conf"], directory.path());
    assert!(text(&output.stderr).contains("a.conf > b.conf > a.conf"), "{}", text(&output.stderr));
}

#[tokio::test]
async fn an_nginx_conf_is_served_as_it_stands_and_followed() {
    let (a, b) = (FakeNode::start(|_| ok("a")).await, FakeNode::start(|_| ok("b")).await);
    let directory = tempfile::tempdir().unwrap();
    let main = directory.path().join("nginx.conf");
    let included = directory.path().join("app.conf");
    fs::write(&main, "server { listen 127.0.0.1:0; include app.conf; }").unwrap();
    let pass = |node: &FakeNode| format!("location / {{ proxy_pass http://{}; }}", node.address);
    fs::write(&included, pass(&a)).unwrap();
    let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_sockeye"))
        .args(["run", "--nginx"])
        .arg(&main)
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut until = async |part: &str| {
        let found = async {
            loop {
                let line = log.next_line().await.unwrap().expect("the process runs");
                if line.contains(part) {
                    return line;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(20), found).await.expect("the line in time")
    };
    let line = until("listening").await;
    let address = line.split("address=").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
    let address = address.trim_matches('"').parse().unwrap();
    until("ready").await;
    assert_eq!(get(address, "/").await.text(), "a");

    fs::write(&included, "location / {").unwrap();
    let line = until("not reloaded").await;
    assert!(line.contains("app.conf"), "{line}");
    assert_eq!(get(address, "/").await.text(), "a", "half a file changes nothing");

    fs::write(&included, pass(&b)).unwrap();
    until("reloaded: ").await;
    assert_eq!(get(address, "/").await.text(), "b");
}

/// As crossplane shows it: the parentheses of `if` are no part of its arguments, and a block of Lua has no
/// directives.
fn shown(directive: &Directive) -> Value {
    let mut arguments: Vec<&str> = directive.texts().collect();
    if directive.name == "if" {
        if let Some(first) = arguments.first_mut() {
            *first = first.strip_prefix('(').unwrap_or(first);
        }
        if let Some(last) = arguments.last_mut() {
            *last = last.strip_suffix(')').unwrap_or(last);
        }
        arguments.retain(|argument| !argument.is_empty());
    }
    let block = directive.block.as_ref().filter(|_| !directive.name.ends_with("_by_lua_block"));
    let block = block.map(|block| block.iter().map(shown).collect::<Vec<_>>());
    json!([directive.name, arguments, directive.at.line, block])
}

#[tokio::test]
async fn files_are_divided_into_words_as_crossplane_does_it() {
    let texts = [
        CHAT,
        "a;b c;d{e f;g{}}",
        "http {\n\tserver\n\t{\n listen 80; # a comment; with { signs }\n }\n}\n",
        "log_format main '$remote_addr - \"$request\" '\n  '$status # no comment';\n",
        "map $http_upgrade $c {\n default upgrade;\n '' close;\n \"~^a{2}$\" x;\n}\n",
        "location ~ ^/(a|b)\\.(js|css)$ { expires 1d; }\nlocation = / { }\n",
        "if ($request_method = 'OPTIONS') { return 204; }\nif ($a ~* \"x\") { set $b \"${a}c\"; }",
        "add_header X \"a \\\"quoted\\\" word\";\nset $x ${y}z;\n",
        "a 'ü ß' \u{5d0};\r\nb\r\n;\r\n",
        "types { text/html html htm; }\ngeo $g { 10.0.0.0/8 1; }\nsplit_clients $a $b { 10% x; * y; }",
        "content_by_lua_block {\n  local t = { a = 1 }\n  ngx.say(\"}\")\n}\nb;\n",
        "proxy_set_header Host $host;proxy_set_header A \"\";",
        "server_name a.example\n    b.example;\n",
        "a b#c;\n",
    ];
    let directory = tempfile::tempdir().unwrap();
    let paths: Vec<String> = (0..texts.len())
        .map(|number| directory.path().join(format!("{number}.conf")).display().to_string())
        .collect();
    for (path, text) in paths.iter().zip(texts) {
        fs::write(path, text).unwrap();
    }
    let paths: Vec<&str> = paths.iter().map(|path| &**path).collect();
    let mut script = Script::python("nginx_tree.py", &paths);
    let result = script.event("result", Duration::from_secs(60)).await;
    for (text, theirs) in texts.iter().zip(result["trees"].as_array().unwrap()) {
        assert_eq!(theirs["errors"], json!([]), "{text}");
        let parsed = parse("a.conf", text);
        assert!(parsed.findings.is_empty(), "{text}: {:?}", parsed.findings);
        let ours: Vec<Value> = parsed.directives.iter().map(shown).collect();
        assert_eq!(Value::from(ours), theirs["tree"], "{text}");
    }
}
