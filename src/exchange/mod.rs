//! A request and its response. Read `Proxy::exchange` first: it is the story, from the route to the
//! response or the tunnel. Each of its steps is in a file of its own.
//!
//! Runs for every request.

mod access_check;
mod access_log;
mod attempt;
mod body;
mod budget;
mod buffered_body;
mod candidates;
mod challenge;
mod client_paths;
mod comparison;
mod compressed;
mod context;
mod error;
mod extended_connect;
mod facts;
mod forwarded;
mod headers;
mod hold;
pub(crate) mod internal;
mod locate;
mod node_fields;
mod outbound;
mod outcome;
mod pass;
pub(crate) mod preview;
mod proxy;
mod purpose;
mod redirect;
mod refusal;
mod remember;
mod response_fields;
mod search;
mod site;
mod switch;
mod target;
#[cfg(test)]
mod tests;
mod tunnel_guards;
mod tunnel_log;
mod unknown_session;
mod upgrade;
mod verdict;

use std::ops::ControlFlow;
use std::sync::Arc;

use http::header::SET_COOKIE;
use http::uri::Authority;
use http_body::Body as _;

use self::access_log::LogEntry;
use self::candidates::Candidates;
use self::client_paths::ClientPaths;
use self::context::{Exchange, Request, Response};
use self::outbound::Outbound;
use self::outcome::{NodeResponse, Outcome};
use self::pass::NamedNode;
use self::purpose::Purpose;
use self::response_fields::{ResponseFields, response_changes};
use self::site::Asked;
use self::switch::ClientSide;
use self::upgrade::Handshake;
use crate::affinity::{Placement, RequestView};
use crate::engineio::Call;
use crate::insight::Observation;
use crate::net::ClientInfo;
use crate::pool::SessionKey;
use crate::route::UpstreamRoute;
use crate::snapshot::Snapshot;
use crate::upstream::{Node, NodePreference};

pub use body::{BodyError, RequestBody, ResponseBody};
pub(crate) use error::ExchangeError;
pub use proxy::Proxy;

impl Proxy {
    /// Finds the node for `request`, sends it there, and returns the response for the client.
    async fn exchange(
        &self,
        snapshot: &Snapshot,
        client: &ClientInfo,
        request: &mut Request,
        (entry, fields): (&mut LogEntry, &mut Option<Box<ResponseFields>>),
    ) -> Result<Response, ExchangeError> {
        // `OPTIONS *` is about the proxy and goes to no node.
        if target::is_server(request.uri()) {
            return refusal::about_server(request, entry);
        }

        // The authority that issues our certificates may ask for a proof on any host.
        if let Some(challenges) = &snapshot.challenges
            && let Some(path) = challenge::path(request)
            && let Some(proof) = Box::pin(challenge::answer(challenges, &path, entry)).await
        {
            return Ok(proof);
        }

        // A listener may serve nothing but redirects to https.
        if let Some(redirect) = redirect::to_https(request, client, entry) {
            return redirect;
        }

        // A WebSocket over HTTP/2 is a handshake of HTTP/1.1 for everything that follows.
        extended_connect::translate(request)?;

        // Find the route, the purpose of the request, and where its session is.
        let routed = self.route(snapshot, client, request, (entry, &mut *fields)).await?;
        let RoutedRequest { mut exchange, placement, handshake, host, client_paths } = match routed
        {
            ControlFlow::Continue(routed) => routed,
            ControlFlow::Break(answered) => return Ok(answered),
        };

        // Record what the request shows of its session's way to a WebSocket.
        exchange.observe(exchange.observation());

        // If it asks for a WebSocket or another protocol, take what is needed to get the client's socket later.
        let upgrade = handshake.map(|handshake| {
            let client_side = ClientSide::new(request);
            Box::new(UpgradeRequest { handshake, client_side })
        });

        // Write the request as bytes for a node.
        let host = host.as_ref().map_or("", Authority::as_str);
        let outbound =
            Outbound::new(&exchange, request, host, &placement, entry.request_id()).await?;

        // Ask nodes, remember a session that opens, and pass on the response or start the tunnel.
        // The upgrade is boxed, like everything that few exchanges need: a poll is pending for
        // long, and its future would have space for all of it.
        let named = NamedNode::new(&placement);
        let (mut response, node) = match upgrade {
            Some(upgrade) => {
                match Box::pin(exchange.upgrade(*upgrade, outbound, placement, entry)).await {
                    Ok(switched_or_refused) => switched_or_refused,
                    Err(error) => {
                        exchange.observe(Observation::FailedInProxy(error.facts().label));
                        return Err(error);
                    }
                }
            }
            None => {
                let response = exchange.respond(outbound, placement).await?;
                let node = response.lease.node().clone();
                (exchange.pass(response, entry), node)
            }
        };

        // Give the client its own paths back, change the fields that the route says, and add our cookie,
        // which no rule removes.
        if let Some(paths) = &client_paths {
            paths.restore(response.headers_mut());
        }
        if let Some(fields) = fields {
            fields.change(&mut response);
        }
        if let Some(cookie) = exchange.cookie(&named, &node) {
            let restored = client_paths.and_then(|paths| paths.cookie(cookie.as_bytes()));
            response.headers_mut().append(SET_COOKIE, restored.unwrap_or(cookie));
        }
        Ok(response)
    }

