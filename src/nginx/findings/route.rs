//! What passes requests on, and what nodes see of them.
//!
//! Pure. Runs at start, at reload, or on a timer.

use crate::nginx::model::{LevelId, Location, LocationKind, Model, Part, PathRegex, Server, parts};
use crate::nginx::tree::{Directive, Position};

/// A location, in its server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Route<'m> {
    pub(super) model: &'m Model,
    pub(super) server: &'m Server,
    pub(super) location: &'m Location,
    /// Its `proxy_pass`.
    pub(super) pass: Option<&'m Directive>,
    pub(super) serves: Serves,
}

/// What requests a location is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Serves {
    /// Its path, or one that leads to it, is that of Socket.IO.
    EngineIo,
    /// Its path is one of WebSockets.
    WebSocket,
    /// It passes upgrades on, or means to.
    Any,
    Other,
}

/// A request that a value is looked at for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    Plain,
    WebSocket,
}

/// All locations.
pub(super) fn routes(model: &Model) -> Vec<Route<'_>> {
    let mut routes = Vec::new();
    for server in &model.servers {
        for location in server.all_locations() {
            let pass = model.own(location.level).iter().find(|it| it.name == "proxy_pass");
            let mut route = Route { model, server, location, pass, serves: Serves::Other };
            route.serves = route.serves();
            routes.push(route);
        }
    }
    routes
}

impl<'m> Route<'m> {
    fn serves(&self) -> Serves {
        let named = match self.location.kind {
            LocationKind::Named => self.jumping(),
            _ => vec![self.location],
        };
        if named.iter().any(|location| location.is_engineio()) {
            return Serves::EngineIo;
        }
        if named.iter().any(|location| is_websocket_path(&location.pattern)) {
            return Serves::WebSocket;
        }
        let means = |name: &str, value: &str| {
            name == "upgrade" && !value.is_empty()
                || name == "connection" && value.to_ascii_lowercase().contains("upgrade")
        };
        match self.sent().iter().any(|(name, value, _)| means(name, value)) {
            true => Serves::Any,
            false => Serves::Other,
        }
    }

    /// The locations that lead to this named one.
    fn jumping(&self) -> Vec<&'m Location> {
        let leads = |location: &&Location| {
            let own = self.model.own(location.level).iter();
            let mut jumps = own.filter(|it| matches!(&*it.name, "try_files" | "error_page"));
            jumps.any(|it| {
                it.arguments.last().is_some_and(|last| last.text == self.location.pattern)
            })
        };
        self.server.all_locations().into_iter().filter(leads).collect()
    }

    /// Its settings.
    pub(super) fn level(&self) -> LevelId {
        self.location.level
    }

    /// Where it is written.
    pub(super) fn at(&self) -> &'m Position {
        &self.location.at
    }

    /// Whether it is for Socket.IO or WebSockets.
    pub(super) fn is_realtime(&self) -> bool {
        self.serves != Serves::Other
    }

    /// What `proxy_set_header` sets: names in lower case, and values.
    pub(super) fn sent(&self) -> Vec<(String, &'m str, &'m Directive)> {
        let all = self.model.effective_all(self.level(), "proxy_set_header").into_iter();
        let named = all.filter_map(|it| {
            Some((it.argument(0)?.to_ascii_lowercase(), it.argument(1).unwrap_or_default(), it))
        });
        named.collect()
    }

    /// The directive that sets the field `name`.
    pub(super) fn sets(&self, name: &str) -> Option<&'m Directive> {
        self.sent().into_iter().find(|(field, ..)| field == name).map(|(.., directive)| directive)
    }

    /// What nodes get in the field `name` of a request; `None`: it depends on more.
    pub(super) fn value(&self, name: &str, ask: Ask) -> Option<String> {
        let mut value = String::new();
        for (field, text, _) in self.sent() {
            if field == name {
                // nginx does not send a field without a value.
                let next = evaluate(self.model, self.level(), text, (ask, 0))?;
                if !next.is_empty() {
                    value = next;
                }
            }
        }
        Some(value)
    }

    /// Whether handshakes arrive as such; `None`: it depends on more.
    pub(super) fn passes_upgrades(&self) -> Option<bool> {
        let upgrade = self.value("upgrade", Ask::WebSocket)?;
        let connection = self.value("connection", Ask::WebSocket)?;
        Some(upgrade.eq_ignore_ascii_case("websocket") && names_upgrade(&connection))
    }

    /// The first argument of the directive that holds here.
    pub(super) fn setting(&self, name: &str) -> Option<&'m str> {
        self.model.value(self.level(), name)
    }

    /// The target without its scheme: host, and the path if there is one.
    pub(super) fn target(&self) -> Option<(String, Option<String>)> {
        let text = self.model.fold(self.level(), self.pass?.argument(0)?);
        let (_, rest) = text.split_once("://")?;
        if rest.starts_with("unix:") {
            return Some((rest.to_owned(), None));
        }
        Some(match rest.find('/') {
            Some(at) => (rest.get(..at)?.to_owned(), Some(rest.get(at..)?.to_owned())),
            None => (rest.to_owned(), None),
        })
    }
}

