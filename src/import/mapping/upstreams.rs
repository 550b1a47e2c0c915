//! Upstreams and targets of `proxy_pass` as our upstreams.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::net::IpAddr;
use std::time::Duration;

use super::Mapper;
use super::fields::from;
use super::target::Proxied;
use super::yaml::{Entry, Yaml};
use crate::nginx::Directive;
use crate::nginx::{LevelId, Upstream, UpstreamServer, time};

/// An upstream of the new file.
#[derive(Debug)]
pub(super) struct UpstreamDraft<'m> {
    pub(super) name: String,
    /// The name of the upstream, or the address, in `proxy_pass`.
    source: String,
    is_tls: bool,
    is_looked_up: bool,
    connect_timeout: Option<String>,
    /// Of the first location that uses it.
    level: LevelId,
    directive: &'m Directive,
    /// Whether a location of Socket.IO uses it.
    pub(super) has_engineio: bool,
}

impl<'m> Mapper<'m> {
    /// The name of the upstream for `proxied`.
    pub(super) fn upstream(&mut self, proxied: &Proxied<'m>, is_engineio: bool) -> String {
        let is_named = self.model.upstream(&proxied.passed.authority).is_some();
        let source =
            if is_named { proxied.passed.authority.clone() } else { proxied.passed.address() };
        let (is_tls, is_looked_up) = (proxied.passed.is_tls, proxied.is_looked_up && !is_named);
        let timeout = self.model.effective(proxied.level, "proxy_connect_timeout");
        if let Some(timeout) = timeout {
            self.ledger.carried(timeout);
        }
        let connect_timeout = timeout.and_then(|it| time(it.argument(0)?));
        let (least, most) = (Duration::from_millis(100), Duration::from_mins(1));
        let connect_timeout = connect_timeout.map(|it| super::limits::shown(it.clamp(least, most)));
        let found = self.upstreams.iter_mut().find(|it| {
            it.source == source
                && it.is_tls == is_tls
                && it.is_looked_up == is_looked_up
                && it.connect_timeout == connect_timeout
        });
        if let Some(found) = found {
            found.has_engineio |= is_engineio;
            return found.name.clone();
        }
        let name = self.free_name(&source);
        self.upstreams.push(UpstreamDraft {
            name: name.clone(),
            source,
            is_tls,
            is_looked_up,
            connect_timeout,
            level: proxied.level,
            directive: proxied.directive,
            has_engineio: is_engineio,
        });
        name
    }

    /// A name of ours for `source` that no other upstream has.
    fn free_name(&self, source: &str) -> String {
        let is_byte = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_' || c == '.';
        let plain: String =
            source.chars().map(|c| if is_byte(c) { c } else { '-' }).take(50).collect();
        let plain = plain.replace("--", "-");
        let plain = plain.trim_matches('-').trim_start_matches("unix-").to_owned();
        let plain = if plain.is_empty() { "nodes".to_owned() } else { plain };
        let is_free = |name: &String| self.upstreams.iter().all(|it| &it.name != name);
        let numbered = (2..).map(|number| format!("{plain}-{number}"));
        std::iter::once(plain.clone()).chain(numbered).find(is_free).unwrap_or(plain)
    }

    /// The section `upstreams`.
    pub(super) fn upstream_entries(&mut self) -> Vec<Entry> {
        let drafts = std::mem::take(&mut self.upstreams);
        drafts.iter().map(|draft| self.upstream_entry(draft)).collect()
    }

    fn upstream_entry(&mut self, draft: &UpstreamDraft<'m>) -> Entry {
        let mut keys = match self.model.upstream(&draft.source) {
            Some(upstream) => self.of_upstream(draft, upstream),
            None => self.of_address(draft),
        };
        keys.extend(self.tls(draft));
        if let Some(timeout) = &draft.connect_timeout {
            keys.push(Entry::new("connect_timeout", Yaml::text(timeout), "proxy_connect_timeout"));
        }
        let comment = match self.model.upstream(&draft.source) {
            Some(upstream) => format!("{} upstream {}", upstream.at, upstream.name),
            None => from(draft.directive),
        };
        Entry::new(&draft.name, Yaml::Map(keys), comment)
    }

    fn of_address(&mut self, draft: &UpstreamDraft<'m>) -> Vec<Entry> {
        let address = node_address(&draft.source);
        if draft.is_looked_up
            && let Some(discover) = self.discover(draft.level, &address)
        {
            return vec![discover];
        }
        vec![Entry::new("nodes", Yaml::texts([&*address]), from(draft.directive))]
    }

