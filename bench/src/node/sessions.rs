//! Polling sessions: a queue of messages each.

use std::collections::{HashMap, VecDeque};
use std::process;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

use super::{Answer, open_packet};

/// Those that are open. At the bound the oldest are dropped: loads that were ended by force left
/// theirs behind.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    opened: u64,
    by_sid: HashMap<String, Arc<Session>>,
    in_order: VecDeque<String>,
}

#[derive(Debug, Default)]
struct Session {
    messages: Mutex<Vec<String>>,
    arrived: Notify,
}

impl Sessions {
    /// Opens one and gives the packet that says so.
    pub(super) fn open(&self) -> String {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Two nodes never make the same.
        let sid = format!("{:08x}{:012x}", process::id(), table.opened);
        table.opened += 1;
        let packet = open_packet(&sid);
        table.in_order.push_back(sid.clone());
        table.by_sid.insert(sid, Arc::default());
        if table.in_order.len() > SESSIONS_MAX
            && let Some(oldest) = table.in_order.pop_front()
        {
            table.by_sid.remove(&oldest);
        }
        packet
    }

    /// Waits for messages and gives them; none come within `patience`: a noop.
    pub(super) async fn poll(&self, sid: &str, patience: Duration) -> Answer {
        let Some(session) = self.find(sid) else { return Answer::bad(1, "Session ID unknown") };
        loop {
            let messages = std::mem::take(&mut *session.lock());
            if !messages.is_empty() {
                return Answer::ok(messages.join("\u{1e}"));
            }
            if timeout(patience, session.arrived.notified()).await.is_err() {
                return Answer::ok("6".to_owned());
            }
        }
    }

    /// Takes a packet: a message for the next poll, or the session's end.
    pub(super) fn post(&self, sid: &str, packet: &[u8]) -> Answer {
        let Some(session) = self.find(sid) else { return Answer::bad(1, "Session ID unknown") };
        match packet {
            [b'4', ..] => {
                let mut messages = session.lock();
                if messages.len() >= MESSAGES_MAX {
                    return Answer::bad(3, "Bad request");
                }
                messages.push(String::from_utf8_lossy(packet).into_owned());
                session.arrived.notify_one();
            }
            _ => {
                let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                table.by_sid.remove(sid);
                table.in_order.retain(|open| open != sid);
            }
        }
        Answer::ok("ok".to_owned())
    }

    fn find(&self, sid: &str) -> Option<Arc<Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).by_sid.get(sid).cloned()
    }
}

impl Session {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const SESSIONS_MAX: usize = 10_000;
const MESSAGES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_poll_gets_what_was_posted_to_its_session() {
        let sessions = Sessions::default();
        let sid = |packet: String| packet.split('"').nth(3).unwrap().to_owned();
        let (one, other) = (sid(sessions.open()), sid(sessions.open()));
        assert_ne!(one, other);

        assert_eq!(sessions.post(&one, b"4a"), Answer::ok("ok".to_owned()));
        assert_eq!(sessions.post(&one, b"4b"), Answer::ok("ok".to_owned()));
        let now = Duration::ZERO;
        assert_eq!(sessions.poll(&one, now).await, Answer::ok("4a\u{1e}4b".to_owned()));
        assert_eq!(sessions.poll(&one, now).await, Answer::ok("6".to_owned()));

        assert_eq!(sessions.post(&one, b"1"), Answer::ok("ok".to_owned()));
        assert_eq!(sessions.poll(&one, now).await, Answer::bad(1, "Session ID unknown"));
    }
}
