//! One log line for each exchange. Our own responses are also counted here.
//!
//! A query is never logged, because it has the session id; ids are shortened by their type.
//!
//! Runs for every request.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use http::header::HeaderValue;
use http::{Method, StatusCode, Uri, Version};
use tracing::field::{DisplayValue, display};
use tracing::{debug, error, info, warn};

use super::context::Exchange;
use super::error::{Blame, ExchangeError};
use crate::Instant;
use crate::engineio::{Call, Sid, Transport};
use crate::insight::AnsweredHandshake;
use crate::logging::error_chain;
use crate::metrics::{Protocol, RouteCounts, WhenUsed};
use crate::telemetry::RequestTrace;
use crate::tunnel::{Identity, SessionId, UpgradeProgress};

/// What the log line of a request needs. It has its own memory: a slice of hyper's read buffer
/// would occupy all 8 KiB of it as long as a poll is pending.
#[derive(Debug)]
pub(super) struct LogEntry {
    began: Instant,
    protocol: Protocol,
    method: Method,
    path: Arc<str>,
    client: IpAddr,
    request_id: HeaderValue,
    is_engineio: bool,
    transport: &'static str,
    sid: Option<Sid>,
    is_handshake: bool,
    is_upgrade: bool,
    trace: Option<Box<RequestTrace>>,
    counts: WhenUsed<RouteCounts>,
}

impl LogEntry {
    /// Begins the line of a request that has no route yet.
    pub(super) fn begin(
        head: (&Method, &Uri, Version),
        client: IpAddr,
        request_id: HeaderValue,
        unrouted: WhenUsed<RouteCounts>,
        now: Instant,
    ) -> Self {
        Self {
            began: now,
            protocol: Protocol::of_version(head.2),
            method: head.0.clone(),
            path: head.1.path().into(),
            client,
            request_id,
            is_engineio: false,
            transport: "http",
            sid: None,
            is_handshake: false,
            is_upgrade: false,
            trace: None,
            counts: unrouted,
        }
    }

    /// Sets the trace that the request belongs to.
    pub(super) fn set_trace(&mut self, trace: Option<Box<RequestTrace>>) {
        self.trace = trace;
    }

    /// Sets the counts of the request's route.
    pub(super) fn set_counts(&mut self, counts: WhenUsed<RouteCounts>) {
        self.counts = counts;
    }

    /// The request asks for an upgrade.
    pub(super) fn set_upgrade(&mut self) {
        self.is_upgrade = true;
        self.counts.upgrades_tried.inc();
    }

    /// Whether the request asks for an upgrade.
    pub(super) fn is_upgrade(&self) -> bool {
        self.is_upgrade
    }

    /// The client's address, as far as trusted proxies tell it.
    pub(super) fn client(&self) -> IpAddr {
        self.client
    }

    /// The HTTP that the client speaks.
    pub(super) fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// When the request arrived.
    pub(super) fn began(&self) -> Instant {
        self.began
    }

    /// Sets the Engine.IO parameters of the request.
    pub(super) fn set_call(&mut self, call: &Call) {
        self.is_engineio = true;
        self.sid.clone_from(&call.sid);
        self.is_handshake = call.sid.is_none();
        self.transport = match call.transport {
            Transport::Polling => "polling",
            Transport::WebSocket => "websocket",
            Transport::Other => "other",
        };
    }

    /// Whether it is a request of Engine.IO, as far as it was parsed.
    pub(super) fn is_engineio(&self) -> bool {
        self.is_engineio
    }

    /// The id of the request in the logs of all servers that handle it.
    pub(super) fn request_id(&self) -> &HeaderValue {
        &self.request_id
    }

    /// Writes the line of a request that a node answered.
    pub(super) fn answered(&self, node: &str, status: StatusCode) {
        self.export(node, status, None);
        // Called only if a line is written, so that the clock is not read otherwise.
        let millis = || millis(self.began, Instant::now());
        if self.is_handshake || status.is_client_error() || status.is_server_error() {
            info!(
                client = %self.client, http = self.protocol.label(), method = %self.method, path = &*self.path,
                transport = self.transport, session = self.session(), node,
                status = status.as_u16(), millis = millis(), request = &*self.id(), trace = self.trace(), "answered"
            );
        } else {
            debug!(
                client = %self.client, http = self.protocol.label(), method = %self.method, path = &*self.path,
                transport = self.transport, session = self.session(), node,
                status = status.as_u16(), millis = millis(), request = &*self.id(), trace = self.trace(), "answered"
            );
        }
    }

