//! An `upstream` and its servers.
//!
//! Pure. Runs at start, at reload, or on a timer.

use super::super::tree::{Directive, Position};

/// An `upstream`.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// Its name.
    pub name: String,
    /// Its servers, in the order of the file.
    pub servers: Vec<UpstreamServer>,
    /// How a server is chosen.
    pub method: Method,
    /// All its directives but `server`.
    pub directives: Vec<Directive>,
    /// Where it is written.
    pub at: Position,
}

/// One `server` of an `upstream`.
#[derive(Clone, Debug)]
pub struct UpstreamServer {
    /// `10.0.0.1:3000`, `app:3000` or `unix:/run/app.sock`, as it is written.
    pub address: String,
    /// Its share.
    pub weight: u32,
    /// Whether it is used only if no other is left.
    pub is_backup: bool,
    /// Whether it is not used.
    pub is_down: bool,
    /// Whether its name is looked up again and again.
    pub is_resolved: bool,
    /// The directive.
    pub directive: Directive,
}

/// How a server is chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Method {
    /// One after the other.
    RoundRobin,
    /// The one with the fewest connections.
    LeastConnections,
    /// One of two, or any.
    Random,
    /// By the client's address.
    IpHash,
    /// By the text that is written behind `hash`.
    Hash(String),
    /// By a cookie of this name that nginx sets.
    StickyCookie(String),
    /// `sticky` with another method.
    StickyOther,
}

impl Upstream {
    pub(super) fn parse(directive: &Directive) -> Option<Self> {
        let name = directive.argument(0)?.to_owned();
        let (servers, directives): (Vec<_>, Vec<_>) =
            directive.children().iter().cloned().partition(|it| it.name == "server");
        let servers = servers.into_iter().filter_map(UpstreamServer::parse).collect();
        let method = method(&directives);
        Some(Self { name, servers, method, directives, at: directive.at.clone() })
    }

    /// Whether a client's requests come back to its server.
    pub fn is_sticky(&self) -> bool {
        !matches!(self.method, Method::RoundRobin | Method::LeastConnections | Method::Random)
    }
}

impl UpstreamServer {
    fn parse(directive: Directive) -> Option<Self> {
        let address = directive.argument(0)?.to_owned();
        let has = |word: &str| directive.texts().skip(1).any(|text| text == word);
        let weight = directive.texts().find_map(|text| text.strip_prefix("weight=")?.parse().ok());
        Some(Self {
            address,
            weight: weight.unwrap_or(1),
            is_backup: has("backup"),
            is_down: has("down"),
            is_resolved: has("resolve"),
            directive,
        })
    }

    /// The value of the parameter `name`: `3` of `max_fails=3`.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.directive.texts().find_map(|text| text.strip_prefix(name)?.strip_prefix('='))
    }
}

fn method(directives: &[Directive]) -> Method {
    let mut method = Method::RoundRobin;
    for directive in directives {
        method = match (&*directive.name, directive.argument(0)) {
            ("ip_hash", _) => Method::IpHash,
            ("hash", Some(key)) => Method::Hash(key.to_owned()),
            ("sticky", Some("cookie")) => {
                Method::StickyCookie(directive.argument(1).unwrap_or("srv_id").to_owned())
            }
            ("sticky", Some("learn" | "route")) => Method::StickyOther,
            // The module of that name: `sticky name=x expires=1h`.
            ("sticky", _) => {
                let name = directive.texts().find_map(|text| text.strip_prefix("name="));
                Method::StickyCookie(name.unwrap_or("route").to_owned())
            }
            ("least_conn" | "least_time", _) if method == Method::RoundRobin => {
                Method::LeastConnections
            }
            ("random", _) => Method::Random,
            _ => continue,
        };
    }
    method
}
