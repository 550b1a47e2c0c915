//! The files and the manual that we ship.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use super::super::{keys, load, parse};
use crate::yaml::{KeyPath, SourceMap, Step};

/// The files directly in `configs/`; what is below is for other programs.
pub(super) fn example_files() -> Vec<PathBuf> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("configs");
    let paths = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.is_file()).collect()
}

pub(super) fn shipped(path: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The path as [`keys`] writes it, whatever names the file chose.
pub(super) fn generic(path: &KeyPath) -> String {
    let mut shown = String::new();
    for (depth, step) in path.steps().iter().enumerate() {
        match step {
            Step::Index(_) => shown.push_str("[]"),
            Step::Key(_) if depth == 1 && shown == "upstreams" => shown.push_str(".*"),
            Step::Key(key) if depth == 0 => shown.push_str(key),
            Step::Key(key) => shown.extend([".", &**key]),
        }
    }
    shown
}

#[test]
fn every_example_file_is_valid() {
    let files = example_files();
    for file in &files {
        if let Err(problems) = load(file) {
            panic!("{problems}");
        }
    }
    assert!(files.len() >= 4, "{files:?}");
}

#[test]
fn the_reference_has_every_key() {
    let source_map = SourceMap::parse(&shipped("configs/reference.yaml")).unwrap();
    let written: BTreeSet<String> = source_map.paths().iter().map(generic).collect();
    let missing: Vec<String> = keys().into_iter().filter(|key| !written.contains(key)).collect();
    assert!(missing.is_empty(), "not in reference.yaml: {missing:?}");
}

#[test]
fn the_reference_states_the_defaults() {
    let bare = "
upstreams:
  chat: { nodes: [10.0.0.1:3000, { address: 10.0.0.2:3000 }] }
  by-cookie: { nodes: [10.0.1.1:3000], affinity: cookie }
  by-address: { nodes: [10.0.2.1:3000], affinity: { rendezvous: { by: address } } }
  by-header:
    nodes: [10.0.3.1:3000]
    affinity: { rendezvous: { by: { header: X-User-Id } } }
    balance: { rendezvous: { by: { header: X-User-Id } } }
  by-query:
    nodes: [10.0.4.1:3000]
    affinity: { rendezvous: { by: { query: room } } }
    balance: { rendezvous: { by: { query: room } } }
  by-application-cookie:
    nodes: [10.0.5.1:3000]
    affinity: { rendezvous: { by: { cookie: user } } }
  discovered:
    discover: { dns: 'chat-headless.default.svc:3000', server: '10.0.0.53:53' }
    health: { engineio: /socket.io/ }
    rebalance: {}
  discovered-services:
    discover: { srv: _socketio._tcp.chat.example.com }
    health: { http: { path: /health, host: chat.example.com, body: ok, drain: leaving } }
    balance: { rendezvous: { by: { cookie: user } } }
routes:
  - upstream: chat
  - { path: { exact: /health }, upstream: chat }
  - { path: /plain/, upstream: chat, tunnel: { keepalive: {} } }
";
    let reference = parse("reference.yaml", &shipped("configs/reference.yaml")).unwrap();
    assert_eq!(reference, parse("bare.yaml", bare).unwrap());
}

#[test]
fn the_manual_has_every_key_and_no_other() {
    let manual = shipped("docs/configuration.md");
    let row = |line: &str| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned());
    let mut documented: Vec<String> =
        manual.lines().skip_while(|line| *line != "## Keys").filter_map(row).collect();
    let mut known = keys();
    documented.sort();
    known.sort();
    assert_eq!(documented, known);
}
