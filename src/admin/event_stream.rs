//! Server-sent events: what happens, for clients that keep reading.
//!
//! Nobody waits for a reader. Each stream has a short queue; while it is full, events are lost, and the
//! reader is told how many. The number of streams is limited, so that they leave slots for probes.
//!
//! Runs at start, at reload, or on a timer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Interval, interval};

/// Opens streams. Clones share the limit.
#[derive(Clone, Debug)]
pub(crate) struct EventStreams(Arc<Semaphore>);

/// Puts events into a stream. The stream ends when all clones are dropped.
#[derive(Clone, Debug)]
pub(crate) struct EventSender {
    events: mpsc::Sender<Bytes>,
    queue: Arc<Queue>,
}

/// The events of one reader, as the bytes of an answer.
#[derive(Debug)]
pub(crate) struct EventStream {
    events: mpsc::Receiver<Bytes>,
    queue: Arc<Queue>,
    heartbeat: Interval,
    _permit: OwnedSemaphorePermit,
}

#[derive(Debug)]
struct Queue {
    bytes: AtomicUsize,
    lost: AtomicU64,
    /// What the reader is told to have lost, such as `events`.
    unit: &'static str,
}

impl Default for EventStreams {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(Self::MAX)))
    }
}

impl EventStreams {
    /// How many streams may be open.
    pub(crate) const MAX: usize = 16;

    /// A new stream, whose losses are reported in this `unit`: `events`, `frames`. `None` if there are too
    /// many.
    pub(crate) fn open(&self, unit: &'static str) -> Option<(EventSender, EventStream)> {
        let permit = self.0.clone().try_acquire_owned().ok()?;
        let (sender, events) = mpsc::channel(QUEUE_EVENTS_MAX);
        let queue = Queue { bytes: AtomicUsize::new(0), lost: AtomicU64::new(0), unit };
        let queue = Arc::new(queue);
        let mut heartbeat = interval(HEARTBEAT_EVERY);
        // The first tick of an interval is immediate: a comment tells the reader that it is connected.
        heartbeat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let sender = EventSender { events: sender, queue: queue.clone() };
        Some((sender, EventStream { events, queue, heartbeat, _permit: permit }))
    }
}

impl EventSender {
    /// Adds an event of this name, or counts it as lost. Never waits. Returns whether the stream still has
    /// a reader.
    pub(crate) fn send(&self, name: &str, data: &impl Serialize) -> bool {
        match event(name, data) {
            Some(event) => self.send_text(&event),
            None => !self.events.is_closed(),
        }
    }

    /// The same for text that [`event`] made, which several streams may share.
    pub(crate) fn send_text(&self, event: &Bytes) -> bool {
        let queued = self.queue.bytes.load(Relaxed);
        if queued > 0 && queued + event.len() > QUEUE_BYTES_MAX {
            self.queue.lost.fetch_add(1, Relaxed);
            return !self.events.is_closed();
        }
        let lost = self.queue.lost.swap(0, Relaxed);
        let text = match lost {
            0 => event.clone(),
            lost => [&*self.queue.loss(lost), &**event].concat().into(),
        };
        let length = text.len();
        self.queue.bytes.fetch_add(length, Relaxed);
        match self.events.try_send(text) {
            Ok(()) => true,
            Err(error) => {
                self.queue.bytes.fetch_sub(length, Relaxed);
                self.queue.lost.fetch_add(lost + 1, Relaxed);
                !matches!(error, TrySendError::Closed(_))
            }
        }
    }

    /// Counts so many events as lost that came from elsewhere.
    pub(crate) fn lose(&self, events: u64) {
        self.queue.lost.fetch_add(events, Relaxed);
    }

    /// Waits until the reader is gone. Cancel safe.
    #[allow(dead_code, reason = "for the endpoints to come")]
    pub(crate) async fn closed(&self) {
        self.events.closed().await;
    }
}

/// An event as text. `None` if `data` is not one that JSON can say.
pub(crate) fn event(name: &str, data: &impl Serialize) -> Option<Bytes> {
    // Compact JSON has no line ends.
    let data = serde_json::to_string(data);
    debug_assert!(data.is_ok(), "an event is no JSON: {data:?}");
    Some(format!("event: {name}\ndata: {}\n\n", data.ok()?).into())
}

