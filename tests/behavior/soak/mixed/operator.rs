//! What an operator does meanwhile: the configuration changes, and nodes are drained.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, interval};

use super::super::cluster::{NAMES, now_millis, order};
use super::stage::Stage;
use crate::support::get;

/// Writes another variant of the configuration to `file` at each turn and waits until it is in force:
/// number N has a route `/extraN`.
pub async fn reload(
    stage: Arc<Stage>,
    file: PathBuf,
    every: Duration,
    variant: impl Fn(usize) -> String,
) {
    let mut turns = stage.turns(every);
    while let Some(turn) = turns.next().await {
        let (number, began, new) = (turn + 1, Instant::now(), file.with_extension("new"));
        std::fs::write(&new, variant(number)).unwrap();
        std::fs::rename(new, &file).unwrap();
        let mut look = interval(LOOK);
        while get(stage.proxy, &format!("/extra{number}")).await.status() != 200 {
            assert!(began.elapsed() < IN_FORCE_WITHIN, "reload {number} is not in force");
            look.tick().await;
        }
        stage.count("reloads", 1);
    }
}

/// Drains a node at each turn, waits until it is empty, and takes it back.
pub async fn drain(stage: Arc<Stage>, every: Duration, timeout: Duration) {
    let mut turns = stage.turns(every);
    while let Some(turn) = turns.next().await {
        let (name, drained, began) = (NAMES[turn % NAMES.len()], now_millis(), Instant::now());
        let mut look = interval(LOOK);
        while order(stage.admin, name, "drain").await["node"]["draining"]["empty"] != true {
            assert!(began.elapsed() < timeout * 2 + EMPTY_WITHIN, "{name} is not empty");
            look.tick().await;
        }
        order(stage.admin, name, "undrain").await;
        stage.drains.lock().unwrap().push((name, drained, now_millis()));
        stage.count("drains", 1);
    }
}

const LOOK: Duration = Duration::from_millis(200);
const IN_FORCE_WITHIN: Duration = Duration::from_secs(20);
/// Behind the deadline tunnels are closed at a pace, and a node counts as empty 2 s later.
const EMPTY_WITHIN: Duration = Duration::from_secs(20);
