//! Sockeye with what the importer makes of the file of a case.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::side::Side;
use super::table::{Case, Inside};

/// A running Sockeye; killed when dropped.
pub(super) struct Imported {
    /// What the importer says: the ids of its findings.
    pub(super) said: BTreeSet<String>,
    _child: Child,
}

impl Imported {
    /// Imports the file of the case in `side` and serves it, or gives what went wrong.
    pub(super) async fn start(case: &Case, side: &Side) -> Result<Self, String> {
        let directory = side.directory.path();
        let mut import = Command::new(env!("CARGO_BIN_EXE_sockeye"));
        import.args(["import", "nginx", &case.file, "--json"]).current_dir(directory);
        let output = import.stdin(Stdio::null()).output().await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let Ok(Value::Array(findings)) = serde_json::from_str(&said) else { return Err(said) };
        let ids = findings.iter().filter_map(|finding| finding["id"].as_str().map(str::to_owned));
        let said: BTreeSet<String> = ids.collect();
        let is_by_hand = findings.iter().any(|finding| finding["level"] == "by-hand");
        let expected = if is_by_hand { 3 } else { 0 };
        if output.status.code() != Some(expected) {
            return Err(format!("exit code {:?} instead of {expected}", output.status.code()));
        }
        let yaml = placed(case, side, &String::from_utf8_lossy(&output.stdout));
        let file = directory.join("sockeye-of-test.yaml");
        std::fs::write(&file, &yaml).unwrap();
        let mut run = Command::new(env!("CARGO_BIN_EXE_sockeye"));
        run.args(["run", "--config"]).arg(&file).stdin(Stdio::null()).stderr(Stdio::piped());
        let mut child = run.kill_on_drop(true).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut log = String::new();
        let start = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if line.contains(" ready") {
                    return true;
                }
                log.push_str(&line);
                log.push('\n');
            }
            false
        };
        let is_started = tokio::time::timeout(Duration::from_secs(20), start)
            .await
            .expect("Sockeye starts in time");
        if !is_started {
            return Err(format!("{log}{yaml}"));
        }
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self { said, _child: child })
    }
}

/// `yaml` with the port of the test, where the file of the case leaves it to others.
fn placed(case: &Case, side: &Side, yaml: &str) -> String {
    match (case.inside, side.ports.first()) {
        (Inside::Server | Inside::Location, Some((_, free))) => {
            yaml.replace("bind: \":80\"", &format!("bind: \"127.0.0.1:{free}\""))
        }
        _ => yaml.to_owned(),
    }
}