impl EventStream {
    /// The next bytes: an event, a loss, or a comment if there was nothing else for a while.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let next = self.events.poll_recv(cx);
        if let Poll::Ready(Some(event)) = next {
            self.queue.bytes.fetch_sub(event.len(), Relaxed);
            self.heartbeat.reset();
            return Poll::Ready(Some(event));
        }
        // A task that has done much gets `Pending` although there are events.
        let lost = if self.events.is_empty() { self.queue.lost.swap(0, Relaxed) } else { 0 };
        if lost > 0 {
            return Poll::Ready(Some(self.queue.loss(lost)));
        }
        if next.is_ready() {
            return Poll::Ready(None);
        }
        ready!(self.heartbeat.poll_tick(cx));
        Poll::Ready(Some(Bytes::from_static(HEARTBEAT)))
    }
}

impl Queue {
    fn loss(&self, lost: u64) -> Bytes {
        format!("event: lost\ndata: {{\"{}\":{lost}}}\n\n", self.unit).into()
    }
}

/// A reader that is as slow as this loses events.
const QUEUE_EVENTS_MAX: usize = 256;

/// A single event may be larger.
const QUEUE_BYTES_MAX: usize = 256 << 10;

/// Proxies and browsers give up connections that are silent for a minute.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(15);

/// A comment, which readers of events skip.
const HEARTBEAT: &[u8] = b":\n\n";

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use serde_json::json;

    use super::*;

    async fn next(stream: &mut EventStream) -> Option<String> {
        let bytes = poll_fn(|cx| stream.poll_next(cx)).await?;
        Some(String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn events_come_in_order_and_silence_has_heartbeats() {
        let (sender, mut stream) = EventStreams::default().open("events").unwrap();
        assert_eq!(next(&mut stream).await.as_deref(), Some(":\n\n"), "it is connected");
        assert!(sender.send("end", &json!({ "text": "a\nb" })));
        let shown = next(&mut stream).await;
        assert_eq!(shown.as_deref(), Some("event: end\ndata: {\"text\":\"a\\nb\"}\n\n"));
        let begun = tokio::time::Instant::now();
        assert_eq!(next(&mut stream).await.as_deref(), Some(":\n\n"));
        assert_eq!(begun.elapsed(), HEARTBEAT_EVERY);
        drop(sender);
        assert_eq!(next(&mut stream).await, None);
    }

    #[tokio::test]
    async fn a_slow_reader_loses_events_and_is_told_how_many_where_they_are_missing() {
        let (sender, mut stream) = EventStreams::default().open("frames").unwrap();
        for number in 0..QUEUE_EVENTS_MAX + 3 {
            assert!(sender.send("frame", &number));
        }
        for number in 0..QUEUE_EVENTS_MAX {
            assert_eq!(
                next(&mut stream).await.unwrap(),
                format!("event: frame\ndata: {number}\n\n")
            );
        }
        let loss = "event: lost\ndata: {\"frames\":3}\n\n";
        assert!(sender.send("frame", &"a"));
        assert_eq!(
            next(&mut stream).await.unwrap(),
            format!("{loss}event: frame\ndata: \"a\"\n\n")
        );
        for _ in 0..QUEUE_EVENTS_MAX + 3 {
            sender.send("frame", &"a");
        }
        drop(sender);
        for _ in 0..QUEUE_EVENTS_MAX {
            next(&mut stream).await;
        }
        assert_eq!(next(&mut stream).await.as_deref(), Some(loss), "also at the end");
        assert_eq!(next(&mut stream).await, None);
    }

    #[tokio::test]
    async fn large_events_are_bounded_by_their_bytes_and_one_always_fits() {
        let (sender, mut stream) = EventStreams::default().open("events").unwrap();
        let large = "x".repeat(QUEUE_BYTES_MAX);
        sender.send("a", &large);
        sender.send("b", &"small");
        assert!(next(&mut stream).await.unwrap().starts_with("event: a\n"));
        assert_eq!(next(&mut stream).await.unwrap(), "event: lost\ndata: {\"events\":1}\n\n");
        sender.send("c", &"small");
        assert!(next(&mut stream).await.unwrap().starts_with("event: c\n"));
    }

    #[test]
    fn a_stream_that_is_dropped_makes_room_for_another() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let _within = runtime.enter();
        let streams = EventStreams::default();
        let mut open: Vec<_> =
            (0..EventStreams::MAX).map(|_| streams.open("events").unwrap()).collect();
        assert!(streams.open("events").is_none());
        let (sender, stream) = open.pop().unwrap();
        drop(stream);
        assert!(!sender.send("end", &1), "nobody reads it");
        assert!(streams.open("events").is_some());
    }
}