    fn of_upstream(&mut self, draft: &UpstreamDraft<'m>, upstream: &'m Upstream) -> Vec<Entry> {
        for directive in &upstream.directives {
            if matches!(
                &*directive.name,
                "ip_hash" | "hash" | "least_conn" | "random" | "sticky" | "resolver"
            ) {
                self.ledger.carried(directive);
            }
        }
        let mut keys = Vec::new();
        if let [server] = &upstream.servers[..]
            && server.is_resolved
            && let Some(discover) =
                self.discover(draft.level, &node_address(&with_port(server, draft.is_tls)))
        {
            self.ledger.carried(&server.directive);
            keys.push(discover);
        } else {
            keys.push(Entry::new("nodes", self.nodes(draft, upstream), ""));
        }
        keys.extend(self.affinity(upstream, draft.has_engineio));
        let slow = upstream.servers.iter().find_map(|server| time(server.parameter("slow_start")?));
        let (least, most) = (Duration::from_secs(1), Duration::from_hours(1));
        if let Some(slow) = slow.map(|it| it.clamp(least, most)) {
            keys.push(Entry::new(
                "slow_start",
                Yaml::text(super::limits::shown(slow)),
                "slow_start",
            ));
        }
        let most: Vec<Option<&str>> =
            upstream.servers.iter().map(|it| it.parameter("max_conns")).collect();
        if let Some(Some(first)) = most.first()
            && first.parse::<u32>().is_ok_and(|it| (1..=1_000_000).contains(&it))
            && most.iter().all(|it| *it == Some(*first))
        {
            keys.push(Entry::new("max_connections", Yaml::plain(first), "max_conns"));
        } else if let Some(server) =
            upstream.servers.iter().find(|it| it.parameter("max_conns").is_some())
        {
            let why = "max_conns differs between the servers";
            self.ledger.by_hand(
                "max-conns",
                &server.directive,
                why,
                "write max_connections of the upstream",
            );
        }
        keys
    }

    fn nodes(&mut self, draft: &UpstreamDraft<'m>, upstream: &'m Upstream) -> Yaml {
        let mut nodes: Vec<(String, u32, Vec<Entry>, String)> = Vec::new();
        let has_main = upstream.servers.iter().any(|server| !server.is_backup);
        for server in &upstream.servers {
            self.ledger.carried(&server.directive);
            let address = node_address(&with_port(server, draft.is_tls));
            if let Some((_, weight, ..)) = nodes.iter_mut().find(|(other, ..)| *other == address) {
                *weight += server.weight;
                continue;
            }
            let mut keys = Vec::new();
            if server.is_down {
                keys.push(Entry::new("drain", Yaml::plain(true), "down"));
            }
            if server.is_backup && has_main {
                keys.push(Entry::new("backup", Yaml::plain(true), ""));
            }
            if server.parameter("max_fails").is_some() || server.parameter("fail_timeout").is_some()
            {
                let why = "a node that refuses connections gets no new sessions for 1 to 10 s, and each is checked every 2 s";
                self.ledger.note("max-fails", &server.directive, why, "");
            }
            nodes.push((address, server.weight, keys, server.directive.at.to_string()));
        }
        let node = |(address, weight, keys, at): (String, u32, Vec<Entry>, String)| {
            let weight = weight.clamp(1, 1000);
            let mut all = vec![Entry::new("address", Yaml::text(address), at)];
            if weight > 1 {
                all.push(Entry::new("weight", Yaml::plain(weight), ""));
            }
            all.extend(keys);
            Yaml::Map(all)
        };
        if nodes.is_empty() {
            let at = &upstream.directives;
            if let Some(directive) = at.first() {
                self.ledger.by_hand(
                    "no-server",
                    directive,
                    "the upstream has no server",
                    "write its nodes",
                );
            }
            return Yaml::texts(["127.0.0.1:3000"]);
        }
        if nodes.iter().all(|(_, weight, keys, _)| *weight == 1 && keys.is_empty()) {
            return Yaml::texts(nodes.iter().map(|(address, ..)| &**address));
        }
        Yaml::List(nodes.into_iter().map(node).collect())
    }

