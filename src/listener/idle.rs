//! Connections that are idle, and which of them are closed for new clients at a limit.
//!
//! A connection between two requests holds a permit that a new client could use. As in nginx, those that
//! have been idle longest are closed then, some at once: the search looks at all connections. Without a
//! limit that is reached nobody searches.
//!
//! Runs for every request.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use crate::Instant;
use crate::clock::{AtomicInstant, Epoch};
use crate::shutdown::Notifier;

/// The connections of all listeners on which clients speak HTTP. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct IdleConnections(Arc<Mutex<Known>>);

/// The same, for a connection of one listener.
#[derive(Clone, Debug)]
pub(crate) struct OfListener {
    connections: IdleConnections,
    address: SocketAddr,
}

#[derive(Default)]
struct Known {
    list: Vec<(SocketAddr, Weak<dyn Idle>)>,
    /// The length of the list after the last sweep.
    swept: usize,
}

/// A connection that can be closed while it is idle.
pub(super) trait Idle: Notifier {
    /// Whether it is idle now.
    fn is_idle(&self) -> bool;

    /// Since when, if it is.
    fn idle_time(&self) -> &IdleTime;

    /// When it became idle; `None` if it is busy, or about to close.
    fn idle_since(&self) -> Option<Instant> {
        self.idle_time().since().filter(|_| self.is_idle())
    }

    /// Closes it, if it is still idle since `since`.
    fn close_idle(&self, since: Instant) {
        self.idle_time().end(since);
        self.wake();
    }
}

/// Since when a connection is idle.
#[derive(Debug)]
pub(super) struct IdleTime {
    since: AtomicInstant,
    /// The `since` for which it is to close.
    closes: AtomicInstant,
}

impl IdleConnections {
    /// For the connections of the listener at `address`.
    pub(super) fn of_listener(&self, address: SocketAddr) -> OfListener {
        OfListener { connections: self.clone(), address }
    }

    fn add(&self, listener: SocketAddr, connection: Weak<dyn Idle>) {
        let mut known = self.known();
        if known.list.len() >= SWEEP_MIN.max(2 * known.swept) {
            known.list.retain(|(_, connection)| connection.strong_count() > 0);
            known.swept = known.list.len();
        }
        known.list.push((listener, connection));
    }

    /// Closes some of the connections that have been idle longest: of all, or of the listener at `only`.
    /// Returns how many. A connection that was used within [`IDLE_MIN`] is left: its next request may be
    /// under way.
    pub(super) fn close_longest(&self, only: Option<SocketAddr>, now: Instant) -> usize {
        let mut idle: Vec<(Instant, Arc<dyn Idle>)> = self
            .known()
            .list
            .iter()
            .filter(|(listener, _)| only.is_none_or(|only| only == *listener))
            .filter_map(|(_, connection)| connection.upgrade())
            .filter_map(|connection| Some((connection.idle_since()?, connection)))
            .filter(|(since, _)| now.saturating_duration_since(*since) >= IDLE_MIN)
            .collect();
        let count = (idle.len() / SHARE).clamp(1, AT_ONCE_MAX);
        if idle.len() > count {
            idle.select_nth_unstable_by_key(count, |(since, _)| *since);
            idle.truncate(count);
        }
        for (since, connection) in &idle {
            connection.close_idle(*since);
        }
        idle.len()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Each change of the list is whole, so a panic elsewhere spoils nothing.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OfListener {
    /// Knows `connection` for as long as it lives.
    pub(super) fn add(&self, connection: Weak<dyn Idle>) {
        self.connections.add(self.address, connection);
    }
}

impl fmt::Debug for IdleConnections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdleConnections").field("known", &self.known().list.len()).finish()
    }
}

impl IdleTime {
    /// The connection is idle since `since`.
    pub(super) fn begin(&self, since: Instant) {
        self.since.set(Some(since));
    }

