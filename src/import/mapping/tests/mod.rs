//! What becomes of the constructs that people use.

mod differences;
mod routes;
mod servers;

use std::io;
use std::path::Path;

use crate::import::{Import, import};
use crate::nginx::{Files, Level};

/// One file in memory.
struct One<'t>(&'t str);

impl Files for One<'_> {
    fn read(&self, path: &Path, _bytes_max: usize) -> io::Result<Vec<u8>> {
        match path == Path::new("n") {
            true => Ok(self.0.as_bytes().to_vec()),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn names(&self, _path: &Path) -> io::Result<Vec<String>> {
        Ok(Vec::new())
    }
}

fn imported(text: &str) -> Import {
    import(Path::new("n"), &One(text), "test").unwrap()
}

/// The YAML without comments, and the findings of this level.
fn yaml(import: &Import) -> String {
    let text = import.yaml.as_deref().unwrap_or("nothing");
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.map(|line| line.split("  # ").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

fn ids(import: &Import, level: Level) -> Vec<&str> {
    import
        .findings
        .iter()
        .filter(|finding| finding.level == level)
        .map(|finding| finding.id)
        .collect()
}

/// Imports `text`, whose YAML has each of `parts`, spaces aside, and which leaves `by_hand`.
#[track_caller]
fn check(text: &str, parts: &[&str], by_hand: &[&str]) {
    let import = imported(text);
    let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let said = plain(&yaml(&import));
    for part in parts {
        assert!(said.contains(&plain(part)), "{text}\nlacks {part}\n{}", yaml(&import));
    }
    assert_eq!(ids(&import, Level::ByHand), by_hand, "{text}\n{:#?}", import.findings);
}

/// The same for the directives of a server with an application at `/`.
#[track_caller]
fn check_server(text: &str, parts: &[&str], by_hand: &[&str]) {
    check(&format!("server {{ listen 80; {text} }}"), parts, by_hand);
}

const APP: &str = "proxy_pass http://app:3000; proxy_set_header Host $host;";
