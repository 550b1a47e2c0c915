//! Which endpoint a request means, and what it gets.
//!
//! A browser that is shown a stranger's page may be led here, by a plain form or by a name that
//! was made to point to this machine. So an order with an `Origin` is refused, for only browsers
//! send one; and on a loopback address every request must name an IP address or `localhost`, for
//! only such a page would come by another name.
//!
//! Runs at start, at reload, or on a timer.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, ORIGIN};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::metrics_page::metrics_page;
use super::order::{self, Order};
use super::readiness::{Question, ready};
use super::site::Site;
use super::views;
use crate::Instant;
use crate::config::Change;
use crate::reload::ReloadError;

type Answer = Response<Full<Bytes>>;

/// What there is, with the method that it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Endpoint {
    Live,
    Ready,
    Status,
    Config,
    Nodes,
    Metrics,
    Reload,
    Drain,
    Undrain,
}

impl Endpoint {
    const ALL: [Self; 9] = [
        Self::Live,
        Self::Ready,
        Self::Status,
        Self::Config,
        Self::Nodes,
        Self::Metrics,
        Self::Reload,
        Self::Drain,
        Self::Undrain,
    ];

    /// The endpoint at `path`, and the name in it, if there is to be one.
    fn at(path: &str) -> Option<(Self, &str)> {
        Self::ALL.into_iter().find_map(|endpoint| Some((endpoint, endpoint.name_in(path)?)))
    }

    fn name_in(self, path: &str) -> Option<&str> {
        match self.path().split_once(NAME) {
            None => (path == self.path()).then_some(""),
            Some((before, behind)) => path.strip_prefix(before)?.strip_suffix(behind),
        }
    }

    fn path(self) -> &'static str {
        match self {
            Self::Live => "/live",
            Self::Ready => "/ready",
            Self::Status => "/status",
            Self::Config => "/config",
            Self::Nodes => "/nodes",
            Self::Metrics => "/metrics",
            Self::Reload => "/reload",
            Self::Drain => "/nodes/{name}/drain",
            Self::Undrain => "/nodes/{name}/undrain",
        }
    }

    fn takes(self, method: &Method) -> bool {
        match self {
            Self::Live
            | Self::Ready
            | Self::Status
            | Self::Config
            | Self::Nodes
            | Self::Metrics => *method == Method::GET || *method == Method::HEAD,
            Self::Reload | Self::Drain | Self::Undrain => *method == Method::POST,
        }
    }

    fn methods(self) -> &'static str {
        if self.takes(&Method::POST) { "POST" } else { "GET, HEAD" }
    }
}

/// The answer to the request with this head, which came to a listener bound to `bind`.
pub(super) async fn answer(site: &Site, bind: SocketAddr, head: &Parts) -> Answer {
    if bind.ip().is_loopback() && !is_host_local(&head.headers) {
        return refuse(StatusCode::FORBIDDEN, "name this machine by its IP address or localhost");
    }
    let path = head.uri.path();
    let Some((endpoint, name)) = Endpoint::at(path) else {
        let paths = Endpoint::ALL.map(Endpoint::path);
        let body = json!({ "error": "there is no such endpoint", "endpoints": paths });
        return json_answer(StatusCode::NOT_FOUND, &body);
    };
    if !endpoint.takes(&head.method) {
        let sentence = format!("{path} takes {}", endpoint.methods());
        let mut answer = refuse(StatusCode::METHOD_NOT_ALLOWED, &sentence);
        answer.headers_mut().insert(ALLOW, HeaderValue::from_static(endpoint.methods()));
        return answer;
    }
    if endpoint.takes(&Method::POST) && head.headers.contains_key(ORIGIN) {
        return refuse(StatusCode::FORBIDDEN, "an order from a web page is not taken");
    }
    match endpoint {
        Endpoint::Live => json_answer(StatusCode::OK, &json!({ "live": true })),
        Endpoint::Ready => {
            let ready = ready(site, Question::of_query(head.uri.query()));
            let status = match ready.is_ready() {
                true => StatusCode::OK,
                false => StatusCode::SERVICE_UNAVAILABLE,
            };
            json_answer(status, &ready.show())
        }
        Endpoint::Status => json_answer(StatusCode::OK, &views::status(site)),
        Endpoint::Config => config(site, head.uri.query()),
        Endpoint::Nodes => json_answer(StatusCode::OK, &views::nodes(&site.current.load())),
        Endpoint::Metrics => metrics(site),
        Endpoint::Reload => reload(site).await,
        Endpoint::Drain => drain(site, Order::Drain, name),
        Endpoint::Undrain => drain(site, Order::Undrain, name),
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

fn config(site: &Site, query: Option<&str>) -> Answer {
    let in_force = site.config.load();
    match query {
        None | Some("format=json") => match views::config(&in_force) {
            Ok(shown) => json_answer(StatusCode::OK, &shown),
            Err(error) => refuse(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        },
        Some("format=yaml") => match views::config_as_yaml(&in_force) {
            Ok(text) => text_answer(StatusCode::OK, "application/yaml", text),
            Err(error) => refuse(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        },
        Some(_) => refuse(StatusCode::BAD_REQUEST, "write ?format=json or ?format=yaml"),
    }
}

fn metrics(site: &Site) -> Answer {
    match metrics_page(site) {
        Ok(page) => text_answer(StatusCode::OK, METRICS_TYPE, page),
        Err(error) => refuse(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

fn drain(site: &Site, order: Order, name: &str) -> Answer {
    let (status, body) = order::give(order, &site.current.load(), name, Instant::now());
    json_answer(status, &body)
}

async fn reload(site: &Site) -> Answer {
    let Some(reloader) = &site.reloader else {
        let sentence = "this server has no file that it could read anew";
        return refuse(StatusCode::NOT_IMPLEMENTED, sentence);
    };
    let failure = match timeout(RELOAD_TIMEOUT, reloader.reload()).await {
        Ok(Ok(changes)) => {
            let changes: Vec<String> = changes.iter().map(Change::to_string).collect();
            let body = json!({ "reloaded": true, "changes": changes });
            return json_answer(StatusCode::OK, &body);
        }
        Ok(Err(failure)) => failure,
        Err(_) => {
            let sentence = "the reload takes long; the log will tell what came of it";
            return refuse(StatusCode::GATEWAY_TIMEOUT, sentence);
        }
    };
    let status = match &*failure {
        ReloadError::Problems(_) => StatusCode::UNPROCESSABLE_ENTITY,
        ReloadError::Bind(_) | ReloadError::TagClash(_) => StatusCode::CONFLICT,
        ReloadError::Broken(_) => StatusCode::INTERNAL_SERVER_ERROR,
        ReloadError::ReadOnce => StatusCode::NOT_IMPLEMENTED,
        ReloadError::Stopping => StatusCode::SERVICE_UNAVAILABLE,
    };
    json_answer(status, &views::reload_failure(&failure))
}

fn refuse(status: StatusCode, sentence: &str) -> Answer {
    json_answer(status, &json!({ "error": sentence }))
}

fn json_answer(status: StatusCode, body: &Value) -> Answer {
    text_answer(status, "application/json", format!("{body:#}\n"))
}

fn text_answer(status: StatusCode, content_type: &'static str, body: String) -> Answer {
    let mut answer = Response::new(Full::from(body));
    *answer.status_mut() = status;
    let fields = answer.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// Stands in a path for a node's name.
const NAME: &str = "{name}";

/// OpenMetrics 1.0, which Prometheus reads since 2.5.
const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A reload reads one file and binds some addresses.
const RELOAD_TIMEOUT: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

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
