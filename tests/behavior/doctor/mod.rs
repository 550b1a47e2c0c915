//! `sockeye doctor`: real nodes behind real proxies, sound ones and broken ones. For each, exactly the faults
//! that are there must be found.

mod broken;
mod init;
mod memory;
mod nodes;
mod rooms;
mod sound;
mod undecided;

use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;
use tokio::time::timeout;

use crate::support::relay::Relay;
use crate::support::socketio::NodeServer;

/// What the doctor says.
struct Report {
    code: i32,
    json: Value,
}

impl Report {
    /// The faults, each with whose it is.
    fn faults(&self) -> Vec<(&str, &str)> {
        fn text(value: &Value) -> &str {
            value.as_str().unwrap_or("?")
        }
        let findings = self.json["findings"].as_array().into_iter().flatten();
        findings.map(|finding| (text(&finding["fault"]), text(&finding["whose"]))).collect()
    }

    /// The state of a symptom.
    fn verdict(&self, symptom: &str) -> &Value {
        let mut verdicts = self.json["verdicts"].as_array().into_iter().flatten();
        let verdict = verdicts.find(|verdict| verdict["symptom"] == symptom);
        verdict.map_or(&Value::Null, |verdict| &verdict["state"])
    }

    /// Exactly these faults are found, and the exit code fits.
    #[track_caller]
    fn has(&self, expected: &[(&str, &str)]) {
        assert_eq!(self.faults(), expected, "{:#}", self.json);
        let code = i32::from(!expected.is_empty());
        assert_eq!(self.code, code, "{:#}", self.json["verdicts"]);
    }
}

/// Runs the doctor to its end. Patience is longer than the heartbeat of [`node`].
async fn doctor(arguments: &[&str]) -> Report {
    patient_doctor("5", arguments).await
}

/// The same with another patience, in seconds.
async fn patient_doctor(patience: &str, arguments: &[&str]) -> Report {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sockeye"));
    command.args(["doctor", "--json", "--patience", patience]).args(arguments).kill_on_drop(true);
    let output = timeout(ENDS_WITHIN, command.output()).await.expect("it ends").unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let json = serde_json::from_slice(&output.stdout);
    let json = json.unwrap_or_else(|error| panic!("{error}: {said}"));
    Report { code: output.status.code().unwrap_or(-1), json }
}

/// A node whose heartbeat is shorter than the patience.
async fn node(arguments: &[&str]) -> NodeServer {
    NodeServer::start(&[&["--ping-interval", "3000", "--ping-timeout", "4000"], arguments].concat())
        .await
}

/// nginx before `nodes`; `upstream` and `location` are lines there.
async fn nginx(nodes: &[&NodeServer], upstream: &str, location: &str) -> Relay {
    let servers: String = nodes.iter().map(|node| format!("server {}; ", node.address())).collect();
    Relay::nginx(&format!(
        "http {{ map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}
         upstream nodes {{ {upstream} {servers} }}
         server {{ listen LISTEN; location /socket.io/ {{ proxy_pass http://nodes; {location} }} }} }}"
    ))
    .await
}

/// What a location of nginx needs.
const GOOD: &str = "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection $connection_upgrade; proxy_set_header Host $http_host;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_set_header X-Forwarded-Proto $scheme;";

/// HAProxy before `nodes`; `lines` are before its servers.
fn haproxy(nodes: &[&NodeServer], lines: &str) -> Relay {
    let servers: String = nodes
        .iter()
        .enumerate()
        .map(|(index, node)| format!("\n  server n{index} {}", node.address()))
        .collect();
    Relay::haproxy(&format!("\n  mode http\n  {lines}{servers}"))
}

fn url(relay: &Relay) -> String {
    format!("http://{}", relay.address)
}

const ENDS_WITHIN: Duration = Duration::from_secs(120);
