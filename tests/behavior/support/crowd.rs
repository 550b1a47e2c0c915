//! A crowd of Socket.IO clients, and what happens to each: `crowd` of `tests/node/README.md`.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, timeout};

use super::script::Script;

/// Clients that stay until they are told to finish.
pub(crate) struct Crowd {
    script: Script,
    /// All lines since the beginning.
    pub(crate) events: Vec<Value>,
}

/// What became of a crowd.
pub(crate) struct Outcome {
    /// All lines but the result.
    pub(crate) events: Vec<Value>,
    /// The result: it holds when all were connected at the end and no handshake was refused.
    pub(crate) result: Value,
}

impl Crowd {
    /// All clients, connected; arguments as in `tests/node/client.js --help` without the scenario.
    pub(crate) async fn start(arguments: &[&str]) -> Self {
        let mut all = vec!["--scenario", "crowd", "--deadline", "600"];
        all.extend(arguments);
        let mut script = Script::node("client.js", &all);
        let events = script.events_until("ready", READY_WITHIN).await;
        Self { script, events }
    }

    /// The clients whose sessions are on `node` now.
    pub(crate) fn on(&self, node: &str) -> Vec<u64> {
        let mut nodes = HashMap::new();
        for event in &self.events {
            match event["event"].as_str() {
                Some("on") => nodes.insert(event["client"].as_u64(), event["node"].as_str()),
                Some("gone") => nodes.remove(&event["client"].as_u64()),
                Some(_) | None => None,
            };
        }
        let there = nodes.into_iter().filter(|(_, place)| *place == Some(node));
        there.filter_map(|(client, _)| client).collect()
    }

    /// Reads lines until `is_last` says so of one. Panics with `what` if that is not `within`.
    pub(crate) async fn until(
        &mut self,
        what: &str,
        within: Duration,
        mut is_last: impl FnMut(&Value) -> bool,
    ) {
        let read = async {
            loop {
                let event = self.script.next().await;
                let last = is_last(&event);
                self.events.push(event);
                if last {
                    return;
                }
            }
        };
        timeout(within, read).await.unwrap_or_else(|_| panic!("not within {within:?}: {what}"));
    }

    /// Reads lines for so long.
    pub(crate) async fn watch(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while let Ok(event) = tokio::time::timeout_at(end, self.script.next()).await {
            self.events.push(event);
        }
    }

    /// Ends all clients.
    pub(crate) async fn finish(mut self) -> Outcome {
        self.script.close_stdin();
        let mut result = Value::Null;
        self.until("the result", RESULT_WITHIN, |event| event["event"] == "result").await;
        if let Some(last) = self.events.pop() {
            result = last;
        }
        Outcome { events: self.events, result }
    }
}

impl Outcome {
    /// The lines of this name.
    pub(crate) fn of(&self, name: &str) -> impl Iterator<Item = &Value> {
        self.events.iter().filter(move |event| event["event"] == name)
    }
}

/// A thousand clients enter 80 each second.
const READY_WITHIN: Duration = Duration::from_secs(60);

const RESULT_WITHIN: Duration = Duration::from_secs(20);