/// Whether a value of `Connection` names `Upgrade`.
pub(super) fn names_upgrade(connection: &str) -> bool {
    connection.split(',').any(|token| token.trim().eq_ignore_ascii_case("upgrade"))
}

/// Whether a part of `path` is what WebSockets are usually called.
fn is_websocket_path(path: &str) -> bool {
    let is_separator = |c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_';
    path.to_ascii_lowercase().split(is_separator).any(|part| {
        WEBSOCKET_NAMES.contains(&part) || part.ends_with("hub") || part.ends_with("websocket")
    })
}

/// `text` as it is for a request; `None`: it depends on more than the upgrade.
fn evaluate(
    model: &Model,
    level: LevelId,
    text: &str,
    (ask, depth): (Ask, usize),
) -> Option<String> {
    if depth > DEPTH_MAX {
        return None;
    }
    let folded = model.fold(level, text);
    let mut value = String::new();
    for part in parts(&folded) {
        match part {
            Part::Text(text) => value.push_str(text),
            Part::Variable("http_upgrade") => {
                value.push_str(if ask == Ask::WebSocket { "websocket" } else { "" })
            }
            Part::Variable("http_connection") => {
                value.push_str(if ask == Ask::WebSocket { "Upgrade" } else { "keep-alive" });
            }
            Part::Variable(name) => {
                let map = model.map(name)?;
                let source = evaluate(model, level, &map.source, (ask, depth + 1))?;
                let is_match = |key: &str| match key.strip_prefix('~') {
                    Some(rest) => {
                        let (expression, ignore_case) = match rest.strip_prefix('*') {
                            Some(rest) => (rest, true),
                            None => (rest, false),
                        };
                        PathRegex::compile(expression, ignore_case)
                            .is_some_and(|regex| regex.is_match(&source))
                    }
                    None => key.trim_start_matches('\\').eq_ignore_ascii_case(&source),
                };
                let found =
                    map.entries.iter().find(|(key, _)| is_match(key)).map(|(_, value)| &**value);
                let found = found.or(map.default.as_deref()).unwrap_or_default();
                value.push_str(&evaluate(model, level, found, (ask, depth + 1))?);
            }
        }
        if value.len() > BYTES_MAX {
            return None;
        }
    }
    Some(value)
}

const WEBSOCKET_NAMES: [&str; 14] = [
    "ws",
    "wss",
    "websocket",
    "websockets",
    "cable",
    "hubs",
    "signalr",
    "_blazor",
    "sockjs",
    "sockjs-node",
    "socket",
    "sockets",
    "websockify",
    "wsproxy",
];
const DEPTH_MAX: usize = 6;
const BYTES_MAX: usize = 4096;
