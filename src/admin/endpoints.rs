//! The endpoints of the admin listener.
//!
//! The table has the role that each endpoint needs: see `permission`. On a loopback address each request must name
//! an IP address or `localhost`, because a page of another site would use another name. Each command is
//! logged, with who sent it.
//!
//! Runs at start, at reload, or on a timer.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use http::header::{ALLOW, HeaderValue};
use http::request::Parts;
use http::{Method, StatusCode};
use tokio::time::timeout;
use tracing::info;

use super::answer::{Answer, events, json, refuse, whole};
use super::command::{self, NodeCommand};
use super::metrics_page::metrics_page;
use super::model::{Live, Refusal, Reloaded};
use super::overview;
use super::page;
use super::permission::{Access, is_from_no_other_page, is_host_local, permit};
use super::readiness::{Question, readiness};
use super::route_preview;
use super::session_endpoints;
use super::state::AdminState;
use super::views;
use crate::Instant;
use crate::access::{Operator, Role};
use crate::config::Change;
use crate::net::ClientInfo;
use crate::reload::ReloadError;

/// All endpoints: their paths, who may use them, and what they do.
const ENDPOINTS: [(&str, Access, Endpoint); 18] = [
    ("/live", OPEN, Endpoint::Query(Query::Live)),
    ("/ready", OPEN, Endpoint::Query(Query::Ready)),
    ("/status", READ, Endpoint::Query(Query::Status)),
    ("/config", READ, Endpoint::Query(Query::Config)),
    ("/nodes", READ, Endpoint::Query(Query::Nodes)),
    ("/route", READ, Endpoint::Query(Query::Route)),
    ("/metrics", METRICS, Endpoint::Query(Query::Metrics)),
    ("/overview", READ, Endpoint::Query(Query::Overview)),
    ("/overview/stream", READ, Endpoint::Query(Query::OverviewStream)),
    ("/history", READ, Endpoint::Query(Query::History)),
    ("/tail", READ, Endpoint::Query(Query::Tail)),
    ("/sessions", READ, Endpoint::Query(Query::Sessions)),
    ("/sessions/{id}/watch", READ, Endpoint::Query(Query::Watch)),
    ("/sessions/{id}/end", OPERATE, Endpoint::Command(Command::EndSession)),
    ("/sessions/{id}", READ, Endpoint::Query(Query::Session)),
    ("/reload", OPERATE, Endpoint::Command(Command::Reload)),
    ("/nodes/{name}/drain", OPERATE, Endpoint::Command(Command::Node(NodeCommand::Drain))),
    ("/nodes/{name}/undrain", OPERATE, Endpoint::Command(Command::Node(NodeCommand::Undrain))),
];