    /// Writes the line of a request that got a response of ours, and counts it.
    pub(super) fn failed(&self, error: &ExchangeError, now: Instant) {
        let facts = error.facts();
        self.counts.answers.of(self.protocol).count(facts.status);
        self.counts.errors.count([facts.label, facts.blame.as_str()]);
        self.export(error.node().unwrap_or_default(), facts.status, Some(facts.label));
        if self.is_upgrade {
            self.counts.upgrades.count(["failed", facts.label]);
        }
        let (millis, cause) = (millis(self.began, now), source_of(error));
        match facts.blame {
            Blame::Client => debug!(
                client = %self.client, http = self.protocol.label(), method = %self.method, path = &*self.path,
                transport = self.transport, session = self.session(), error = facts.label,
                status = facts.status.as_u16(), millis, request = &*self.id(), trace = self.trace(),
                "refused: {error}"
            ),
            Blame::Node | Blame::Operator | Blame::AuthService => warn!(
                client = %self.client, http = self.protocol.label(), method = %self.method, path = &*self.path,
                transport = self.transport, session = self.session(),
                node = error.node(), error = facts.label, blame = facts.blame.as_str(), cause,
                status = facts.status.as_u16(), millis, request = &*self.id(), trace = self.trace(),
                "failed: {error}"
            ),
        }
    }

    /// Whose tunnel it is that `exchange` opens, in its own memory.
    pub(super) fn identity(
        &self,
        exchange: &Exchange<'_>,
        upgrade: Option<Arc<UpgradeProgress>>,
    ) -> Arc<Identity> {
        let (route, sid) = (&exchange.route, self.sid.as_ref());
        Arc::new(Identity {
            id: sid.and_then(|sid| route.insight.session_id(sid)).unwrap_or_else(SessionId::next),
            client: self.client,
            user: exchange.grant.user().map(Into::into),
            session: sid.map(|sid| sid.to_string().into()),
            path: self.path.clone(),
            request_id: self.id().into(),
            route: route.label.clone(),
            upstream: route.upstream.name().clone(),
            transport: if exchange.purpose.is_websocket() { "websocket" } else { "upgrade" },
            protocol: self.protocol,
            has_heartbeat: self.is_engineio,
            began: Instant::now(),
            upgrade,
        })
    }

    /// The trace of the tunnel that the request opens.
    pub(super) fn tunnel_trace(&self) -> Option<Box<RequestTrace>> {
        self.trace.as_ref().map(|trace| trace.of_tunnel())
    }

    /// The answer of `node` to a handshake, for those who listen.
    pub(super) fn answered_handshake(
        &self,
        node: &Arc<str>,
        status: StatusCode,
    ) -> AnsweredHandshake {
        AnsweredHandshake {
            at: SystemTime::now(),
            client: self.client,
            path: self.path.clone(),
            node: node.clone(),
            transport: self.transport,
            status: status.as_u16(),
            took: self.began.elapsed(),
        }
    }

    /// The request id as it is sent to the node.
    fn id(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.request_id.as_bytes())
    }

    /// Exports the span of the exchange, if it is to be.
    fn export(&self, node: &str, status: StatusCode, error: Option<&'static str>) {
        let Some(trace) = self.trace.as_ref().filter(|trace| trace.is_exported()) else { return };
        let client = self.client.to_string();
        let mut attributes = vec![
            ("http.request.method", self.method.as_str().into()),
            ("url.path", (&*self.path).into()),
            ("http.response.status_code", u64::from(status.as_u16()).into()),
            ("client.address", client.as_str().into()),
            ("sockeye.node", node.into()),
            ("sockeye.transport", self.transport.into()),
        ];
        attributes.extend(error.map(|error| ("error.type", error.into())));
        trace.end(("exchange", status.is_server_error()), attributes, Vec::new());
    }

    fn trace(&self) -> Option<DisplayValue<&RequestTrace>> {
        shown(self.trace.as_deref())
    }

    fn session(&self) -> Option<DisplayValue<&Sid>> {
        self.sid.as_ref().map(display)
    }
}

impl Drop for LogEntry {
    /// Names the request that a panic ends: the line of the panic itself does not know it.
    fn drop(&mut self) {
        if std::thread::panicking() {
            error!(
                client = %self.client, http = self.protocol.label(), method = %self.method, path = &*self.path,
                transport = self.transport, request = &*self.id(), "the request has panicked"
            );
        }
    }
}

/// The id of a trace.
pub(super) fn shown(trace: Option<&RequestTrace>) -> Option<DisplayValue<&RequestTrace>> {
    trace.map(display)
}

fn millis(began: Instant, now: Instant) -> u64 {
    u64::try_from(now.saturating_duration_since(began).as_millis()).unwrap_or(u64::MAX)
}

/// The sources of an error, for its log line.
fn source_of(error: &ExchangeError) -> Option<String> {
    std::error::Error::source(error).map(error_chain)
}
