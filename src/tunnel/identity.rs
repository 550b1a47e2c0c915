//! Whose tunnel it is: what lists, time lines and log lines say of it. It never changes.
//!
//! Pure. Runs for every request.

use std::fmt;
use std::net::IpAddr;
use std::num::ParseIntError;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::UpgradeProgress;
use crate::Instant;
use crate::metrics::Protocol;

/// Whose tunnel it is.
#[derive(Debug)]
pub struct Identity {
    /// Names the session to operators.
    pub(crate) id: SessionId,
    /// The client's address, as far as trusted proxies tell it.
    pub(crate) client: IpAddr,
    /// The name of the client: the first field that the rules of its route grant it.
    pub(crate) user: Option<Box<str>>,
    /// The sid in the form for logs; `None` if the request had none.
    pub(crate) session: Option<Box<str>>,
    /// The path of its request.
    pub(crate) path: Arc<str>,
    /// The id of its request.
    pub(crate) request_id: Box<str>,
    /// Its route, as metrics name it.
    pub(crate) route: Arc<str>,
    /// The upstream of its route.
    pub(crate) upstream: Arc<str>,
    /// `websocket`, or `upgrade` for another protocol.
    pub(crate) transport: &'static str,
    /// The HTTP of its handshake.
    pub(crate) protocol: Protocol,
    /// Whether it is a session of Engine.IO, whose sides send heartbeats.
    pub(crate) has_heartbeat: bool,
    /// When it began.
    pub(crate) began: Instant,
    /// The steps of its upgrade from polling, if they are followed.
    pub(crate) upgrade: Option<Arc<UpgradeProgress>>,
}

/// Names a session to operators, for as long as the process lives. It says nothing about the session, and
/// nobody can use the session by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SessionId(u64);

impl SessionId {
    /// The next one.
    pub(crate) fn next() -> Self {
        Self(NEXT_ID.fetch_add(1, Ordering::Relaxed))
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

impl FromStr for SessionId {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        u64::from_str_radix(text, 16).map(Self)
    }
}

impl Identity {
    /// A tunnel of which nothing is known.
    #[cfg(test)]
    pub(crate) fn unknown() -> Arc<Self> {
        Self::begun(Instant::now())
    }

    /// A tunnel of which only the beginning is known.
    pub fn begun(began: Instant) -> Arc<Self> {
        Arc::new(Self {
            id: SessionId::next(),
            client: IpAddr::from([127, 0, 0, 1]),
            user: None,
            session: None,
            path: "/".into(),
            request_id: "1".into(),
            route: "/".into(),
            upstream: "chat".into(),
            transport: "websocket",
            protocol: Protocol::Http1,
            has_heartbeat: false,
            began,
            upgrade: None,
        })
    }
}

/// The first id has four digits, so that ids look like ids.
static NEXT_ID: AtomicU64 = AtomicU64::new(0x1000);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_is_written_and_no_two_are_the_same() {
        let (first, second) = (SessionId::next(), SessionId::next());
        assert_ne!(first, second);
        assert_eq!(first.to_string().parse(), Ok(first));
        assert!("".parse::<SessionId>().is_err());
        assert!("xyz".parse::<SessionId>().is_err());
        assert!("11112222333344445".parse::<SessionId>().is_err());
    }
}
