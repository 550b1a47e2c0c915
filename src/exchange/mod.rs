//! A request's life: which route, which node had the session, which node now; ask it, remember
//! what it said, give it back. Read `Proxy::exchange` first.
//!
//! Runs for every request.

mod access_log;
mod asking;
mod body;
mod candidates;
mod error;
mod forward;
mod forwarded;
mod handshake;
mod heal;
mod hold;
mod headers;
mod recall;
mod refusal;
mod service;
mod sockets;
mod switch;
mod target;
mod tenure;
mod trial;
mod upgrade;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use http::header::{EXPECT, ORIGIN};
use http::uri::Authority;
use http::{Method, Version};

use self::access_log::Entry;
use self::asking::{Asking, Upgrade};
use self::refusal::Asker;
use self::switch::ClientSide;
use crate::Instant;
use crate::affinity::{Asked, Recall};
use crate::client::ClientInfo;
use crate::drain::{DrainWatch, Tasks};
use crate::engineio::Call;
use crate::insight::Sight;
use crate::snapshot::{Current, Snapshot};
use crate::upstream::pool::Pool;

pub use body::{BodyError, RequestBody, ResponseBody};
pub use error::{Blame, ExchangeError, Facts};

type Request = http::Request<RequestBody>;
type Response = http::Response<ResponseBody>;

/// The proxy as a [`tower::Service`]: our own listener and any other HTTP/1.1 server can call it.
///
/// Clones share the connections to nodes; [`Proxy::for_worker`] makes one with its own.
#[derive(Clone, Debug)]
pub struct Proxy(Arc<Shared>);

/// What clones share. They are made for each request, so that it is one thing that is shared.
#[derive(Debug)]
struct Shared {
    current: Arc<Current>,
    pool: Arc<Pool<RequestBody>>,
    tasks: Tasks,
    drain: DrainWatch,
}

impl Proxy {
    /// A proxy that follows `current`. Its tunnels end when `drain` begins.
    pub fn new(current: Arc<Current>, drain: DrainWatch) -> Self {
        Self::of(current, Tasks::default(), drain)
    }

    /// The same proxy with its own connections and tasks, so that a worker shares no lock.
    pub fn for_worker(&self, tasks: Tasks) -> Self {
        Self::of(self.0.current.clone(), tasks, self.0.drain.clone())
    }

    fn of(current: Arc<Current>, tasks: Tasks, drain: DrainWatch) -> Self {
        Self(Arc::new(Shared { current, pool: Pool::new(tasks.clone()), tasks, drain }))
    }

    /// Answers `request`, whatever happens.
    async fn answer(&self, request: &mut Request) -> Response {
        let client = request.extensions_mut().remove::<ClientInfo>().unwrap_or_else(unknown_client);
        let address = forwarded::client_address(request.headers(), &client);
        let origin = request.headers().get(ORIGIN).and_then(headers::in_own_memory);
        let id = headers::put_request_id(request.headers_mut(), &client);
        let snapshot = self.0.current.load();
        let head = (request.method(), request.uri());
        let mut entry = Entry::begin(head, address, id, snapshot.unrouted.clone(), Instant::now());
        match self.exchange(&snapshot, &client, request, &mut entry).await {
            Ok(response) => response,
            Err(error) => {
                entry.failed(&error, Instant::now());
                // A request that could not be read is still there.
                let is_engineio =
                    entry.is_engineio() || refusal::is_engineio(request.uri().query());
                Asker { is_engineio, origin }.refuse(&error, entry.request_id())
            }
        }
    }

