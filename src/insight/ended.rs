//! The sessions that ended last, with what is known of the reason; and the news of ends and handshakes for
//! those who listen.
//!
//! Both are bounded: of older ends nothing is kept, and a listener that is slow misses some and learns how
//! many.
//!
//! Runs for every request.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use tokio::sync::broadcast;

use super::autopsy::{Context, Explanation, explain};
use super::idle_ages::IdleAges;
use super::lock;
use crate::Instant;
use crate::tunnel::{End, Identity, Report, SessionId};

/// The ends of tunnels, of all routes.
#[derive(Debug)]
pub(crate) struct EndedSessions {
    last: Mutex<VecDeque<Arc<EndedSession>>>,
    losses: Mutex<VecDeque<(Arc<str>, Instant)>>,
    idle_ages: Mutex<IdleAges>,
    news: broadcast::Sender<News>,
}

/// A tunnel that ended.
#[derive(Debug)]
pub(crate) struct EndedSession {
    /// Whose it was.
    pub(crate) identity: Arc<Identity>,
    /// The name of its node.
    pub(crate) node: Arc<str>,
    /// When it ended.
    pub(crate) at: SystemTime,
    /// What it reported.
    pub(crate) report: Report,
    /// Why, if it was abnormal and the cause can be seen.
    pub(crate) explanation: Option<Explanation>,
}

/// The answer to a handshake.
#[derive(Debug)]
pub(crate) struct AnsweredHandshake {
    /// When it was answered.
    pub(crate) at: SystemTime,
    /// The client's address, as far as trusted proxies tell it.
    pub(crate) client: IpAddr,
    /// The path of the request.
    pub(crate) path: Arc<str>,
    /// The node that answered.
    pub(crate) node: Arc<str>,
    /// `polling` or `websocket`.
    pub(crate) transport: &'static str,
    /// The status of the response.
    pub(crate) status: u16,
    /// How long the client waited.
    pub(crate) took: Duration,
}

/// What those who listen are told.
#[derive(Clone, Debug)]
pub(crate) enum News {
    /// A tunnel ended.
    End(Arc<EndedSession>),
    /// A handshake was answered.
    Handshake(Arc<AnsweredHandshake>),
}

impl Default for EndedSessions {
    fn default() -> Self {
        Self {
            last: Mutex::default(),
            losses: Mutex::default(),
            idle_ages: Mutex::new(IdleAges::new(Instant::now())),
            news: broadcast::Sender::new(NEWS_MAX),
        }
    }
}

impl EndedSessions {
    /// Notes that `node` ended or lost a tunnel, so that many such ends are recognized as one.
    pub(crate) fn note_loss(&self, node: &Arc<str>, now: Instant) {
        let mut losses = lock(&self.losses);
        if losses.len() >= LOSSES_MAX {
            losses.pop_front();
        }
        losses.push_back((node.clone(), now));
    }

    /// Explains the end that `report` tells of, if it was abnormal. `context` is what the caller knows of
    /// the node.
    pub(crate) fn explain(
        &self,
        report: &Report,
        context: Context,
        (node, now): (&str, Instant),
    ) -> Option<Explanation> {
        let node_losses = self.losses_of(node, now);
        let cut_at_seconds = match report.end {
            End::ClientLeft | End::ClientReset => {
                let [client, node] = report.evidence.quiet;
                lock(&self.idle_ages).note(client.min(node), now)
            }
            _ => None,
        };
        let context = Context { node_losses, cut_at_seconds, ..context };
        explain(report.end, &report.evidence, context)
    }

    /// Keeps an end, and tells those who listen.
    pub(crate) fn keep(&self, ended: EndedSession) {
        let ended = Arc::new(ended);
        // Nobody may be listening.
        let _ = self.news.send(News::End(ended.clone()));
        let mut last = lock(&self.last);
        if last.len() >= LAST_MAX {
            last.pop_front();
        }
        last.push_back(ended);
    }

    /// Tells those who listen of a handshake, which is made only if somebody does.
    pub(crate) fn tell_handshake(&self, handshake: impl FnOnce() -> AnsweredHandshake) {
        if self.news.receiver_count() > 0 {
            let _ = self.news.send(News::Handshake(Arc::new(handshake())));
        }
    }

    /// What happens from now on. A listener that falls [`NEWS_MAX`] behind misses what is older.
    pub(crate) fn listen(&self) -> broadcast::Receiver<News> {
        self.news.subscribe()
    }

    /// The last ends, the latest first.
    pub(crate) fn last(&self) -> Vec<Arc<EndedSession>> {
        lock(&self.last).iter().rev().cloned().collect()
    }

    /// The end with this id.
    pub(crate) fn find(&self, id: SessionId) -> Option<Arc<EndedSession>> {
        lock(&self.last).iter().find(|ended| ended.identity.id == id).cloned()
    }

    /// How many losses of `node` there were in the last seconds.
    fn losses_of(&self, node: &str, now: Instant) -> usize {
        let losses = lock(&self.losses);
        let recent =
            losses.iter().rev().take_while(|(_, at)| now.saturating_duration_since(*at) <= AT_ONCE);
        recent.filter(|(name, _)| **name == *node).take(ENOUGH_LOSSES).count()
    }
}

/// How many ends are kept, about 1 MB.
const LAST_MAX: usize = 1000;

/// How far behind a listener may be.
const NEWS_MAX: usize = 256;

const LOSSES_MAX: usize = 256;

/// More need not be counted.
const ENOUGH_LOSSES: usize = 100;

/// Ends of one process that ends come within this time.
const AT_ONCE: Duration = Duration::from_secs(3);
