//! What would become of a request: the decisions of an exchange without a request, and nothing is sent.
//!
//! Everything is decided by the code that decides for requests. Only what would need a secret, or would
//! ask another process, is left open and said so.
//!
//! Runs at start, at reload, or on a timer.

mod changes;
mod model;
mod nodes;
mod request;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::uri::Authority;
use http::{HeaderValue, StatusCode};
use ipnet::IpNet;

use super::access_check::visitor;
use super::body::RequestBody;
use super::context::Request;
use super::error::ExchangeError;
use super::purpose::Purpose;
use super::response_fields::variables;
use super::site::Asked;
use super::{forwarded, locate, redirect, target, upgrade};
use crate::Instant;
use crate::access::is_preflight;
use crate::affinity::RequestView;
use crate::engineio::Call;
use crate::net::ClientInfo;
use crate::route::{Miss, Route, Target, UpstreamRoute};
use crate::snapshot::Snapshot;

use changes::REQUEST_ID;
pub(crate) use model::Preview;
use model::{OtherRoute, OwnAnswer, RequestSummary, RouteName, Rule};
pub(crate) use request::Described;

/// What a listener adds to a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reached {
    /// The networks whose fields are trusted.
    pub(crate) trusted_proxies: Arc<[IpNet]>,
    /// The port of https to which it redirects.
    pub(crate) redirect_to: Option<u16>,
}

/// What would become of `described` on a listener.
pub(crate) fn preview(snapshot: &Snapshot, described: &Described, reached: &Reached) -> Preview {
    let mut request = Request::new(RequestBody::EMPTY);
    *request.method_mut() = described.method.clone();
    *request.uri_mut() = described.uri.clone();
    *request.headers_mut() = described.headers.clone();
    let client = ClientInfo {
        scheme: described.scheme,
        trusted_proxies: reached.trusted_proxies.clone(),
        redirect_to: reached.redirect_to,
        ..ClientInfo::plain(SocketAddr::new(described.client, 1))
    };
    let address = forwarded::client_address(request.headers(), &client);
    let mut shown = Preview {
        request: RequestSummary {
            method: described.method.to_string(),
            path: described.uri.path().to_owned(),
            client: address.to_string(),
            ..RequestSummary::default()
        },
        outcome: "node".to_owned(),
        ..Preview::default()
    };
    let case = Case { snapshot, request: &request, client: &client, address };
    if let Err(error) = case.decide(&mut shown) {
        shown.refuse(&error);
    }
    shown
}

impl Preview {
    /// Whether no node gets the request, and the proxy refuses it.
    pub(crate) fn is_refused(&self) -> bool {
        self.outcome == "refused"
    }

    /// Whether no route serves it.
    pub(crate) fn has_no_route(&self) -> bool {
        self.answer
            .as_ref()
            .is_some_and(|answer| answer.label == ExchangeError::NoRoute.facts().label)
    }

    /// The same, with the states of nodes that are known.
    pub(crate) fn of_running_process(self) -> Self {
        Self { live: true, ..self }
    }

    /// The same request, which its listener refuses before a route is found.
    pub(crate) fn refused_by_listener(self, status: StatusCode, reason: String) -> Self {
        let label = "refused".to_owned();
        Self {
            request: RequestSummary { purpose: None, ..self.request },
            outcome: label.clone(),
            answer: Some(OwnAnswer { status: status.as_u16(), label, reason }),
            ..Self::default()
        }
    }

    fn refuse(&mut self, error: &ExchangeError) {
        let facts = error.facts();
        "refused".clone_into(&mut self.outcome);
        self.answer = Some(OwnAnswer {
            status: facts.status.as_u16(),
            label: facts.label.to_owned(),
            reason: error.to_string(),
        });
    }

    fn answered(&mut self, status: u16, label: &str, reason: &str) {
        "answered".clone_into(&mut self.outcome);
        let (label, reason) = (label.to_owned(), reason.to_owned());
        self.answer = Some(OwnAnswer { status, label, reason });
    }
}

/// A request, and what is known of it.
struct Case<'a> {
    snapshot: &'a Snapshot,
    request: &'a Request,
    client: &'a ClientInfo,
    address: IpAddr,
}

