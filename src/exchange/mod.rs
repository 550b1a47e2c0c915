//! A request's life: which route, which node had the session, which node now; ask it, remember
//! what it said, give it back. Read `Proxy::exchange` first.
//!
//! Runs for every request.

mod access_log;
mod body;
mod candidates;
mod error;
mod forward;
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

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use http::header::{CONNECTION, EXPECT, HeaderValue, ORIGIN, SET_COOKIE};
use http::uri::Authority;
use http::{Method, StatusCode, Version};

use self::access_log::Entry;
use self::body::Passage;
use self::candidates::{Candidates, Errand, Preference};
use self::forward::Answer;
use self::refusal::Asker;
use self::switch::ClientSide;
use self::upgrade::{Handshake, Outcome};
use crate::Instant;
use crate::affinity::{Asked, Recall};
use crate::client::ClientInfo;
use crate::drain::{DrainWatch, Tasks};
use crate::engineio::{Call, Sid, Transport};
use crate::insight::Sight;
use crate::route::Route;
use crate::snapshot::{Current, Snapshot};
use crate::upstream::Node;
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
        let address = headers::client_address(request.headers(), &client);
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
        let now = entry.began();
        let host = target::host(request.uri(), request.headers())?;
        let host = host.as_ref().map_or("", Authority::as_str);
        let route = snapshot
            .routes
            .find(target::without_port(host), request.uri().path())
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
        let asked = Asked {
            call: call.as_ref(),
            headers: request.headers(),
            query: request.uri().query(),
            address: entry.client(),
        };
        let (route, recall) = recall::recall(self, route, &asked).await?;
        if let Some(outcome) = route.affinity.outcome(&recall) {
            route.counts.affinity.count(outcome);
        }
        let key = route.upstream.settings().balance.key().and_then(|key| key.value_in(&asked));
        let key = key.map(|value| value.into_owned().into_boxed_slice());
        let client_side = ClientSide::of(request);
        prepare(request, client, host, &recall);

        let address = entry.client();
        let mut asking = Asking { proxy: self, route, call, client, address, opens, key };
        match upgrade {
            Some(handshake) => {
                asking.saw(Sight::Tried);
                // Boxed, as all that few exchanges need: a poll is pending for long, and would hold
                // the room of each.
                let answer = asking.upgrade((handshake, client_side), request, recall, entry);
                Box::pin(answer)
                    .await
                    .inspect_err(|error| asking.saw(Sight::Failed(error.facts().label)))
            }
            None => {
                asking.saw(asking.sight());
                asking.forward(request, recall, entry).await
            }
        }
    }
}

/// A request on its way: what every step needs to know.
#[derive(Debug)]
struct Asking<'a> {
    proxy: &'a Proxy,
    route: Arc<Route>,
    call: Option<Call>,
    client: &'a ClientInfo,
    /// The client's address, after trusted proxies were believed.
    address: IpAddr,
    /// Whether a session would begin with it.
    opens: bool,
    /// What `balance: rendezvous` goes by.
    key: Option<Box<[u8]>>,
}