    /// Finds the route of `request`, its purpose, and where its session is, or breaks with a response that
    /// needs no node.
    #[expect(
        clippy::needless_pass_by_ref_mut,
        reason = "a body is not Sync, so that a shared reference held across an await is not Send"
    )]
    async fn route<'a>(
        &'a self,
        snapshot: &Snapshot,
        client: &'a ClientInfo,
        request: &mut Request,
        (entry, fields): (&mut LogEntry, &mut Option<Box<ResponseFields>>),
    ) -> Result<ControlFlow<Response, RoutedRequest<'a>>, ExchangeError> {
        // Host and path decide the route.
        let host = target::host(request.method(), request.uri(), request.headers())?;
        let name = host.as_ref().map_or("", Authority::as_str);
        let route = target::route(&snapshot.routes, target::host_name(name), request.uri().path())?;
        entry.set_counts(route.counts.clone());

        // What it sets in the response depends on the request, which may be gone when there is one.
        let known = (entry.client(), name, entry.request_id());
        let client_paths;
        let head = (request.method(), request.uri(), request.headers());
        (*fields, client_paths) = response_changes(route, head, client, known);

        // The query, the method and the upgrade fields decide the purpose.
        let call = Call::parse(request.uri().query())?;
        if let Some(call) = &call {
            entry.set_call(call);
        }
        let handshake = requested_handshake(request, route.upstream(), call.as_ref(), entry)?;
        let purpose = Purpose::of(request.method(), call.as_ref(), handshake.as_ref());

        if let Some(fields) = fields.as_mut().filter(|_| call.is_some() || purpose.is_upgrade()) {
            fields.keep_form();
        }

        // The route says who may use it.
        let rules = (snapshot, &*route.policy, &self.0.pool);
        let asked = (request.method(), request.uri(), request.headers());
        let grant = access_check::check(rules, client, asked, (name, purpose), entry).await?;

        // It may answer without a node, as it does preflights.
        let head = (request.method(), request.uri(), request.headers());
        let (is_engineio, has_body) = (call.is_some(), !request.body().is_end_stream());
        let asked = Asked { route, client, host: name, purpose, is_engineio, head, has_body };
        let route = match site::answer(asked, snapshot, (&*entry, fields.as_deref())).await? {
            ControlFlow::Continue(route) => route,
            ControlFlow::Break(response) => return Ok(ControlFlow::Break(response)),
        };

        // The affinity says where the session is.
        let address = entry.client();
        let (uri, headers) = (request.uri(), request.headers());
        let (path, query) = (uri.path(), uri.query());
        let view = RequestView { call: call.as_ref(), headers, path, query, address };
        let (route, placement, key) = self.place(route, &view).await?;
        let session_key = session_key(&placement, call.as_ref());
        let (shared, bounds) = (&*self.0, placement.bounds());
        let exchange = Exchange {
            shared,
            route,
            call,
            purpose,
            client,
            address,
            grant,
            bounds,
            key,
            session_key,
        };
        Ok(ControlFlow::Continue(RoutedRequest {
            exchange,
            placement,
            handshake,
            host,
            client_paths,
        }))
    }

    /// Finds where the session of a request of `route` is.
    async fn place(
        &self,
        route: &Arc<UpstreamRoute>,
        view: &RequestView<'_>,
    ) -> Result<Placed, ExchangeError> {
        let (route, placement) = locate::locate(&self.0, route, view).await?;
        if let Some(outcome) = route.affinity.outcome(&placement) {
            route.counts.affinity.count(outcome);
        }
        let key = route.upstream.settings().balance.key().and_then(|key| key.value_in(view));
        let key = key.map(|value| value.into_owned().into_boxed_slice());
        Ok((route, placement, key))
    }
}

/// A route, where the session of a request is, and the key of `balance: rendezvous`.
type Placed = (Arc<UpstreamRoute>, Placement, Option<Box<[u8]>>);