    /// `discover` for a name that is looked up again and again.
    fn discover(&mut self, level: LevelId, address: &str) -> Option<Entry> {
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        if host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
            || address.starts_with("unix:")
            || host == "localhost"
        {
            return None;
        }
        let mut keys = vec![Entry::new("dns", Yaml::text(address), "")];
        if let Some(resolver) = self.model.effective(level, "resolver") {
            self.ledger.carried(resolver);
            let server = resolver.argument(0).unwrap_or_default();
            let server = match server.parse::<IpAddr>() {
                Ok(IpAddr::V4(address)) => Some(format!("{address}:53")),
                Ok(IpAddr::V6(address)) => Some(format!("[{address}]:53")),
                Err(_) => server.parse::<std::net::SocketAddr>().ok().map(|it| it.to_string()),
            };
            let from = from(resolver);
            if let Some(server) = server {
                keys.push(Entry::new("server", Yaml::text(server), from.clone()));
            }
            let valid = resolver.texts().find_map(|text| time(text.strip_prefix("valid=")?));
            let (least, most) = (Duration::from_secs(1), Duration::from_hours(1));
            if let Some(valid) = valid.map(|it| it.clamp(least, most)) {
                keys.push(Entry::new("every", Yaml::text(super::limits::shown(valid)), from));
            }
        }
        Some(Entry::new("discover", Yaml::Map(keys), ""))
    }

    /// `tls` of nodes that are spoken to by https.
    fn tls(&mut self, draft: &UpstreamDraft<'m>) -> Option<Entry> {
        if !draft.is_tls || draft.source.starts_with("unix:") {
            return None;
        }
        let model = self.model;
        let mut keys = Vec::new();
        let mut take = |name: &str| {
            let directive = model.effective(draft.level, name)?;
            self.ledger.carried(directive);
            let value = model.fold(draft.level, directive.argument(0)?);
            (!value.contains('$')).then_some((value, from(directive)))
        };
        let (sni, name, ca) = (
            take("proxy_ssl_server_name"),
            take("proxy_ssl_name"),
            take("proxy_ssl_trusted_certificate"),
        );
        let verify = take("proxy_ssl_verify").filter(|(value, _)| value == "on");
        let client = take("proxy_ssl_certificate").zip(take("proxy_ssl_certificate_key"));
        match (verify, ca) {
            (Some(_), Some((ca, from))) => {
                keys.push(Entry::new("ca", Yaml::text(absolute(&ca)), from))
            }
            (Some(_), None) => (),
            (None, _) => {
                let what =
                    "nginx does not verify the certificates of nodes; verify: off says the same";
                self.ledger.note(
                    "node-certificates",
                    draft.directive,
                    what,
                    "write tls: { ca: ... }, so that nobody can pose as a node",
                );
                keys.push(Entry::new("verify", Yaml::plain("off"), ""));
            }
        }
        let host = draft.source.rsplit_once(':').map_or(&*draft.source, |(host, _)| host);
        if let Some((name, from)) = name.filter(|(name, _)| name != host) {
            keys.push(Entry::new("server_name", Yaml::text(name), from));
        } else if sni.is_some() {
            // The name of the node is asked for in any case.
        }
        if let Some(((chain, from), (key, _))) = client {
            let files = vec![
                Entry::new("chain", Yaml::text(absolute(&chain)), from),
                Entry::new("key", Yaml::text(absolute(&key)), ""),
            ];
            keys.push(Entry::new("client_certificate", Yaml::Map(files), ""));
        }
        Some(match keys.is_empty() {
            true => Entry::new("tls", Yaml::plain("on"), ""),
            false => Entry::new("tls", Yaml::Map(keys), ""),
        })
    }
}

/// A file that nginx looks for in its own directory.
pub(super) fn absolute(path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("/etc/nginx/{path}") }
}

fn with_port(server: &UpstreamServer, is_tls: bool) -> String {
    let passed = super::proxied::Passed { is_tls, authority: server.address.clone(), uri: None };
    // In an upstream, the port is 80 also for https.
    match passed.address() {
        address if is_tls && address.ends_with(":443") && !server.address.ends_with(":443") => {
            format!("{}:80", server.address)
        }
        address => address,
    }
}

/// An address as nodes are written: names in lower case.
fn node_address(address: &str) -> String {
    match address.strip_prefix("unix:") {
        // Of several slashes at its beginning, one is enough.
        Some(path) if path.starts_with("//") => format!("unix:/{}", path.trim_start_matches('/')),
        Some(_) => address.to_owned(),
        None => address.to_ascii_lowercase(),
    }
}