    /// Finds the node for `request`, asks it, and gives back what it said.
    async fn exchange(
        &self,
        snapshot: &Snapshot,
        client: &ClientInfo,
        request: &mut Request,
        entry: &mut Entry,
    ) -> Result<Response, ExchangeError> {
        if target::is_server(request.uri()) {
            return refusal::about_server(request, entry);
        }
        let (mut asking, recall, upgrade) = self.look_up(snapshot, client, request, entry).await?;
        match upgrade {
            Some(upgrade) => {
                asking.saw(Sight::Tried);
                // Boxed, as all that few exchanges need: a poll is pending for long, and would hold
                // the room of each.
                Box::pin(asking.upgrade(*upgrade, request, recall, entry))
                    .await
                    .inspect_err(|error| asking.saw(Sight::Failed(error.facts().label)))
            }
            None => {
                asking.saw(asking.sight());
                asking.forward(request, recall, entry).await
            }
        }
    }

    /// What `request` wants, and where its session lives; afterwards it is one of ours, for a node.
    async fn look_up<'a>(
        &'a self,
        snapshot: &Snapshot,
        client: &'a ClientInfo,
        request: &mut Request,
        entry: &mut Entry,
    ) -> Result<(Asking<'a>, Recall, Option<Box<Upgrade>>), ExchangeError> {
        let now = entry.began();
        let host = target::host(request.method(), request.uri(), request.headers())?;
        let host = host.as_ref().map_or("", Authority::as_str);
        let route = snapshot
            .routes
            .find(target::host_name(host), request.uri().path())
            .ok_or(ExchangeError::NoRoute)?;
        entry.set_counts(route.counts.clone());
        let call = Call::of(request.uri().query())?;
        if let Some(call) = &call {
            entry.set_call(call);
        }
        let upgrade = upgrade::requested(request);
        if !matches!(upgrade, Ok(None)) {
            entry.set_upgrade();
        }
        if let (Err(error), Some(sid)) =
            (&upgrade, call.as_ref().and_then(|call| call.sid.as_ref()))
        {
            route.insight.saw(sid, Sight::Failed(error.facts().label), now);
        }
        let upgrade = upgrade?;
        let opens = opens_session(request.method(), call.as_ref(), upgrade.is_some());
        let address = entry.client();
        let asked = Asked {
            call: call.as_ref(),
            headers: request.headers(),
            query: request.uri().query(),
            address,
        };
        let (route, recall) = recall::recall(self, route, &asked).await?;
        if let Some(outcome) = route.affinity.outcome(&recall) {
            route.counts.affinity.count(outcome);
        }
        let key = route.upstream.settings().balance.key().and_then(|key| key.value_in(&asked));
        let key = key.map(|value| value.into_owned().into_boxed_slice());
        let upgrade = upgrade.map(|handshake| Box::new((handshake, ClientSide::of(request))));
        prepare(request, client, host, &recall);
        let bounds = recall.bounds();
        let asking = Asking { proxy: self, route, call, client, address, bounds, opens, key };
        Ok((asking, recall, upgrade))
    }
}

/// Whether a session would begin with such a request: an Engine.IO handshake, or a WebSocket's of
/// another kind.
fn opens_session(method: &Method, call: Option<&Call>, is_upgrade: bool) -> bool {
    match call {
        Some(call) => call.sid.is_none() && *method == Method::GET,
        None => is_upgrade,
    }
}

/// Turns a client's request into ours to a node.
fn prepare(request: &mut Request, client: &ClientInfo, host: &str, recall: &Recall) {
    let untagged = match recall {
        Recall::Bound { sid, .. } => sid.as_ref(),
        Recall::Anywhere | Recall::Preferred(_) | Recall::Gone { .. } | Recall::Unknown { .. } => {
            None
        }
    };
    *request.uri_mut() = target::for_node(request.uri(), untagged);
    *request.version_mut() = Version::HTTP_11;
    let fields = request.headers_mut();
    headers::remove_hop_by_hop(fields);
    // Our server has answered it: a node's own 100 would come too late to mean anything.
    fields.remove(EXPECT);
    headers::put_host(fields, host);
    forwarded::put_forwarded(fields, client, host);
}

/// The client of an embedder that does not say who it is.
fn unknown_client() -> ClientInfo {
    ClientInfo::plain(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)))
}
