//! Keeps the history, and tells the viewers of the overview once a second.
//!
//! Runs at start, at reload, or on a timer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::event_stream::{EventSender, event};
use super::history::{Growth, History, LabelWindows, Series};
use super::overview::overview;
use super::state::AdminState;
use super::totals::{FaultKind, NodeKey, Totals, polling};
use crate::Instant;

/// What happened, as far as it is kept.
#[derive(Debug)]
pub(crate) struct Recorder {
    past: Mutex<Past>,
    viewers: Mutex<Vec<EventSender>>,
}

/// What happened.
#[derive(Debug)]
pub(super) struct Past {
    pub(super) history: History,
    pub(super) ends: LabelWindows<[&'static str; 2]>,
    pub(super) opened: LabelWindows<NodeKey>,
    pub(super) faults: LabelWindows<FaultKind>,
    polling: [usize; 2],
    polling_at: Option<Instant>,
}

impl Recorder {
    /// Nothing has happened at `now`.
    pub(crate) fn new(now: Instant) -> Self {
        let past = Past {
            history: History::new(now),
            ends: LabelWindows::new(now),
            opened: LabelWindows::new(now),
            faults: LabelWindows::new(now),
            polling: [0, 0],
            polling_at: None,
        };
        Self { past: Mutex::new(past), viewers: Mutex::default() }
    }

    /// What happened until now.
    pub(super) fn past(&self) -> MutexGuard<'_, Past> {
        // A panic in the middle of a record costs a second of the history.
        self.past.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells `viewer` the overview, now and once a second.
    pub(super) fn add_viewer(&self, viewer: EventSender, state: &AdminState) {
        if viewer.send(OVERVIEW, &overview(state, Instant::now())) {
            self.viewers().push(viewer);
        }
    }

    fn viewers(&self) -> MutexGuard<'_, Vec<EventSender>> {
        self.viewers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records this moment and tells the viewers.
    fn tick(&self, state: &AdminState, now: Instant) {
        let mut viewers = self.viewers();
        let mut past = self.past();
        let polling = past.count_polling(state, !viewers.is_empty(), now);
        past.record(&Totals::gather(state, polling, now), now);
        drop(past);
        if viewers.is_empty() {
            return;
        }
        if let Some(text) = event(OVERVIEW, &overview(state, now)) {
            viewers.retain(|viewer| viewer.send_text(&text));
        }
    }
}

impl Past {
    fn record(&mut self, totals: &Totals, now: Instant) {
        self.history.record(&totals.series, now);
        self.ends.record(totals.ends.iter().copied(), now);
        self.opened.record(totals.opened.iter().cloned(), now);
        self.faults.record(totals.faults.iter().copied(), now);
    }

    /// The sessions that poll. To count them takes a look at each, so this is done less often while nobody
    /// watches.
    fn count_polling(&mut self, state: &AdminState, is_watched: bool, now: Instant) -> [usize; 2] {
        let is_recent = |at| now.saturating_duration_since(at) < POLLING_COUNTED_EVERY;
        if is_watched || !self.polling_at.is_some_and(is_recent) {
            self.polling = polling(&state.current.load(), now);
            self.polling_at = Some(now);
        }
        self.polling
    }

    /// How many of `faults` there were.
    pub(super) fn faults(&self) -> impl Iterator<Item = (FaultKind, Growth)> {
        self.faults.iter().map(|(kind, growth)| (*kind, growth))
    }

    /// The mean of the last seconds.
    pub(super) fn recent(&self, series: Series) -> f64 {
        self.history.mean(series, RECENT)
    }
}

/// Records each second, until it is dropped.
pub(super) async fn record(state: Arc<AdminState>) {
    let mut seconds = interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        let now = seconds.tick().await;
        state.recorder.tick(&state, now);
    }
}

/// The name of the event.
const OVERVIEW: &str = "overview";

/// A second of a chat is too short for a rate.
const RECENT: Duration = Duration::from_secs(5);

const POLLING_COUNTED_EVERY: Duration = Duration::from_secs(5);
