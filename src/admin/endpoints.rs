//! The endpoints of the admin listener.
//!
//! A page of another site in an operator's browser can send requests to the listener, with a plain form
//! or with a host name that resolves to this machine. So a command with an `Origin` is refused, because
//! only browsers send one, unless it comes from our own page; and on a loopback address each request must name an IP address or `localhost`,
//! because such a page would use another name.
//!
//! Runs at start, at reload, or on a timer.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use http::header::{ALLOW, HOST, HeaderMap, HeaderValue, ORIGIN};
use http::request::Parts;
use http::{Method, StatusCode};
use tokio::time::timeout;

use super::answer::{Answer, events, json, refuse, whole};
use super::command::{self, NodeCommand};
use super::metrics_page::metrics_page;
use super::model::{Live, Refusal, Reloaded};
use super::overview;
use super::page;
use super::readiness::{Question, readiness};
use super::route_preview;
use super::state::AdminState;
use super::views;
use crate::Instant;
use crate::config::Change;
use crate::reload::ReloadError;

/// All endpoints: their paths, and what they do.
const ENDPOINTS: [(&str, Endpoint); 13] = [
    ("/live", Endpoint::Query(Query::Live)),
    ("/ready", Endpoint::Query(Query::Ready)),
    ("/status", Endpoint::Query(Query::Status)),
    ("/config", Endpoint::Query(Query::Config)),
    ("/nodes", Endpoint::Query(Query::Nodes)),
    ("/route", Endpoint::Query(Query::Route)),
    ("/metrics", Endpoint::Query(Query::Metrics)),
    ("/overview", Endpoint::Query(Query::Overview)),
    ("/overview/stream", Endpoint::Query(Query::OverviewStream)),
    ("/history", Endpoint::Query(Query::History)),
    ("/reload", Endpoint::Command(Command::Reload)),
    ("/nodes/{name}/drain", Endpoint::Command(Command::Node(NodeCommand::Drain))),
    ("/nodes/{name}/undrain", Endpoint::Command(Command::Node(NodeCommand::Undrain))),
];

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
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Command {
    Reload,
    Node(NodeCommand),
}

impl Endpoint {
    /// The endpoint at `path`, and the node's name in it, which is empty if the endpoint has none.
    fn find(path: &str) -> Option<(Self, &str)> {
        ENDPOINTS.into_iter().find_map(|(pattern, endpoint)| {
            let name = match pattern.split_once(NAME) {
                None => (path == pattern).then_some("")?,
                Some((before, behind)) => path.strip_prefix(before)?.strip_suffix(behind)?,
            };
            Some((endpoint, name))
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
    let path = head.uri.path();
    if let Some(file) = page::find(path) {
        return file.answer(&head.method, &head.headers);
    }
    let Some((endpoint, name)) = Endpoint::find(path) else {
        let paths = ENDPOINTS.map(|(path, _)| path.to_owned()).into();
        let refusal = Refusal::new("there is no such endpoint");
        return json(StatusCode::NOT_FOUND, &Refusal { endpoints: Some(paths), ..refusal });
    };
    if !endpoint.takes(&head.method) {
        let sentence = format!("{path} takes {}", endpoint.methods());
        let mut answer = refuse(StatusCode::METHOD_NOT_ALLOWED, sentence);
        answer.headers_mut().insert(ALLOW, HeaderValue::from_static(endpoint.methods()));
        return answer;
    }
    match endpoint {
        Endpoint::Query(query) => answer_query(state, query, head.uri.query()),
        Endpoint::Command(_) if !is_command_ours(&head.headers) => {
            refuse(StatusCode::FORBIDDEN, "a command from a web page is refused")
        }
        Endpoint::Command(Command::Reload) => reload(state).await,
        Endpoint::Command(Command::Node(command)) => run_command(state, command, name),
    }
}

fn answer_query(state: &AdminState, query: Query, parameters: Option<&str>) -> Answer {
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
    }
}

/// Whether the request's `Host` is an IP address or `localhost`, with any port.
fn is_host_local(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(HOST).and_then(|host| host.to_str().ok()) else { return false };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        Some(_) | None => host,
    };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok()
}

/// Whether a command comes from a program, or from our own page. A browser says in `Origin` which page
/// sends it. No other site's page can send a field of its own choice: its browser would ask us for leave
/// first, and we give none.
fn is_command_ours(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(ORIGIN) else { return true };
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    let is_own = origin.is_some_and(|(_, origin)| host.is_some_and(|host| host == origin));
    is_own && headers.contains_key(page::OWN_FIELD)
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

/// OpenMetrics 1.0, which Prometheus reads since 2.5.
const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A reload reads one file and binds some addresses.
const RELOAD_TIMEOUT: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_comes_from_a_program_or_from_our_own_page() {
        let check = |origin: Option<&str>, field: bool, expected: bool| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_static("127.0.0.1:9090"));
            if let Some(origin) = origin {
                headers.insert(ORIGIN, HeaderValue::from_str(origin).unwrap());
            }
            if field {
                headers.insert(page::OWN_FIELD, HeaderValue::from_static("1"));
            }
            assert_eq!(is_command_ours(&headers), expected, "{origin:?} {field}");
        };
        check(None, false, true);
        check(Some("http://127.0.0.1:9090"), true, true);
        check(Some("http://127.0.0.1:9090"), false, false);
        for foreign in ["http://127.0.0.1", "http://evil.example", "null", "127.0.0.1:9090", ""] {
            check(Some(foreign), true, false);
        }
    }

    #[test]
    fn only_an_address_or_localhost_is_local() {
        let check = |host: &str, expected: bool| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_str(host).unwrap());
            assert_eq!(is_host_local(&headers), expected, "{host}");
        };
        for host in ["127.0.0.1:9090", "127.0.0.1", "localhost:1", "LocalHost", "[::1]:9090"] {
            check(host, true);
        }
        check("[::1]", true);
        for host in ["evil.example:9090", "127.0.0.1.evil.example", "localhost.evil", "", ":9090"] {
            check(host, false);
        }
        assert!(!is_host_local(&HeaderMap::new()));
    }
}
