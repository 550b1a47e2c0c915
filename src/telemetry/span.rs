//! Spans: what an exchange or a tunnel did and how long it took, and the queue in which they wait.
//!
//! Nobody waits for the queue: a span that finds it full is lost, and counted.
//!
//! Runs for every request.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use prometheus_client::metrics::counter::Counter;
use tokio::sync::Notify;

/// A piece of a trace.
#[cfg_attr(not(feature = "otlp"), allow(dead_code, reason = "for the exporter"))]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(super) trace_id: u128,
    pub(super) id: u64,
    pub(super) parent_id: Option<u64>,
    pub(super) name: &'static str,
    pub(super) began: SystemTime,
    pub(super) ended: SystemTime,
    pub(super) attributes: Vec<(&'static str, Attribute)>,
    pub(super) events: Vec<(SystemTime, &'static str)>,
    pub(super) has_failed: bool,
}

/// The value of an attribute.
#[cfg_attr(not(feature = "otlp"), allow(dead_code, reason = "for the exporter"))]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Attribute {
    Text(Box<str>),
    Number(u64),
}

impl From<&str> for Attribute {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<u64> for Attribute {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

/// The spans that wait to be exported.
#[derive(Debug, Default)]
pub(crate) struct SpanQueue {
    waiting: Mutex<VecDeque<Span>>,
    arrived: Notify,
    /// Spans that the collector has taken.
    pub(crate) exported: Counter,
    /// Spans that were dropped: the queue was full, or the collector did not take them.
    pub(crate) lost: Counter,
}

impl SpanQueue {
    /// Adds a span, or drops it.
    pub(super) fn push(&self, span: Span) {
        let mut waiting = self.waiting();
        if waiting.len() >= WAITING_MAX {
            self.lost.inc();
            return;
        }
        waiting.push_back(span);
        drop(waiting);
        self.arrived.notify_one();
    }

    /// Waits until there are spans. Cancel safe.
    #[cfg_attr(not(feature = "otlp"), allow(dead_code, reason = "for the exporter"))]
    pub(super) async fn arrived(&self) {
        while self.waiting().is_empty() {
            self.arrived.notified().await;
        }
    }

    /// Takes up to `max` spans, the oldest first.
    #[cfg_attr(not(feature = "otlp"), allow(dead_code, reason = "for the exporter"))]
    pub(super) fn take(&self, max: usize) -> Vec<Span> {
        let mut waiting = self.waiting();
        let count = waiting.len().min(max);
        waiting.drain(..count).collect()
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Span>> {
        // No code under the lock panics half-way.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// About a MiB.
const WAITING_MAX: usize = 2048;
