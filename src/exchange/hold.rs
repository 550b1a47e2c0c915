//! A new session's way to a node: immediately if one can take it, otherwise after a wait.
//!
//! A handshake can go to any node, so it may wait: for a node that restarts, for one that the next
//! configuration or lookup adds, or for its turn in a reconnect storm. The client sees no error,
//! only a slower handshake.
//!
//! Runs for every request.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep_until, timeout_at};

use super::context::Shared;
use super::error::ExchangeError;
use crate::Instant;
use crate::route::UpstreamRoute;
use crate::shutdown::ShutdownWatch;
use crate::snapshot::Current;
use crate::upstream::{AdmissionToken, Lease, Node, NodePreference, Probe, Wait};

/// A handshake and how long it may still wait.
#[derive(Debug)]
pub(super) struct HeldHandshake {
    route: Arc<UpstreamRoute>,
    preference: NodePreference,
    arrived: Instant,
    current: Arc<Current>,
    shutdown: ShutdownWatch,
    /// A handshake takes one token of the rates, however many nodes fail it.
    token: AdmissionToken,
    /// Whether it had to wait before: it is counted once, however many nodes fail it.
    has_waited: bool,
    /// Set while this handshake tests whether a node is available again.
    probe: Option<Probe>,
}

impl HeldHandshake {
    /// A handshake that arrived at `arrived`.
    pub(super) fn new(
        route: Arc<UpstreamRoute>,
        preference: NodePreference,
        shared: &Shared,
        arrived: Instant,
    ) -> Self {
        let (current, shutdown) = (shared.current.clone(), shared.shutdown.clone());
        let token = AdmissionToken::Due;
        let has_waited = false;
        Self { route, preference, arrived, current, shutdown, token, has_waited, probe: None }
    }

    /// The route in its current version.
    pub(super) fn route(&self) -> &Arc<UpstreamRoute> {
        &self.route
    }

    /// A lease on a node that takes new sessions and is not in `tried`. The rates do not apply: the
    /// handshake was admitted before.
    pub(super) fn another(&self, tried: &[Arc<Node>]) -> Option<Lease> {
        let (upstream, now) = (&self.route.upstream, Instant::now());
        upstream.admit_first(&self.preference, tried, AdmissionToken::Taken, now).ok()
    }

    pub(super) fn into_route(self) -> Arc<UpstreamRoute> {
        self.route
    }

    /// A lease on a node that takes the session and is not in `tried`, which is cleared when all
    /// nodes are in it and there is still time. `None` if no node is left and the route does not
    /// hold handshakes.
    ///
    /// # Errors
    ///
    /// The queue is full, the time is over, or the process shuts down.
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
        let returns = self.has_waited || !tried.is_empty();
        let _held = if self.has_waited { counts.held.resume() } else { counts.held.begin() };
        self.has_waited = true;
        let mut shutdown = self.shutdown.clone();
        let waited = tokio::select! {
            waited = timeout_at(self.arrived + hold, self.wait(tried, returns)) => waited,
            _ = shutdown.begun() => return Err(ExchangeError::Stopping),
        };
        let lease = waited.map_err(|_| ExchangeError::NotAdmitted(hold))??;
        self.token = AdmissionToken::Taken;
        Ok(Some(lease))
    }

    /// Waits for the turn in the queue, and then for a node. A handshake that `returns` was in the
    /// queue or had a node before.
    async fn wait(
        &mut self,
        tried: &mut Vec<Arc<Node>>,
        returns: bool,
    ) -> Result<Lease, ExchangeError> {
        let upstream = &self.route.upstream;
        let held = match returns {
            true => upstream.enqueue_again(self.arrived),
            false => upstream.enqueue(self.arrived).map_err(|_| ExchangeError::QueueFull)?,
        };
        let mut probe_at = Instant::now();
        loop {
            // An earlier handshake may have returned to the queue because its node failed.
            held.turn().await;
            self.update_route();
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

    /// Takes the route's current version, after a reload or a lookup.
    fn update_route(&mut self) {
        let snapshot = self.current.load();
        if let Some(route) = snapshot.routes.same(&self.route) {
            self.route = route.clone();
        }
    }
}

/// How often the first handshake in the queue tries again: short compared with a handshake, and
/// only one per upstream does so.
const RETRY_EVERY: Duration = Duration::from_millis(50);

/// How often a failed node is tried while a handshake waits.
const PROBE_EVERY: Duration = Duration::from_millis(250);
