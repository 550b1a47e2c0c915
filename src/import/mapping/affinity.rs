//! How nginx chooses a server, as `affinity` and `balance` of an upstream.
//!
//! Pure. Runs at start, at reload, or on a timer.

use super::Mapper;
use super::fields::{from, is_token};
use super::yaml::{Entry, Yaml};
use crate::nginx::Directive;
use crate::nginx::{Method, Upstream};

impl<'m> Mapper<'m> {
    /// `affinity` or `balance`, if it is not the default. `has_engineio`: Socket.IO uses the upstream.
    pub(super) fn affinity(&mut self, upstream: &'m Upstream, has_engineio: bool) -> Option<Entry> {
        let find = |wanted: &str| upstream.directives.iter().find(|it| it.name == wanted);
        let (directive, affinity) = match &upstream.method {
            Method::RoundRobin | Method::LeastConnections => return None,
            Method::Random => {
                let directive = find("random")?;
                return Some(Entry::new("balance", Yaml::plain("random-two"), from(directive)));
            }
            Method::IpHash => (find("ip_hash")?, rendezvous(Yaml::plain("address"))),
            Method::StickyCookie(cookie) => {
                (find("sticky")?, map("cookie", map("name", Yaml::text(cookie))))
            }
            Method::StickyOther => {
                let what = "sessions are found by their id (affinity: sid), which needs no cookie";
                let remedy = "for other applications write affinity: cookie";
                self.ledger.note("sticky", find("sticky")?, what, remedy);
                return None;
            }
            Method::Hash(key) => {
                let directive = find("hash")?;
                (directive, rendezvous(self.hash_key(directive, key)?))
            }
        };
        // A property of the application is kept: it may be a room, which has to be on one node.
        let is_by_client = match &upstream.method {
            Method::Hash(key) => is_address(key),
            _ => true,
        };
        if has_engineio && is_by_client {
            let what = "sessions of Socket.IO are found by their id (affinity: sid, the default)";
            self.ledger.note("affinity-sid", directive, what, "");
            return None;
        }
        if upstream.servers.len() < 2 {
            return None;
        }
        let remedy = "if only Socket.IO uses these nodes, leave affinity out: sessions are then found by their id";
        self.ledger.note("affinity", directive, "kept as it is", remedy);
        Some(Entry::new("affinity", affinity, from(directive)))
    }

    /// What `hash` chooses by, in our form.
    fn hash_key(&mut self, directive: &Directive, key: &str) -> Option<Yaml> {
        if is_address(key) {
            return Some(Yaml::plain("address"));
        }
        if key == "$arg_sid" {
            let what =
                "the request that opens a session has no sid yet; affinity: sid finds its node";
            self.ledger.note("hash-sid", directive, what, "");
            return None;
        }
        let kinds = [("$arg_", "query"), ("$cookie_", "cookie"), ("$http_", "header")];
        let found = kinds.into_iter().find_map(|(start, kind)| {
            let name = key.strip_prefix(start).filter(|it| is_token(it))?;
            let name = if kind == "header" { name.replace('_', "-") } else { name.to_owned() };
            Some(map(kind, Yaml::text(name)))
        });
        if found.is_none() {
            let why = "nodes cannot be chosen by it";
            let remedy = "see affinity and balance of the upstream";
            self.ledger.by_hand("hash", directive, why, remedy);
        }
        found
    }
}

/// Whether the text behind `hash` is the client's address.
fn is_address(key: &str) -> bool {
    matches!(
        key,
        "$remote_addr" | "$binary_remote_addr" | "$http_x_forwarded_for" | "$http_x_real_ip"
    )
}

fn rendezvous(by: Yaml) -> Yaml {
    map("rendezvous", map("by", by))
}

fn map(key: &str, value: Yaml) -> Yaml {
    Yaml::Map(vec![Entry::new(key, value, "")])
}
