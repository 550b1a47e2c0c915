//! A request's life: which route, what for, which node had the session, which node now; ask it,
//! remember what it said, give it back. Read `Proxy::exchange` first.
//!
//! Runs for every request.

mod access_log;
mod attempt;
mod body;
mod budget;
mod candidates;
mod context;
mod error;
mod forwarded;
mod gather;
mod handshake;
mod headers;
mod hold;
mod node_fields;
mod outbound;
mod outcome;
mod pass;
mod purpose;
mod recall;
mod refusal;
mod refused;
mod search;
mod service;
mod sockets;
mod switch;
mod target;
mod tenure;
mod upgrade;
mod verdict;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use http::header::ORIGIN;
use http::uri::Authority;

use self::access_log::Entry;
use self::candidates::{Candidates, NodePreference};
use self::context::{Exchange, Request, Response, Shared};
use self::outbound::Outbound;
use self::outcome::Outcome;
use self::pass::Known;
use self::purpose::Purpose;
use self::refusal::Asker;
use self::switch::ClientSide;
use crate::Instant;
use crate::affinity::{Asked, Recall};
use crate::client::ClientInfo;
use crate::engineio::Call;
use crate::insight::Sight;
use crate::shutdown::ShutdownWatch;
use crate::snapshot::{Current, Snapshot};
use crate::tasks::Tasks;
use crate::upstream::pool::{Pool, SessionKey};

pub use body::{BodyError, RequestBody, ResponseBody};
pub use error::{Blame, ExchangeError, Facts, Retry};

/// The proxy as a [`tower::Service`]: our own listener and any other HTTP/1.1 server can call it.
///
/// Clones share the connections to nodes; [`Proxy::for_worker`] makes one with its own.
#[derive(Clone, Debug)]
pub struct Proxy(Arc<Shared>);

impl Proxy {
    /// A proxy that follows `current`. Its tunnels end when `drain` begins.
    pub fn new(current: Arc<Current>, shutdown: ShutdownWatch) -> Self {
        Self::with(current, Tasks::default(), shutdown)
    }

    /// The same proxy with its own connections and tasks, so that a worker shares no lock.
    pub fn for_worker(&self, tasks: Tasks) -> Self {
        Self::with(self.0.current.clone(), tasks, self.0.shutdown.clone())
    }

    fn with(current: Arc<Current>, tasks: Tasks, shutdown: ShutdownWatch) -> Self {
        let (pool, budget) = (Pool::new(), Arc::default());
        Self(Arc::new(Shared { current, pool, budget, tasks, shutdown }))
    }

    /// Answers `request`, whatever happens.
    async fn answer(&self, request: &mut Request) -> Response {
        let client = request.extensions_mut().remove::<ClientInfo>().unwrap_or_else(unknown_client);
        let address = forwarded::client_address(request.headers(), &client);
        let origin = request.headers().get(ORIGIN).and_then(headers::in_own_memory);
        let id = headers::request_id(request.headers(), &client);
        let snapshot = self.0.current.load();
        let head = (request.method(), request.uri());
        let mut entry = Entry::begin(head, address, id, snapshot.unrouted.clone(), Instant::now());
        let had_body = !http_body::Body::is_end_stream(request.body());
        match self.exchange(&snapshot, &client, request, &mut entry).await {
            Ok(response) => response,
            Err(error) => {
                entry.failed(&error, Instant::now());
                // A request that could not be read is still there.
                let is_engineio =
                    entry.is_engineio() || refusal::is_engineio(request.uri().query());
                Asker { is_engineio, had_body, origin }.refuse(&error, entry.request_id())
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
        // Route, purpose and session.
        let Understood { mut exchange, recall, handshake, host } =
            self.understand(snapshot, client, request, entry).await?;
        exchange.saw(exchange.sight());

        // The request as the node gets it.
        let upgrade = handshake.map(|handshake| {
            let client_side = ClientSide::new(request);
            Box::new(Upgrade { handshake, client_side })
        });
        let host = host.as_ref().map_or("", Authority::as_str);
        let outbound = Outbound::new(&exchange, request, host, &recall, entry.request_id()).await?;

        // Ask, remember, pass on or switch. A handshake is in a box, as all that few exchanges need: a
        // poll is pending for long, and would hold the room of each.
        let known = Known::new(&recall);
        match upgrade {
            Some(upgrade) => {
                match Box::pin(exchange.upgrade(*upgrade, outbound, recall, entry)).await {
                    Ok((response, node)) => Ok(exchange.put_cookie(response, &known, &node)),
                    Err(error) => {
                        exchange.saw(Sight::Failed(error.facts().label));
                        Err(error)
                    }
                }
            }
            None => {
                let answer = exchange.answer(outbound, recall).await?;
                let node = answer.lease.node().clone();
                let response = exchange.pass(answer, entry);
                Ok(exchange.put_cookie(response, &known, &node))
            }
        }
    }

    /// What `request` wants, and where its session lives.
    #[expect(
        clippy::needless_pass_by_ref_mut,
        reason = "a body is not Sync, so that a shared reference held across an await is not Send"
    )]
    async fn understand<'a>(
        &'a self,
        snapshot: &Snapshot,
        client: &'a ClientInfo,
        request: &mut Request,
        entry: &mut Entry,
    ) -> Result<Understood<'a>, ExchangeError> {
        let host = target::host(request.method(), request.uri(), request.headers())?;
        let name = host.as_ref().map_or("", Authority::as_str);
        let route = snapshot
            .routes
            .find(target::host_name(name), request.uri().path())
            .ok_or(ExchangeError::NoRoute)?;
        entry.set_counts(route.counts.clone());

        let call = Call::of(request.uri().query())?;
        if let Some(call) = &call {
            entry.set_call(call);
        }
        let handshake = upgrade::requested(request);
        if !matches!(handshake, Ok(None)) {
            entry.set_upgrade();
        }
        if let (Err(error), Some(sid)) =
            (&handshake, call.as_ref().and_then(|call| call.sid.as_ref()))
        {
            route.insight.saw(sid, Sight::Failed(error.facts().label), entry.began());
        }
        let handshake = handshake?;
        let purpose = Purpose::new(request.method(), call.as_ref(), handshake.is_some());

        let address = entry.client();
        let (query, headers) = (request.uri().query(), request.headers());
        let asked = Asked { call: call.as_ref(), headers, query, address };
        let (route, recall) = recall::recall(self, route, &asked).await?;
        if let Some(outcome) = route.affinity.outcome(&recall) {
            route.counts.affinity.count(outcome);
        }
        let key = route.upstream.settings().balance.key().and_then(|key| key.value_in(&asked));
        let key = key.map(|value| value.into_owned().into_boxed_slice());
        let session_key = session_key(&recall, call.as_ref());
        let (shared, bounds) = (&*self.0, recall.bounds());
        let exchange =
            Exchange { shared, route, call, purpose, client, address, bounds, key, session_key };
        Ok(Understood { exchange, recall, handshake, host })
    }
}

