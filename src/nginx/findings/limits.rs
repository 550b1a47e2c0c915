//! Mistakes in times, sizes and rates.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::time::Duration;

use super::Found;
use super::route::{Route, Serves};
use crate::nginx::finding::Level;
use crate::nginx::model::{size, time};

pub(super) fn look(routes: &[Route<'_>], found: &mut Found) {
    for route in routes.iter().filter(|route| route.is_realtime() && route.pass.is_some()) {
        silence(route, found);
        rates(route, found);
        if route.serves != Serves::WebSocket {
            body(route, found);
        }
        if route.serves == Serves::EngineIo {
            polls(route, found);
        }
    }
}

/// How long a node may be silent.
fn silence(route: &Route<'_>, found: &mut Found) {
    let directive = route.model.effective(route.level(), "proxy_read_timeout");
    let written = directive.and_then(|it| time(it.argument(0)?));
    let (at, timeout) = match (directive, written) {
        (Some(directive), Some(timeout)) => (&directive.at, timeout),
        // A placeholder.
        (Some(_), None) => return,
        (None, _) => (route.at(), DEFAULT_TIMEOUT),
    };
    let shown = directive.map_or_else(|| "no proxy_read_timeout".to_owned(), |it| it.shown());
    let what = format!("{}: {shown}", route.location.shown);
    if route.serves == Serves::EngineIo && timeout <= PING_INTERVAL {
        found.add("timeout-under-ping", at, what);
    } else if timeout < DEFAULT_TIMEOUT && route.serves != Serves::EngineIo {
        found.add_as(Level::BreaksWhen, "timeout-under-ping", at, what);
    } else if timeout <= DEFAULT_TIMEOUT {
        // Action Cable and SignalR have heartbeats of a few seconds.
        let has_heartbeat =
            ["cable", "hub"].iter().any(|name| route.location.pattern.contains(name));
        let is_cut = route.serves == Serves::WebSocket && !has_heartbeat;
        let level = if is_cut { Level::BreaksWhen } else { Level::Hint };
        found.add_as(level, "idle-60s", at, what);
    }
}

fn rates(route: &Route<'_>, found: &mut Found) {
    if let Some(limit) = route
        .model
        .effective(route.level(), "limit_req")
        .filter(|_| route.serves != Serves::WebSocket)
    {
        found.add("polls-limited", &limit.at, limit.shown());
    }
    if let Some(limit) = route.model.effective(route.level(), "limit_conn") {
        found.add("connections-limited", &limit.at, limit.shown());
    }
}

fn body(route: &Route<'_>, found: &mut Found) {
    let Some(directive) = route.model.effective(route.level(), "client_max_body_size") else {
        return;
    };
    let is_small = directive
        .argument(0)
        .and_then(size)
        .is_some_and(|bytes| bytes > 0 && bytes < MESSAGE_BYTES_MAX);
    if is_small {
        found.add("body-limit", &directive.at, directive.shown());
    }
}

fn polls(route: &Route<'_>, found: &mut Found) {
    if route.setting("proxy_buffering") != Some("off") {
        found.add(
            "poll-buffering",
            route.at(),
            format!("{}: no proxy_buffering off", route.location.shown),
        );
    }
    if let Some(cache) = route
        .model
        .effective(route.level(), "proxy_cache")
        .filter(|it| it.argument(0) != Some("off"))
    {
        found.add("polls-cached", &cache.at, cache.shown());
    }
}

/// Of nginx.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);
/// Of Engine.IO 4; a poll is pending as long.
const PING_INTERVAL: Duration = Duration::from_secs(25);
/// `maxHttpBufferSize` of Engine.IO.
const MESSAGE_BYTES_MAX: u64 = 1_000_000;
