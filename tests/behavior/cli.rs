//! The program: what it says, and with which exit code it ends.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use crate::support::{FakeNode, ProxyProcess, config, get, ok};

fn sockeye(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sockeye")).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn help_teaches_and_wrong_use_is_2() {
    let help = sockeye(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    for word in ["run", "check", "sockeye.yaml", "upstreams:"] {
        assert!(text(&help.stdout).contains(word), "{word}");
    }
    assert_eq!(sockeye(&[]).status.code(), Some(2));
    assert_eq!(sockeye(&["walk"]).status.code(), Some(2));
    assert_eq!(sockeye(&["drain"]).status.code(), Some(2));
    assert_eq!(sockeye(&["--version"]).status.code(), Some(0));
}

#[test]
fn check_says_what_a_file_holds_or_what_is_wrong_with_it() {
    let good = sockeye(&["check", "configs/minimal.yaml"]);
    assert_eq!(good.status.code(), Some(0), "{}", text(&good.stderr));
    assert!(text(&good.stdout).contains("is fine"), "{}", text(&good.stdout));

    let unsaid = sockeye(&["check"]);
    assert!(text(&unsaid.stderr).contains("sockeye.yaml"), "{}", text(&unsaid.stderr));

    let missing = sockeye(&["check", "configs/nowhere.yaml"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(text(&missing.stderr).contains("configs/nowhere.yaml"), "{}", text(&missing.stderr));

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("broken.yaml");
    std::fs::write(
        &path,
        "upstreams:\n  chat: { nodez: [10.0.0.1:3000] }\nroutes:\n  - { path: /, upstream: chta }\n",
    )
    .unwrap();
    let broken = sockeye(&["check", path.to_str().unwrap()]);
    let said = text(&broken.stderr);
    assert_eq!(broken.status.code(), Some(1));
    for part in ["broken.yaml:2:", "nodez", "write nodes", "broken.yaml:4:", "chta", "write chat"] {
        assert!(said.contains(part), "{part} is not in:\n{said}");
    }
}

#[test]
fn check_opens_the_files_of_keys_and_passwords() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    let check = |auth: &str, held: Option<&str>, expected: &str| {
        match held {
            Some(text) => std::fs::write(&file, text).unwrap(),
            None => drop(std::fs::remove_file(&file)),
        }
        let auth = auth.replace("FILE", file.to_str().unwrap());
        let path = directory.path().join("sockeye.yaml");
        let chat = "upstreams: { chat: { nodes: ['127.0.0.1:1'] } }";
        let routes = format!("routes: [{{ path: /, upstream: chat, auth: {{ {auth} }} }}]");
        std::fs::write(&path, format!("{chat}\n{routes}\n")).unwrap();
        let checked = sockeye(&["check", path.to_str().unwrap()]);
        let said = text(&checked.stderr);
        assert_eq!(checked.status.code(), Some(1), "{auth}: {said}");
        assert!(said.contains(&format!("{}: {expected}", file.display())), "{auth}: {said}");
    };
    check("jwt: { jwks_file: FILE }", None, "No such file");
    check("jwt: { jwks_file: FILE }", Some("keys"), "no JSON");
    check("jwt: { jwks_file: FILE }", Some("{}"), "it is no JWK set");
    check("jwt: { pem_files: [FILE] }", Some("-----BEGIN CERTIFICATE-----"), "it is a certificate");
    check("basic: { htpasswd_file: FILE }", Some("# none\n"), "it has no user");
    check("basic: { htpasswd_file: FILE }", Some("ann:$apr1$a$b"), "line 1: the hash is neither");
}

#[test]
fn check_prints_no_control_characters_and_waits_for_no_pipe() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a\u{1b}[2J.yaml");
    std::fs::write(&path, "routes: [{ respond: { body: ok } }]\n").unwrap();
    let fine = sockeye(&["check", path.to_str().unwrap()]);
    let said = text(&fine.stdout);
    assert_eq!(fine.status.code(), Some(0), "{}", text(&fine.stderr));
    assert!(said.contains("a\\u{1b}[2J.yaml is fine: 1 listener, 0 upstreams, 1 route"), "{said}");

    let pipe = directory.path().join("\u{1b}pipe.html");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let page = "error_pages: { 404: \"\\epipe.html\" }\nroutes: [{ respond: { body: ok } }]\n";
    std::fs::write(&path, page).unwrap();
    let begun = tokio::time::Instant::now();
    let refused = sockeye(&["check", path.to_str().unwrap()]);
    assert!(begun.elapsed() < std::time::Duration::from_secs(4), "{:?}", begun.elapsed());
    let said = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot be read: it is not a regular file"), "{said}");
    assert!(!said.contains('\u{1b}'), "{said:?}");
}

#[tokio::test]
async fn run_tells_what_it_serves_and_ends_with_0_on_a_signal() {
    let node = FakeNode::start(|_| ok("yes")).await;
    for signal in ["TERM", "INT"] {
        let mut proxy = ProxyProcess::start(&config(&[node.address], "", "")).await;
        let route = proxy.until_log("route").await;
        assert!(route.contains("path=/") && route.contains("upstream=chat"), "{route}");
        assert_eq!(get(proxy.address, "/").await.text(), "yes");
        proxy.signal(signal);
        assert_eq!(proxy.child.wait().await.unwrap().code(), Some(0));
    }
}

#[tokio::test]
async fn a_taken_address_is_a_clear_failure() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sockeye.yaml");
    let yaml = config(&["127.0.0.1:1".parse().unwrap()], "", "")
        .replace("127.0.0.1:0", &address.to_string());
    std::fs::write(&path, yaml).unwrap();
    let failed = sockeye(&["run", "--config", path.to_str().unwrap()]);
    assert_eq!(failed.status.code(), Some(1));
    assert!(text(&failed.stderr).contains(&address.to_string()), "{}", text(&failed.stderr));
}

#[test]
fn the_program_tells_other_programs_about_itself() {
    let schema = sockeye(&["schema"]);
    let schema: serde_json::Value = serde_json::from_slice(&schema.stdout).unwrap();
    let needed = serde_json::json!([
        { "required": ["routes"] },
        { "required": ["include"] },
    ]);
    assert_eq!(schema["anyOf"], needed, "{schema:#}");

    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = text(&sockeye(&["completions", shell]).stdout);
        for word in ["sockeye", "check", "config"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    assert_eq!(sockeye(&["completions", "abacus"]).status.code(), Some(2));

    let page = text(&sockeye(&["man"]).stdout);
    assert!(page.contains(".TH sockeye 1") && page.contains("sockeye\\-check(1)"), "{page}");
    let page = text(&sockeye(&["man", "run"]).stdout);
    assert!(page.contains(".TH sockeye-run 1") && page.contains("sockeye.yaml"), "{page}");
    assert_eq!(sockeye(&["man", "walk"]).status.code(), Some(1));
}

#[test]
fn status_asks_the_admin_listener_that_the_configuration_names() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let yaml = format!(
        "admin: {{ bind: '{address}' }}\nupstreams: {{ chat: {{ nodes: ['127.0.0.1:1'] }} }}\n\
         routes: [{{ path: /, upstream: chat }}]\n"
    );
    let mut child = Command::new(env!("CARGO_BIN_EXE_sockeye"))
        .args(["status", "--config", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(yaml.as_bytes()).unwrap();
    let asked = child.wait_with_output().unwrap();
    assert_eq!(asked.status.code(), Some(1));
    assert!(text(&asked.stderr).contains(&address.to_string()), "{}", text(&asked.stderr));

    let missing = sockeye(&["status", "--config", "configs/nowhere.yaml"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(text(&missing.stderr).contains("configs/nowhere.yaml"), "{}", text(&missing.stderr));
}