/// The handshake in `request`, if it is one. A wrong one is recorded for its session.
fn requested_handshake(
    request: &Request,
    route: Option<&Arc<UpstreamRoute>>,
    call: Option<&Call>,
    entry: &mut LogEntry,
) -> Result<Option<Handshake>, ExchangeError> {
    let handshake = upgrade::requested(request, upgrade::allowed(route, call));
    if !matches!(handshake, Ok(None)) {
        entry.set_upgrade();
    }
    let sid = call.and_then(|call| call.sid.as_ref());
    if let (Err(error), Some(sid), Some(route)) = (&handshake, sid, route) {
        let failed = Observation::FailedInProxy(error.facts().label);
        route.insight.observe(sid, failed, entry.began());
    }
    handshake
}

/// A request whose route, purpose and session are known.
struct RoutedRequest<'a> {
    exchange: Exchange<'a>,
    placement: Placement,
    handshake: Option<Handshake>,
    host: Option<Authority>,
    client_paths: Option<Box<ClientPaths>>,
}

/// A handshake, and the connection that asks for it.
struct UpgradeRequest {
    handshake: Handshake,
    client_side: ClientSide,
}

impl Exchange<'_> {
    /// Gets a node's response, and remembers the session that it opens.
    async fn respond(
        &mut self,
        mut outbound: Outbound,
        placement: Placement,
    ) -> Result<NodeResponse, ExchangeError> {
        match self.ask(&mut outbound, placement).await? {
            Outcome::Switched(switched) => Err(ExchangeError::BadSwitch {
                node: switched.lease.node().name().clone(),
                reason: "the request asked for none",
            }),
            Outcome::Answered(answer) if self.purpose == Purpose::OpenPolling => {
                Box::pin(remember::remember(self, answer)).await
            }
            Outcome::Answered(answer) => Ok(answer),
        }
    }

    /// Gets a node's 101 and starts the tunnel, or passes on what the node says instead.
    async fn upgrade(
        &mut self,
        UpgradeRequest { handshake, client_side }: UpgradeRequest,
        mut outbound: Outbound,
        placement: Placement,
        entry: &LogEntry,
    ) -> Result<(Response, Arc<Node>), ExchangeError> {
        match self.ask(&mut outbound, placement).await? {
            Outcome::Switched(switched) => {
                let node = switched.lease.node().clone();
                handshake.check(&switched)?;
                self.count_answer(&node, switched.response.status(), entry);
                self.count_switch(&node);
                Ok((switch::switch(self, client_side, switched, entry), node))
            }
            Outcome::Answered(answer) => {
                let node = answer.lease.node().clone();
                client_side.check_refusal(answer.status(), &node)?;
                Ok((self.pass_refused_upgrade(answer, entry), node))
            }
        }
    }

    /// Asks the nodes that may be asked, by the session's placement.
    async fn ask(
        &mut self,
        outbound: &mut Outbound,
        placement: Placement,
    ) -> Result<Outcome, ExchangeError> {
        let route = self.route.clone();
        let (mut candidates, is_bound) = match placement {
            Placement::Unknown { sid, order } => {
                return Box::pin(search::find(self, (&sid, order), outbound)).await;
            }
            Placement::Gone { sid: _ } => return Err(ExchangeError::SessionGone),
            Placement::Bound { node, .. } => (Candidates::bound(route, node, self.purpose), true),
            Placement::Preferred(order) => (self.candidates(order), false),
            Placement::Anywhere => (self.candidates(Vec::new()), false),
        };
        let answered = attempt::ask(self, outbound, &mut candidates).await?;
        self.route = candidates.into_route();
        match is_bound {
            true => attempt::ask_owner(self, outbound, answered).await,
            false => Ok(Outcome::new(answered)),
        }
    }

    fn candidates(&mut self, order: Vec<Arc<Node>>) -> Candidates {
        let preference = NodePreference { order, key: self.key.take() };
        if self.purpose.opens_session() {
            Candidates::for_new_session(self.route.clone(), preference, self.shared)
        } else {
            Candidates::any(self.route.clone(), preference)
        }
    }
}

/// The session by the sid that its node knows.
fn session_key(placement: &Placement, call: Option<&Call>) -> Option<SessionKey> {
    match placement {
        Placement::Bound { sid: Some(sid), .. } => Some(SessionKey::new(sid.as_str())),
        Placement::Bound { .. }
        | Placement::Anywhere
        | Placement::Preferred(_)
        | Placement::Unknown { .. } => Some(SessionKey::new(call?.sid.as_ref()?.as_str())),
        Placement::Gone { .. } => None,
    }
}
