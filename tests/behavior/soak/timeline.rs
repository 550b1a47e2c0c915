//! What the proxy's admin listener says of its nodes while a soak runs, once a second.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use super::cluster::{NAMES, ask, now_millis};

/// A task that asks for the nodes until it is told to end.
pub struct Recorder {
    over: watch::Sender<bool>,
    task: JoinHandle<Vec<Row>>,
}

/// What was recorded, in order.
pub struct Timeline(Vec<Row>);

struct Row {
    /// In milliseconds since 1970.
    at: u64,
    /// State, tunnels, pending requests and load of each node.
    nodes: String,
}

impl Recorder {
    /// Begins to ask `admin`.
    pub fn start(admin: SocketAddr) -> Self {
        let (over, mut is_over) = watch::channel(false);
        let task = tokio::spawn(async move {
            let mut look = interval(EVERY);
            look.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut rows = Vec::new();
            loop {
                tokio::select! {
                    _ = is_over.changed() => return rows,
                    _ = look.tick() => rows.push(row(admin).await),
                }
            }
        });
        Self { over, task }
    }

    /// Ends it.
    pub async fn finish(self) -> Timeline {
        self.over.send_replace(true);
        Timeline(self.task.await.unwrap())
    }
}

impl Timeline {
    /// What was known from three seconds before `at`, in milliseconds since 1970, until then.
    pub fn before(&self, at: u64) -> impl Iterator<Item = &str> {
        let is_near = move |row: &&Row| row.at <= at && at <= row.at + 3_000;
        self.0.iter().filter(is_near).map(|row| row.nodes.as_str())
    }

    /// Prints every fifth row.
    pub fn print(&self) {
        let Some(first) = self.0.first() else { return };
        println!("state, tunnels, pending requests and load of {}:", NAMES.join(", "));
        for row in self.0.iter().step_by(5) {
            println!("{:5} s: {}", (row.at - first.at) / 1_000, row.nodes);
        }
    }
}

async fn row(admin: SocketAddr) -> Row {
    let answer = ask(admin, "/nodes").await;
    let nodes = answer["upstreams"][0]["nodes"].as_array().unwrap();
    let cells = NAMES.map(|name| {
        let node = nodes.iter().find(|node| node["name"] == name).unwrap();
        let load = node["load"].as_f64().unwrap();
        let state = node["state"].as_str().unwrap();
        format!("{state} {} {} {load:.0}", node["tunnels"], node["exchanges"])
    });
    Row { at: now_millis(), nodes: cells.join(" | ") }
}

const EVERY: Duration = Duration::from_secs(1);