const OPEN: Access = Access::Open;
const METRICS: Access = Access::Needs(Role::Metrics);
const READ: Access = Access::Needs(Role::Read);
const OPERATE: Access = Access::Needs(Role::Operate);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Endpoint {
    /// Changes nothing; takes GET and HEAD.
    Query(Query),
    /// Takes POST.
    Command(Command),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Query {
    Live,
    Ready,
    Status,
    Config,
    Nodes,
    Route,
    Metrics,
    Overview,
    OverviewStream,
    History,
    Tail,
    Sessions,
    Session,
    Watch,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Command {
    Reload,
    EndSession,
    Node(NodeCommand),
}

impl Endpoint {
    /// The endpoint at `path`, who may use it, and the name or id in it, which is empty if the endpoint
    /// has none.
    fn find(path: &str) -> Option<(Self, Access, &str)> {
        ENDPOINTS.into_iter().find_map(|(pattern, access, endpoint)| {
            let placeholder = if pattern.contains(NAME) { NAME } else { ID };
            let name = match pattern.split_once(placeholder) {
                None => (path == pattern).then_some("")?,
                Some((before, behind)) => path.strip_prefix(before)?.strip_suffix(behind)?,
            };
            Some((endpoint, access, name))
        })
    }

    fn takes(self, method: &Method) -> bool {
        match self {
            Self::Query(_) => *method == Method::GET || *method == Method::HEAD,
            Self::Command(_) => *method == Method::POST,
        }
    }

    fn methods(self) -> &'static str {
        match self {
            Self::Query(_) => "GET, HEAD",
            Self::Command(_) => "POST",
        }
    }
}

/// The answer to the request with this head, on a listener that is bound to `bind`.
pub(super) async fn answer(state: &AdminState, bind: SocketAddr, head: &Parts) -> Answer {
    if bind.ip().is_loopback() && !is_host_local(&head.headers) {
        return refuse(StatusCode::FORBIDDEN, "name this machine by its IP address or localhost");
    }
    let client = head.extensions.get::<ClientInfo>().map(|client| client.address.ip());
    let client = client.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let operators = state.config.load().config.admin.as_ref().and_then(|admin| admin.auth.clone());
    let path = head.uri.path();
    if let Some(file) = page::find(path) {
        // Its requests need a key, and a browser asks for a password when the page is opened.
        return match permit(operators.as_deref(), READ, head, client).await {
            Ok(_) => file.answer(&head.method, &head.headers),
            Err(refusal) => refusal,
        };
    }
    let Some((endpoint, access, name)) = Endpoint::find(path) else {
        let paths = ENDPOINTS.map(|(path, ..)| path.to_owned()).into();
        let refusal = Refusal::new("there is no such endpoint");
        return json(StatusCode::NOT_FOUND, &Refusal { endpoints: Some(paths), ..refusal });
    };
    if !endpoint.takes(&head.method) {
        let sentence = format!("{path} takes {}", endpoint.methods());
        let mut answer = refuse(StatusCode::METHOD_NOT_ALLOWED, sentence);
        answer.headers_mut().insert(ALLOW, HeaderValue::from_static(endpoint.methods()));
        return answer;
    }
    let shows_payload = session_endpoints::shows_payload(head.uri.query());
    let access = match endpoint {
        Endpoint::Query(Query::Watch) if shows_payload => OPERATE,
        _ => access,
    };
    let operator = match permit(operators.as_deref(), access, head, client).await {
        Ok(operator) => operator,
        Err(refusal) => return refusal,
    };
    match endpoint {
        Endpoint::Query(query) => {
            let answer = answer_query(state, query, (name, head.uri.query())).await;
            // A watch is recorded in the log, as a command is.
            if query == Query::Watch {
                log_command(operator.as_ref(), client, path, answer.status());
            }
            answer
        }
        Endpoint::Command(command) => {
            let is_allowed = is_from_no_other_page(&head.headers, operator.as_ref());
            let answer = match command {
                _ if !is_allowed => {
                    refuse(StatusCode::FORBIDDEN, "a command from another web page is refused")
                }
                Command::Reload => reload(state).await,
                Command::EndSession => session_endpoints::end(state, name),
                Command::Node(command) => run_command(state, command, name),
            };
            log_command(operator.as_ref(), client, path, answer.status());
            answer
        }
    }
}

/// Writes down who has sent a command, and what came of it.
fn log_command(operator: Option<&Operator>, client: IpAddr, path: &str, status: StatusCode) {
    let operator = operator.map(|operator| &*operator.name);
    info!(operator, %client, path, status = status.as_u16(), "admin command");
}

async fn answer_query(
    state: &AdminState,
    query: Query,
    (name, parameters): (&str, Option<&str>),
) -> Answer {
    match query {
        Query::Live => json(StatusCode::OK, &Live { live: true }),
        Query::Ready => {
            let readiness = readiness(state, Question::from_query(parameters));
            let status = match readiness.is_ready() {
                true => StatusCode::OK,
                false => StatusCode::SERVICE_UNAVAILABLE,
            };
            json(status, &readiness.into_answer())
        }
        Query::Status => json(StatusCode::OK, &views::status(state)),
        Query::Config => config(state, parameters),
        Query::Nodes => json(StatusCode::OK, &views::nodes(&state.current.load())),
        Query::Route => route(state, parameters),
        Query::Metrics => metrics(state),
        Query::Overview => json(StatusCode::OK, &overview::overview(state, Instant::now())),
        Query::OverviewStream => events(&state.streams, "events", |viewer| {
            state.recorder.add_viewer(viewer, state);
        }),
        Query::History => overview::history(state, parameters),
        Query::Tail => session_endpoints::tail(state, parameters),
        Query::Sessions => session_endpoints::list(state, parameters),
        Query::Session => session_endpoints::detail(state, name).await,
        Query::Watch => session_endpoints::watch(state, name, parameters),
    }
}

fn config(state: &AdminState, query: Option<&str>) -> Answer {
    let in_force = state.config.load();
    match query {
        None | Some("format=json") => match views::config(&in_force) {
            Ok(shown) => json(StatusCode::OK, &shown),
            Err(error) => refuse(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        },
        Some("format=yaml") => match views::config_as_yaml(&in_force) {
            Ok(text) => whole(StatusCode::OK, "application/yaml", text),
            Err(error) => refuse(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        },
        Some(_) => refuse(StatusCode::BAD_REQUEST, "write ?format=json or ?format=yaml"),
    }
}

/// What would become of a request, with the nodes as they are now.
fn route(state: &AdminState, parameters: Option<&str>) -> Answer {
    match route_preview::from_query(parameters) {
        Ok(described) => {
            let in_force = state.config.load();
            let listeners = &in_force.config.listeners;
            let shown = route_preview::explain(&state.current.load(), listeners, &described);
            json(StatusCode::OK, &shown.of_running_process())
        }
        Err(sentence) => refuse(StatusCode::BAD_REQUEST, sentence),
    }
}

fn metrics(state: &AdminState) -> Answer {
    match metrics_page(state) {
        Ok(page) => whole(StatusCode::OK, METRICS_TYPE, page),
        Err(error) => refuse(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

fn run_command(state: &AdminState, command: NodeCommand, name: &str) -> Answer {
    match command::run(command, &state.current.load(), name, Instant::now()) {
        Ok(done) => json(StatusCode::OK, &done),
        Err((status, refusal)) => json(status, &refusal),
    }
}

async fn reload(state: &AdminState) -> Answer {
    let Some(reloader) = &state.reloader else {
        let sentence = "this server has no file that it could reload";
        return refuse(StatusCode::NOT_IMPLEMENTED, sentence);
    };
    let failure = match timeout(RELOAD_TIMEOUT, reloader.reload()).await {
        Ok(Ok(changes)) => {
            let changes = changes.iter().map(Change::to_string).collect();
            return json(StatusCode::OK, &Reloaded { reloaded: true, changes });
        }
        Ok(Err(failure)) => failure,
        Err(_) => {
            let sentence = "the reload takes long; its outcome will be logged";
            return refuse(StatusCode::GATEWAY_TIMEOUT, sentence);
        }
    };
    let status = match &*failure {
        ReloadError::Problems(_) => StatusCode::UNPROCESSABLE_ENTITY,
        ReloadError::Bind(_) | ReloadError::Snapshot(_) => StatusCode::CONFLICT,
        ReloadError::Broken(_) => StatusCode::INTERNAL_SERVER_ERROR,
        ReloadError::ReadOnce => StatusCode::NOT_IMPLEMENTED,
        ReloadError::Stopping => StatusCode::SERVICE_UNAVAILABLE,
    };
    json(status, &views::reload_failed(&failure))
}

/// The placeholder for a node's name in a path.
const NAME: &str = "{name}";

/// The placeholder for a session's id.
const ID: &str = "{id}";

/// OpenMetrics 1.0, which Prometheus reads since 2.5.
const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A reload reads one file and binds some addresses.
const RELOAD_TIMEOUT: Duration = Duration::from_secs(30);