impl Asking<'_> {
    /// The session that asks, if it was opened before.
    fn session(&self) -> Option<&Sid> {
        self.call.as_ref()?.sid.as_ref()
    }

    /// Tells of the request's session.
    fn saw(&self, sight: Sight) {
        if let Some(sid) = self.session() {
            self.route.insight.saw(sid, sight, Instant::now());
        }
    }

    /// What an ordinary request shows of its session: nodes take what asks for a WebSocket by its
    /// query alone for a mistake.
    fn sight(&self) -> Sight {
        match self.call.as_ref().map(|call| call.transport) {
            Some(Transport::WebSocket) => Sight::Stripped,
            Some(Transport::Polling | Transport::Other) | None => Sight::Polled,
        }
    }

    /// An ordinary request.
    async fn forward(
        &mut self,
        request: &mut Request,
        recall: Recall,
        entry: &Entry,
    ) -> Result<Response, ExchangeError> {
        let opens = handshake::is_by_polling(request.method(), self.call.as_ref());
        if opens {
            handshake::ask_uncompressed(request);
        }
        let known = Known::of(&recall);
        let mut answer = match recall {
            Recall::Unknown { sid } => Box::pin(heal::ask_around(self, &sid, request)).await?,
            Recall::Anywhere
            | Recall::Preferred(_)
            | Recall::Bound { .. }
            | Recall::Gone { .. } => {
                let errand = match *request.method() {
                    Method::POST => Errand::Post,
                    _ => Errand::Other,
                };
                let mut candidates = self.candidates(recall, errand)?;
                let answer = forward::forward(self, request, &mut candidates).await?;
                self.route = candidates.into_route();
                answer
            }
        };
        if let Some(call) = self.call.as_ref().filter(|_| opens) {
            answer = Box::pin(handshake::remember(self, call, answer)).await?;
        }
        Ok(self.pass(answer, &known, entry))
    }

    /// A WebSocket handshake.
    async fn upgrade(
        &mut self,
        (handshake, client_side): (Handshake, ClientSide),
        request: &mut Request,
        recall: Recall,
        entry: &Entry,
    ) -> Result<Response, ExchangeError> {
        let (mut head, _) = std::mem::take(request).into_parts();
        upgrade::put_upgrade(&mut head.headers);
        let known = Known::of(&recall);
        let outcome = match recall {
            Recall::Unknown { sid } => {
                heal::ask_around_for_upgrade(self, &sid, &handshake, &head).await?
            }
            Recall::Anywhere
            | Recall::Preferred(_)
            | Recall::Bound { .. }
            | Recall::Gone { .. } => {
                let mut candidates = self.candidates(recall, Errand::Other)?;
                let outcome = upgrade::forward(self, &handshake, &head, &mut candidates).await?;
                self.route = candidates.into_route();
                outcome
            }
        };
        match outcome {
            Outcome::Switched(switched) => {
                let node = switched.lease.node().clone();
                self.answered(&node, switched.response.status(), entry);
                self.switched(&node);
                let mut response = switch::switch(self, client_side, switched, entry.for_tunnel());
                self.put_cookie(&mut response, &known, &node);
                Ok(response)
            }
            Outcome::Refused(answer) => {
                let cause = upgrade::refusal_cause(answer.head.status);
                self.route.counts.upgrades.count(["refused", cause]);
                self.saw(Sight::Refused(cause));
                let mut response = self.pass(answer, &known, entry);
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(CONNECTION, close);
                Ok(response)
            }
        }
    }

    /// The nodes that may be asked, as far as the affinity decides it.
    fn candidates(&mut self, recall: Recall, errand: Errand) -> Result<Candidates, ExchangeError> {
        let order = match recall {
            Recall::Anywhere | Recall::Unknown { .. } => Vec::new(),
            Recall::Preferred(order) => order,
            Recall::Bound { node, sid: _ } => {
                return Ok(Candidates::bound(self.route.clone(), node, errand));
            }
            Recall::Gone { sid: _ } => return Err(ExchangeError::SessionGone),
        };
        let preference = Preference { order, key: self.key.take() };
        Ok(if self.opens {
            Candidates::opening(self.route.clone(), preference, self.proxy)
        } else {
            Candidates::any(self.route.clone(), preference)
        })
    }

    /// A node's answer, on its way to the client.
    fn pass(&self, answer: Answer, known: &Known, entry: &Entry) -> Response {
        let Answer { mut head, read, rest, lease } = answer;
        let node = lease.node().clone();
        self.answered(&node, head.status, entry);
        headers::remove_hop_by_hop(&mut head.headers);
        let body = match rest {
            None => ResponseBody::whole(read),
            Some(rest) => {
                let passage = Passage::new(lease, self.route.limits.body_timeout);
                ResponseBody::node(read, rest, passage)
            }
        };
        let mut response = Response::from_parts(head, body);
        self.put_cookie(&mut response, known, &node);
        response
    }

    /// Logs and counts what a node said.
    fn answered(&self, node: &Node, status: StatusCode, entry: &Entry) {
        entry.answered(node.name(), status);
        self.route.counts.answers.count(status);
        node.counts().answers.count(status);
    }

    /// Counts an upgrade, and the session that begins with it.
    fn switched(&self, node: &Node) {
        self.route.counts.upgrades.count(["switched", "none"]);
        if self.call.as_ref().is_some_and(|call| call.sid.is_none()) {
            node.counts().handshakes_by_websocket.inc();
        }
    }

    fn put_cookie(&self, response: &mut Response, known: &Known, node: &Arc<Node>) {
        if known.is(node) {
            return;
        }
        if let Some(cookie) = self.route.affinity.set_cookie(node, self.client.scheme) {
            response.headers_mut().append(SET_COOKIE, cookie);
        }
    }
}

/// The node that the request itself names: its client's cookie needs no renewal.
#[derive(Debug)]
struct Known(Option<Arc<Node>>);

impl Known {
    fn of(recall: &Recall) -> Self {
        match recall {
            Recall::Bound { node, .. } => Self(Some(node.clone())),
            Recall::Preferred(order) => Self(order.first().cloned()),
            Recall::Anywhere | Recall::Gone { .. } | Recall::Unknown { .. } => Self(None),
        }
    }

    fn is(&self, node: &Arc<Node>) -> bool {
        self.0.as_ref().is_some_and(|known| Arc::ptr_eq(known, node))
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
    headers::put_forwarded(fields, client, host);
}

/// The client of an embedder that does not say who it is.
fn unknown_client() -> ClientInfo {
    ClientInfo::plain(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)))
}
