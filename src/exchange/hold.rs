//! A new session's way to a node: at once where one can take it, else after a wait.
//!
//! A handshake can go to any node, so nothing is lost by waiting: for a node that is being restarted,
//! for one that the next configuration or look-up brings, or for its turn in a storm. The client
//! sees no error, only a handshake that takes longer.
//!
//! Runs for every request.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep_until, timeout_at};

use super::context::Shared;
use super::error::ExchangeError;
use crate::Instant;
use crate::route::Route;
use crate::shutdown::ShutdownWatch;
use crate::snapshot::Current;
use crate::upstream::{AdmissionToken, Lease, Node, NodePreference, Probe, Wait};

/// A handshake and how long it may still wait.
#[derive(Debug)]
pub(super) struct HeldHandshake {
    route: Arc<Route>,
    preference: NodePreference,
    arrived: Instant,
    current: Arc<Current>,
    shutdown: ShutdownWatch,
    /// One handshake takes one of the rates' tokens, however many nodes fail it.
    token: AdmissionToken,
    /// Whether it has had to wait already: it is counted once, however many nodes fail it.
    has_waited: bool,
    /// While this handshake finds out whether a node is back.
    probe: Option<Probe>,
}

impl HeldHandshake {
    /// A handshake that came at `arrived`.
    pub(super) fn new(
        route: Arc<Route>,
        preference: NodePreference,
        shared: &Shared,
        arrived: Instant,
    ) -> Self {
        let (current, shutdown) = (shared.current.clone(), shared.shutdown.clone());
        let token = AdmissionToken::Due;
        let has_waited = false;
        Self { route, preference, arrived, current, shutdown, token, has_waited, probe: None }
    }

    /// The route that is in force now.
    pub(super) fn route(&self) -> &Arc<Route> {
        &self.route
    }

    /// A place on a node that takes new sessions and is none of `tried`, whatever the rates: the
    /// handshake was admitted before.
    pub(super) fn another(&self, tried: &[Arc<Node>]) -> Option<Lease> {
        let (upstream, now) = (&self.route.upstream, Instant::now());
        upstream.admit_first(&self.preference, tried, AdmissionToken::Taken, now).ok()
    }

    pub(super) fn into_route(self) -> Arc<Route> {
        self.route
    }

    /// A place on a node that may have the session, and which is none of `tried`. That is emptied
    /// when all nodes are in it and there is still time. `None` if no node is left and nothing is
    /// waited for.
    ///
    /// # Errors
    ///
    /// There is no room among those who wait, the time is over, or the process stops.
    pub(super) async fn next(
        &mut self,
        tried: &mut Vec<Arc<Node>>,
    ) -> Result<Option<Lease>, ExchangeError> {
        self.probe = None;
        let now = Instant::now();
        let upstream = &self.route.upstream;
        let wait = match upstream.admit(&self.preference, tried, self.token, now) {
            Ok(lease) => {
                self.token = AdmissionToken::Taken;
                return Ok(Some(lease));
            }
            Err(wait) => wait,
        };
        let hold = upstream.hold_max();
        if hold.is_zero() {
            return match wait {
                Wait::ForNode => Ok(upstream.admit_on_avoided(tried, self.token, now)),
                Wait::ForTurn(_) => Err(ExchangeError::NotAdmitted(hold)),
            };
        }
        let counts = self.route.counts.clone();
        let comes_back = self.has_waited || !tried.is_empty();
        let _held = if self.has_waited { counts.held.resume() } else { counts.held.begin() };
        self.has_waited = true;
        let mut shutdown = self.shutdown.clone();
        let waited = tokio::select! {
            waited = timeout_at(self.arrived + hold, self.wait(tried, comes_back)) => waited,
            _ = shutdown.begun() => return Err(ExchangeError::Stopping),
        };
        let lease = waited.map_err(|_| ExchangeError::NotAdmitted(hold))??;
        self.token = AdmissionToken::Taken;
        Ok(Some(lease))
    }

    /// Waits for the turn, and then for a node. Who `comes_back` had a place or a node before.
    async fn wait(
        &mut self,
        tried: &mut Vec<Arc<Node>>,
        comes_back: bool,
    ) -> Result<Lease, ExchangeError> {
        let upstream = &self.route.upstream;
        let held = match comes_back {
            true => upstream.enqueue_again(self.arrived),
            false => upstream.enqueue(self.arrived).map_err(|_| ExchangeError::QueueFull)?,
        };
        let mut probe_at = Instant::now();
        loop {
            // Who came earlier may have come back, for the node that it got had failed.
            held.turn().await;
            self.renew();
            let upstream = &self.route.upstream;
            let now = Instant::now();
            let again = now + RETRY_EVERY;
            let next = match upstream.admit_first(&self.preference, tried, self.token, now) {
                Ok(lease) => return Ok(lease),
                Err(Wait::ForTurn(at)) => at.min(again),
                Err(Wait::ForNode) if now < probe_at => again,
                Err(Wait::ForNode) => {
                    self.probe = upstream.probe();
                    let token = self.token;
                    let lease =
                        self.probe.is_some().then(|| upstream.admit_on_avoided(tried, token, now));
                    if let Some(lease) = lease.flatten() {
                        return Ok(lease);
                    }
                    self.probe = None;
                    tried.clear();
                    probe_at = now + PROBE_EVERY;
                    again
                }
            };
            sleep_until(next).await;
        }
    }

    /// Takes over what a reload or a look-up has changed.
    fn renew(&mut self) {
        let snapshot = self.current.load();
        if let Some(route) = snapshot.routes.same(&self.route) {
            self.route = route.clone();
        }
    }
}

/// How often the first of those who wait looks again: soon beside what a handshake takes anyway, and
/// only one in each upstream does.
const RETRY_EVERY: Duration = Duration::from_millis(50);

/// How often a node that was given up is tried while somebody waits.
const PROBE_EVERY: Duration = Duration::from_millis(250);
