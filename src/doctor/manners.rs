//! Respect for limits of requests: what is refused for a moment is asked for again a moment later.
//!
//! Runs at start, at reload, or on a timer.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::sleep;

use super::ask::Answer;

/// What is known of the limits of a target.
#[derive(Debug, Default)]
pub(super) struct Manners {
    has_opened: AtomicBool,
    held_off: AtomicU32,
}

impl Manners {
    /// A session has opened, so a 503 is for a moment.
    pub(super) fn opened(&self) {
        self.has_opened.store(true, Relaxed);
    }

    /// How many requests were refused for a moment.
    pub(super) fn held_off(&self) -> u32 {
        self.held_off.load(Relaxed)
    }

    /// Whether `answer` refuses for a moment: 429, or once a session has opened 503, which nginx answers.
    pub(super) fn is_held_off(&self, answer: &Answer) -> bool {
        answer.status == 429 || (answer.status == 503 && self.has_opened.load(Relaxed))
    }

    /// Waits as long as `answer` asks for. `false` if it refuses nothing, or if that was often enough.
    pub(super) async fn wait(&self, answer: &Answer, tries: u32) -> bool {
        if !self.is_held_off(answer) {
            return false;
        }
        if tries >= TRIES_MAX || self.held_off.fetch_add(1, Relaxed) >= WAITS_MAX {
            return false;
        }
        let asked = answer.field("retry-after").and_then(|value| value.trim().parse().ok());
        let pause = asked.map_or(PAUSE, Duration::from_secs);
        sleep(pause.clamp(PAUSE, PAUSE_MAX)).await;
        true
    }
}

/// How often one request is sent again.
const TRIES_MAX: u32 = 4;

/// How often a target is waited for in all.
const WAITS_MAX: u32 = 80;

/// Limits are of so many requests a second.
const PAUSE: Duration = Duration::from_secs(1);

const PAUSE_MAX: Duration = Duration::from_secs(5);
