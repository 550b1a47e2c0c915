//! The context of every step of an exchange: the proxy, the client, and the parsed request.
//!
//! Runs for every request.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::body::RequestBody;
use super::budget::Budget;
use super::node_fields::Sender;
use super::purpose::Purpose;
use crate::Instant;
use crate::access::Grant;
use crate::engineio::{Call, SessionBounds, Sid, Transport};
use crate::insight::{EndedSessions, Observation};
use crate::net::ClientInfo;
use crate::pool::{ConnectOptions, Pool, SendLimits, SessionKey, Sharing};
use crate::route::UpstreamRoute;
use crate::shutdown::ShutdownWatch;
use crate::snapshot::Current;
use crate::tasks::Tasks;
use crate::upstream::Node;
use crate::upstream::settings::Connections;

pub(super) type Request = http::Request<RequestBody>;
pub(super) type Response = http::Response<super::ResponseBody>;

/// What the clones of a proxy share, behind one `Arc`: each request makes a clone.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) current: Arc<Current>,
    pub(super) pool: Arc<Pool>,
    /// How many bytes of request bodies may be in memory at the same time.
    pub(super) budget: Arc<Budget>,
    pub(super) tasks: Tasks,
    pub(super) shutdown: ShutdownWatch,
    /// The same for all proxies of a process.
    pub(super) ended: Arc<EndedSessions>,
}

/// A request whose route and session are known.
#[derive(Debug)]
pub(super) struct Exchange<'a> {
    pub(super) shared: &'a Shared,
    pub(super) route: Arc<UpstreamRoute>,
    pub(super) call: Option<Call>,
    pub(super) purpose: Purpose,
    pub(super) client: &'a ClientInfo,
    /// The client's address, as far as trusted proxies tell it.
    pub(super) address: IpAddr,
    /// What the rules of the route grant it.
    pub(super) grant: Grant,
    /// The bounds of its session, if known.
    pub(super) bounds: Option<SessionBounds>,
    /// The key of `balance: rendezvous`.
    pub(super) key: Option<Box<[u8]>>,
    /// The session by the sid that its node knows.
    pub(super) session_key: Option<SessionKey>,
}

impl Exchange<'_> {
    /// The session of the request, if it was opened before.
    pub(super) fn session(&self) -> Option<&Sid> {
        self.call.as_ref()?.sid.as_ref()
    }

    /// Records what happened to the request's session.
    pub(super) fn observe(&self, observation: Observation) {
        if let Some(sid) = self.session() {
            self.route.insight.observe(sid, observation, Instant::now());
        }
    }

    /// What the request shows of its session. Nodes refuse a request for a WebSocket that asks for
    /// it only in the query.
    pub(super) fn observation(&self) -> Observation {
        match self.call.as_ref().map(|call| call.transport) {
            _ if self.purpose.is_upgrade() => Observation::UpgradeRequested,
            Some(Transport::WebSocket) => Observation::UpgradeHeaderMissing,
            Some(Transport::Polling | Transport::Other) | None => Observation::Polled,
        }
    }

    /// The idle connections of `node` that the request may use. If it `is_whole`, it can be sent
    /// again when it reaches another process than its session's.
    pub(super) fn sharing(&self, node: &Node, is_whole: bool) -> Sharing {
        let upstream = &self.route.upstream;
        let is_shared = upstream.shares_connections(node)
            && (is_whole || self.session_key.is_none() || !upstream.may_be_several_processes());
        // A server that half understands an upgrade may misread the bytes before it.
        if self.purpose.is_upgrade() {
            Sharing::Session(None)
        } else if is_shared {
            Sharing::Any
        } else {
            Sharing::Session(self.session_key)
        }
    }

    /// How a connection for the request is opened.
    pub(super) fn connect_options(&self) -> ConnectOptions<'_> {
        let known = self.client.address;
        // The port of a client that a trusted proxy tells of is not known.
        let client = match known.ip().to_canonical() == self.address {
            true => known,
            false => SocketAddr::new(self.address, 0),
        };
        ConnectOptions::for_client(self.route.upstream.settings(), client)
    }

    /// The timeouts and limits for a request to a node.
    pub(super) fn send_limits(&self) -> SendLimits {
        let settings = self.route.upstream.settings();
        SendLimits {
            upload: self.route.limits.request_body_timeout,
            response: self.response_timeout(),
            // After a declined upgrade the connection is closed: a server that half understood the
            // request may misread the bytes after it.
            idle: if self.purpose.is_upgrade() {
                Duration::ZERO
            } else {
                settings.pool_idle_timeout
            },
            reuses_after_body: settings.connections == Connections::Shared,
            body_bytes_max: self.body_bytes_max(),
            head_limits: settings.response_head,
        }
    }

    fn response_timeout(&self) -> Duration {
        let limits = &self.route.limits;
        match self.purpose.waits_long() {
            true => limits.poll_timeout(self.bounds),
            false => limits.request_timeout(),
        }
    }

    /// Whose request it is, and what for.
    pub(super) fn sender(&self) -> Sender<'_> {
        Sender {
            route: &self.route,
            client: self.client,
            address: self.address,
            purpose: self.purpose,
            grant: &self.grant,
        }
    }

    /// The longest request body, in bytes.
    pub(super) fn body_bytes_max(&self) -> u64 {
        self.route.limits.upload_bytes_max(self.bounds)
    }
}