    /// Since when it is idle, if it is, and if it is not about to close.
    pub(super) fn since(&self) -> Option<Instant> {
        self.since.get().filter(|_| !self.is_over())
    }

    /// It is to close, if it is still idle since `since`.
    pub(super) fn end(&self, since: Instant) {
        self.closes.set(Some(since));
    }

    /// Whether it is to close.
    pub(super) fn is_over(&self) -> bool {
        let closes = self.closes.get();
        closes.is_some() && closes == self.since.get()
    }
}

impl Default for IdleTime {
    fn default() -> Self {
        let epoch = Epoch::new(Instant::now());
        Self { since: AtomicInstant::new(epoch), closes: AtomicInstant::new(epoch) }
    }
}

/// How long a connection has to be idle: longer than a request takes to arrive. A client that loses its
/// connection under a post may lose its session.
pub(super) const IDLE_MIN: Duration = Duration::from_secs(1);

/// This share of the idle connections is closed at once, so that the search costs little for each.
const SHARE: usize = 64;

/// Clients should not all come back at the same time.
const AT_ONCE_MAX: usize = 512;

/// How many connections are kept without a sweep.
const SWEEP_MIN: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Connection(IdleTime);

    impl Idle for Connection {
        fn is_idle(&self) -> bool {
            true
        }

        fn idle_time(&self) -> &IdleTime {
            &self.0
        }
    }

    impl Notifier for Connection {
        fn wake(&self) {}
    }

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    /// So many connections, the first of which is idle since `begin`, the next for a second less.
    fn connections(count: u64, begin: Instant, idle: &IdleConnections) -> Vec<Arc<Connection>> {
        let one = |seconds| {
            let connection = Arc::new(Connection::default());
            connection.0.begin(begin + Duration::from_secs(seconds));
            let weak: Weak<Connection> = Arc::downgrade(&connection);
            idle.add(address(seconds as u16 % 2), weak);
            connection
        };
        (0..count).map(one).collect()
    }

    fn closing(connections: &[Arc<Connection>]) -> Vec<usize> {
        let numbered = connections.iter().enumerate();
        numbered.filter(|(_, one)| one.0.is_over()).map(|(number, _)| number).collect()
    }

    #[test]
    fn the_connection_that_has_been_idle_longest_is_closed_first() {
        let (begin, idle) = (Instant::now(), IdleConnections::default());
        let three = connections(3, begin, &idle);
        let at = |seconds| begin + Duration::from_secs(seconds);
        assert_eq!(idle.close_longest(None, begin), 0, "all were used just now");
        assert_eq!(idle.close_longest(None, at(9)), 1);
        assert_eq!(closing(&three), [0]);
        three[1].0.begin(at(8));
        assert_eq!((idle.close_longest(None, at(9)), closing(&three)), (1, vec![0, 2]));
        assert_eq!(idle.close_longest(None, at(8)), 0, "the last one was used just now");
        three[2].0.begin(at(9));
        assert_eq!(closing(&three), [0], "it has had another request");
    }

    #[test]
    fn only_connections_of_a_listener_are_closed_for_it() {
        let (begin, idle) = (Instant::now(), IdleConnections::default());
        let four = connections(4, begin, &idle);
        for expected in [vec![1], vec![1, 3], vec![1, 3]] {
            idle.close_longest(Some(address(1)), begin + Duration::from_secs(9));
            assert_eq!(closing(&four), expected);
        }
    }

    #[test]
    fn a_share_of_many_is_closed_at_once_and_those_that_are_gone_leave_no_memory() {
        let (begin, idle) = (Instant::now(), IdleConnections::default());
        let many = connections(640, begin, &idle);
        assert_eq!(idle.close_longest(None, begin + Duration::from_hours(1)), 10);
        assert_eq!(closing(&many), (0..10).collect::<Vec<_>>());
        drop(many);
        let _others = connections(1300, begin, &idle);
        assert!(idle.known().list.len() <= 1300 + 64, "{}", idle.known().list.len());
    }
}