impl Case<'_> {
    /// The steps of an exchange, in its order.
    fn decide(&self, shown: &mut Preview) -> Result<(), ExchangeError> {
        let (method, uri, headers) =
            (self.request.method(), self.request.uri(), self.request.headers());
        let host = target::host(method, uri, headers)?;
        if target::is_server(uri) {
            shown.answered(200, "self", "`OPTIONS *` is about the proxy itself");
            return Ok(());
        }
        if let Some(port) = redirect::port(self.request, self.client) {
            let reason = format!("the listener redirects all requests to https, port {port}");
            shown.answered(redirect::status(method).as_u16(), "self", &reason);
            return Ok(());
        }
        let host = host.as_ref().map_or("", Authority::as_str);
        let name = target::host_name(host);
        name.clone_into(&mut shown.request.host);
        let route = target::route(&self.snapshot.routes, name, uri.path());
        self.show_others(name, shown);
        let route = route?;
        shown.route = Some(named(route));

        let call = Call::parse(uri.query())?;
        let handshake =
            upgrade::requested(self.request, upgrade::allowed(route.upstream(), call.as_ref()))?;
        let purpose = Purpose::of(method, call.as_ref(), handshake.as_ref());
        shown.request.purpose = Some(purpose.sentence().to_owned());
        self.check_access(route, (host, purpose), shown)?;
        if is_preflight(method, headers)
            && route.changes.as_ref().is_some_and(|changes| changes.cors.is_some())
        {
            shown.answered(204, "self", "cors of the route answers preflights");
            return Ok(());
        }

        let is_engineio = call.is_some();
        let head = (method, uri, headers);
        let (client, has_body) = (self.client, false);
        let asked = Asked { route, client, host, purpose, is_engineio, head, has_body };
        let Some(route) = self.target(&asked, shown)? else { return Ok(()) };
        let (path, query, address) = (uri.path(), uri.query(), self.address);
        let view = RequestView { call: call.as_ref(), headers, path, query, address };
        let (route, placement) = locate::known_now(route, &view, Instant::now());
        shown.affinity = Some(nodes::session(route, &placement));
        let key = route.upstream.settings().balance.key().and_then(|key| key.value_in(&view));
        let key = key.map(|value| value.into_owned().into_boxed_slice());
        nodes::show(route, &placement, key, purpose, shown)?;
        self.show_changes(route, &placement, (host, purpose), shown);
        Ok(())
    }

    /// The upstream that `asked` goes to; `None` if another target of the route answers it.
    fn target<'r>(
        &self,
        asked: &Asked<'r>,
        shown: &mut Preview,
    ) -> Result<Option<&'r Arc<UpstreamRoute>>, ExchangeError> {
        match &asked.route.target {
            Target::Upstream(route) => return Ok(Some(route)),
            Target::Files(_, Some(route)) => {
                if asked.may_be_file() {
                    shown
                        .notes
                        .push("a file is sent instead, if there is one at the path".to_owned());
                }
                return Ok(Some(route));
            }
            Target::Files(_, None) => {
                asked.check_for_files()?;
                shown.answered(
                    200,
                    "files",
                    "if there is a file at the path, which is not looked up",
                );
            }
            Target::Redirect(redirect) => {
                let (id, (_, uri, headers)) = (HeaderValue::from_static(REQUEST_ID), asked.head);
                let known = (self.address, asked.host, &id);
                let variables = variables(asked.route, (uri, headers), self.client, known);
                let location = redirect.location(&variables).ok_or(ExchangeError::BadHost)?;
                let reason = format!("to {}", String::from_utf8_lossy(location.as_bytes()));
                shown.answered(redirect.status.as_u16(), "redirect", &reason);
            }
            Target::Respond(respond) => {
                asked.check_for_response(respond.status)?;
                shown.answered(
                    respond.status.as_u16(),
                    "respond",
                    "the response that the route has",
                );
            }
        }
        Ok(None)
    }

    fn show_others(&self, name: &str, shown: &mut Preview) {
        let rivals = self.snapshot.routes.rivals(name, self.request.uri().path());
        shown.others_left_out = rivals.len().saturating_sub(OTHERS_MAX);
        let other = |(route, miss): (&Arc<Route>, Miss)| OtherRoute {
            host: route.host.to_string(),
            path: route.path.to_string(),
            reason: miss.sentence().to_owned(),
        };
        shown.others = rivals.into_iter().take(OTHERS_MAX).map(other).collect();
    }

    /// The rules of `route`, as far as they need no secret.
    fn check_access(
        &self,
        route: &Route,
        (host, purpose): (&str, Purpose),
        shown: &mut Preview,
    ) -> Result<(), ExchangeError> {
        let mut say = |rule: String, verdict: &str| {
            shown.access.push(Rule { rule, verdict: verdict.to_owned() });
        };
        if self.snapshot.client_rates.is_some() {
            say("client_limits".to_owned(), "not checked");
        }
        let Some(access) = &route.access else { return Ok(()) };
        let headers = self.request.headers();
        let asked = (self.request.method(), self.request.uri(), headers);
        let host = forwarded::original_host(headers, self.client).unwrap_or(host);
        let visitor = visitor(self.client, asked, (self.address, host), purpose);
        let outlook = access.outlook(&visitor);
        let verdict = if outlook.place.is_ok() { "passes" } else { "refuses" };
        let places = access.places();
        if !places.is_empty() {
            say(places.join(", "), verdict);
        }
        if let Some(asked) = outlook.asked {
            say(asked, "not checked");
        }
        Ok(outlook.place?)
    }
}

fn named(route: &Route) -> RouteName {
    let target = match &route.target {
        Target::Upstream(_) => "upstream",
        Target::Files(..) => "files",
        Target::Redirect(_) => "redirect",
        Target::Respond(_) => "respond",
    };
    RouteName {
        host: route.host.to_string(),
        path: route.path.to_string(),
        upstream: route.upstream().map(|route| route.upstream.name().to_string()),
        target: target.to_owned(),
    }
}

/// More are counted only.
const OTHERS_MAX: usize = 100;