/// A request whose route, purpose and session are known.
struct Understood<'a> {
    exchange: Exchange<'a>,
    recall: Recall,
    handshake: Option<upgrade::Handshake>,
    host: Option<Authority>,
}

/// A WebSocket handshake, and the connection that asks for it.
struct Upgrade {
    handshake: upgrade::Handshake,
    client_side: ClientSide,
}

impl Exchange<'_> {
    /// Asks for an answer, and remembers the session that opens with it.
    async fn answer(
        &mut self,
        mut outbound: Outbound,
        recall: Recall,
    ) -> Result<outcome::Answer, ExchangeError> {
        match self.ask(&mut outbound, recall).await? {
            Outcome::Switched(switched) => Err(ExchangeError::BadSwitch {
                node: switched.lease.node().name().clone(),
                reason: "the request asked for none",
            }),
            Outcome::Answered(answer) if self.purpose == Purpose::OpenPolling => {
                Box::pin(handshake::remember(self, answer)).await
            }
            Outcome::Answered(answer) => Ok(answer),
        }
    }

    /// Asks for a WebSocket, and begins the tunnel.
    async fn upgrade(
        &mut self,
        Upgrade { handshake, client_side }: Upgrade,
        mut outbound: Outbound,
        recall: Recall,
        entry: &Entry,
    ) -> Result<(Response, Arc<crate::upstream::Node>), ExchangeError> {
        match self.ask(&mut outbound, recall).await? {
            Outcome::Switched(switched) => {
                let node = switched.lease.node().clone();
                handshake.check(&switched)?;
                self.count_answer(&node, switched.response.status(), entry);
                self.count_switch(&node);
                Ok((switch::switch(self, client_side, switched, entry.for_tunnel()), node))
            }
            Outcome::Answered(answer) => {
                let node = answer.lease.node().clone();
                Ok((self.pass_refused_upgrade(answer, entry), node))
            }
        }
    }

    /// Asks the nodes that may be asked, as far as the affinity decides it.
    async fn ask(
        &mut self,
        outbound: &mut Outbound,
        recall: Recall,
    ) -> Result<Outcome, ExchangeError> {
        let route = self.route.clone();
        let (mut candidates, is_bound) = match recall {
            Recall::Unknown { sid, order } => {
                return Box::pin(search::find(self, (&sid, order), outbound)).await;
            }
            Recall::Gone { sid: _ } => return Err(ExchangeError::SessionGone),
            Recall::Bound { node, .. } => (Candidates::bound(route, node, self.purpose), true),
            Recall::Preferred(order) => (self.candidates(order), false),
            Recall::Anywhere => (self.candidates(Vec::new()), false),
        };
        let answered = attempt::ask(self, outbound, &mut candidates).await?;
        self.route = candidates.into_route();
        let may_be_misdirected = is_bound && answered.is_shared;
        let outcome = Outcome::new(answered);
        match outcome {
            Outcome::Answered(answer) if may_be_misdirected => {
                let outcome = attempt::ask_owner(self, outbound, answer);
                Ok(Outcome::Answered(Box::pin(outcome).await?))
            }
            outcome => Ok(outcome),
        }
    }

    fn candidates(&mut self, order: Vec<Arc<crate::upstream::Node>>) -> Candidates {
        let preference = NodePreference { order, key: self.key.take() };
        if self.purpose.opens_session() {
            Candidates::opening(self.route.clone(), preference, self.shared)
        } else {
            Candidates::any(self.route.clone(), preference)
        }
    }
}

/// The session as its node knows it.
fn session_key(recall: &Recall, call: Option<&Call>) -> Option<SessionKey> {
    match recall {
        Recall::Bound { sid: Some(sid), .. } => Some(SessionKey::new(sid.as_str())),
        Recall::Bound { .. } | Recall::Anywhere | Recall::Preferred(_) | Recall::Unknown { .. } => {
            Some(SessionKey::new(call?.sid.as_ref()?.as_str()))
        }
        Recall::Gone { .. } => None,
    }
}

/// The client of an embedder that does not say who it is.
fn unknown_client() -> ClientInfo {
    ClientInfo::plain(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)))
}
