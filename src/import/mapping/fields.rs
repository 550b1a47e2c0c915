//! `proxy_set_header` and `add_header` as fields of a route.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::collections::BTreeMap;

use super::Mapper;
use super::text::translate;
use super::yaml::{Entry, Yaml};
use crate::nginx::Directive;
use crate::nginx::{LevelId, Model, Server};

/// What a route changes in the fields of requests or responses.
#[derive(Debug, Default)]
struct Changes {
    set: Vec<Entry>,
    add: Vec<Entry>,
    remove: Vec<(String, String)>,
}

impl Changes {
    fn into_entry(self, key: &str) -> Option<Entry> {
        let mut entries = Vec::new();
        if !self.set.is_empty() {
            entries.push(Entry::new("set", Yaml::Map(self.set), ""));
        }
        if !self.add.is_empty() {
            entries.push(Entry::new("add", Yaml::Map(self.add), ""));
        }
        if !self.remove.is_empty() {
            let from: Vec<&str> = self.remove.iter().map(|(_, from)| &**from).collect();
            let names = Yaml::texts(self.remove.iter().map(|(name, _)| &**name));
            entries.push(Entry::new("remove", names, from.join(", ")));
        }
        (!entries.is_empty()).then(|| Entry::new(key, Yaml::Map(entries), ""))
    }
}

impl Mapper<'_> {
    /// `request_headers` for requests in `level` that go to `host`, as nginx names it.
    pub(super) fn request_headers(
        &mut self,
        server: &Server,
        level: LevelId,
        host: &str,
    ) -> Option<Entry> {
        let model = self.model;
        let mut changes = Changes::default();
        let mut names = BTreeMap::new();
        let mut has_host = false;
        for directive in model.effective_all(level, "proxy_set_header") {
            let [name, value] = [0, 1].map(|index| directive.argument(index).unwrap_or_default());
            let lower = name.to_ascii_lowercase();
            // What nginx sends if nothing is said.
            let is_own =
                matches!(value, "$proxy_host" | "${proxy_host}" | "$proxy_host:$proxy_port");
            has_host |= lower == "host" && !is_own;
            self.ledger.carried(directive);
            if names.insert(lower.clone(), ()).is_some()
                || lower == "host" && is_own
                || self.is_sent_anyway(server, (level, &lower), value)
            {
                continue;
            }
            self.request_field(server, (level, &lower, value), directive, &mut changes);
        }
        if !has_host {
            let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
            let is_name = name.contains('.') && name.parse::<std::net::IpAddr>().is_err();
            if is_name && model.upstream(host).is_none() && !host.starts_with("unix:") {
                let from = "nginx sends it if nothing else is said";
                changes.set.push(Entry::new("Host", Yaml::text(host), from));
            } else if let Some(pass) = model.own(level).iter().find(|it| it.name == "proxy_pass") {
                let what =
                    format!("nginx sends Host: {host}; Sockeye sends the Host of the client");
                let remedy =
                    "write request_headers: { set: { Host: ... } } if nodes need the other one";
                self.ledger.note("host", pass, &what, remedy);
            }
        }
        changes.into_entry("request_headers")
    }

    fn request_field(
        &mut self,
        server: &Server,
        (level, lower, value): (LevelId, &str, &str),
        directive: &Directive,
        changes: &mut Changes,
    ) {
        let name = directive.argument(0).unwrap_or_default();
        if !is_token(name)
            || is_of_connection(lower)
            || lower.starts_with("sec-websocket-") && lower != "sec-websocket-extensions"
        {
            let why = "Sockeye makes the fields of the connection itself";
            self.ledger.note("connection-field", directive, why, "");
            return;
        }
        let folded = self.model.fold(level, value);
        if folded.is_empty() && lower != "host" {
            changes.remove.push((name.to_owned(), directive.at.to_string()));
            return;
        }
        match translate(self.model, server, level, value) {
            Ok(text)
                if lower == "host"
                    && (text.contains("${header.") || text.contains("${cookie.")) =>
            {
                let why = "a field of the client decides the host, which Sockeye does not allow; the client's Host is sent";
                self.ledger.by_hand(
                    "host-of-client",
                    directive,
                    why,
                    "write request_headers: { set: { Host: ... } } with a fixed name",
                );
            }
            Ok(text) if text.trim().is_empty() => (),
            Ok(text) => changes.set.push(Entry::new(name, Yaml::text(text), from(directive))),
            Err(unknown) => {
                // Nodes may believe it, so that clients must not write it.
                if lower != "host" && !is_sent(lower) {
                    changes.remove.push((name.to_owned(), directive.at.to_string()));
                }
                self.unknown_variable(directive, &unknown, "request_headers");
            }
        }
    }

    /// Whether nodes get this field, or a better one, in any case.
    fn is_sent_anyway(
        &mut self,
        server: &Server,
        (level, lower): (LevelId, &str),
        value: &str,
    ) -> bool {
        let folded = self.model.fold(level, value);
        let client_field = format!("${{http_{}}}", lower.replace('-', "_"));
        let is_map_of = |source: &str| {
            let name = folded.strip_prefix("${").and_then(|name| name.strip_suffix('}'));
            name.and_then(|name| self.model.map(name))
                .is_some_and(|map| map.source.contains(source))
        };
        if lower.starts_with("x-forwarded")
            && (folded.contains("${http_x_forwarded") || is_map_of("http_x_forwarded"))
        {
            self.needs_trust = true;
            return true;
        }
        if self.auth_fields.iter().any(|field| field.eq_ignore_ascii_case(lower)) {
            return true;
        }
        match lower {
            "upgrade" | "connection" => true,
            "host" => {
                let port = format!(
                    "${{host}}:{}",
                    server.listens.first().map_or(80, |listen| listen.port)
                );
                matches!(&*folded, "${host}" | "${http_host}" | "${host}:${server_port}")
                    || folded == port
            }
            "x-forwarded-for" => {
                ["${proxy_add_x_forwarded_for}", "${remote_addr}", "${realip_remote_addr}"]
                    .contains(&&*folded)
            }
            "x-real-ip" => folded == "${remote_addr}" || folded == "${realip_remote_addr}",
            "x-forwarded-proto" => folded == "${scheme}",
            "x-forwarded-host" => {
                ["${host}", "${http_host}", "${server_name}", "${host}:${server_port}"]
                    .contains(&&*folded)
            }
            "x-forwarded-port" => folded == "${server_port}",
            "x-forwarded-server" => folded.contains("${host}") || folded.contains("${server_name}"),
            "x-request-id" => true,
            _ => folded == client_field,
        }
    }

    /// `response_headers` in `level`; those of CORS are left out if `cors` says them.
    pub(super) fn response_headers(
        &mut self,
        server: &Server,
        level: LevelId,
        (has_cors, is_proxied): (bool, bool),
    ) -> Option<Entry> {
        let model = self.model;
        let mut changes = Changes::default();
        for directive in model.effective_all(level, "add_header") {
            let name = directive.argument(0).unwrap_or_default();
            let lower = name.to_ascii_lowercase();
            self.ledger.carried(directive);
            let is_cors = lower.starts_with("access-control-") || lower == "vary";
            let is_type = lower == "content-type";
            if has_cors && is_cors || is_type || directive.argument(1).is_none_or(str::is_empty) {
                continue;
            }
            self.response_field(server, level, directive, &mut changes);
        }
        if is_proxied && !changes.set.is_empty() {
            let what = "a field of add_header replaces that of a node; nginx sent both";
            let level = crate::nginx::Level::Note;
            self.ledger.add(crate::nginx::Finding::new(level, "add-header-set", None, what, ""));
        }
        for directive in
            model.effective_all(level, "proxy_hide_header").into_iter().filter(|_| is_proxied)
        {
            self.ledger.carried(directive);
            let name = directive.argument(0).unwrap_or_default();
            let is_set = changes.set.iter().any(|entry| entry.key.eq_ignore_ascii_case(name));
            let is_cors = has_cors && name.to_ascii_lowercase().starts_with("access-control-");
            let is_removed =
                changes.remove.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
            if is_token(name)
                && !is_set
                && !is_cors
                && !is_removed
                && !is_of_connection(&name.to_ascii_lowercase())
            {
                changes.remove.push((name.to_owned(), from(directive)));
            }
        }
        changes.into_entry("response_headers")
    }

    fn response_field(
        &mut self,
        server: &Server,
        level: LevelId,
        directive: &Directive,
        changes: &mut Changes,
    ) {
        let [name, value] = [0, 1].map(|index| directive.argument(index).unwrap_or_default());
        let lower = name.to_ascii_lowercase();
        if !is_token(name) || is_of_connection(&lower) || lower.starts_with("sec-websocket-") {
            self.ledger.note(
                "connection-field",
                directive,
                "Sockeye makes the fields of the connection itself",
                "",
            );
            return;
        }
        let text = match translate(self.model, server, level, value) {
            Ok(text) => text.split(['\r', '\n']).map(str::trim).collect::<Vec<_>>().join(" "),
            Err(unknown) => return self.unknown_variable(directive, &unknown, "response_headers"),
        };
        let expires = if lower == "cache-control" { self.expires(level) } else { None };
        let text = match expires {
            Some(expires) => format!("{expires}, {text}"),
            None => text,
        };
        if directive.argument(2) != Some("always") && lower != "cache-control" {
            let what = "nginx added this field to successful responses alone; all responses of the route get it";
            self.ledger.add(crate::nginx::Finding::new(
                crate::nginx::Level::Note,
                "add-header-status",
                Some(&directive.at),
                what,
                "",
            ));
        }
        let is_list = matches!(&*lower, "set-cookie" | "link" | "vary" | "www-authenticate");
        let is_there =
            |entries: &[Entry]| entries.iter().any(|entry| entry.key.eq_ignore_ascii_case(name));
        let entry = Entry::new(name, Yaml::text(text), from(directive));
        if !is_list && !is_there(&changes.set) {
            changes.set.push(entry);
        } else if !is_there(&changes.add) {
            changes.add.push(entry);
        } else {
            self.ledger.by_hand(
                "field-twice",
                directive,
                "a third field of this name",
                "join the values",
            );
        }
    }

    pub(super) fn unknown_variable(&mut self, directive: &Directive, unknown: &str, key: &str) {
        let why = format!(
            "Sockeye does not have {}",
            match unknown.starts_with("a ") {
                true => unknown.to_owned(),
                false => format!("${unknown}"),
            }
        );
        let remedy = format!("write the value under {key} of the route, if nodes or pages need it");
        self.ledger.by_hand("variable", directive, &why, &remedy);
    }
}

/// Whether Sockeye sends the field itself, whatever clients write in it.
fn is_sent(lower: &str) -> bool {
    lower.starts_with("x-forwarded") || matches!(lower, "x-real-ip" | "x-request-id")
}

/// Where `directive` is, for a comment.
pub(super) fn from(directive: &Directive) -> String {
    format!("{} {}", directive.at, directive.name)
}

/// Whether `text` is the name of a field (RFC 9110, section 5.6.2).
pub(super) fn is_token(text: &str) -> bool {
    let is_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_byte)
}

fn is_of_connection(lower: &str) -> bool {
    let dashed = lower.replace('_', "-");
    [
        "connection",
        "content-length",
        "expect",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "http2-settings",
    ]
    .contains(&&*dashed)
}

/// The value of the field `name` that `add_header` writes in `level`.
pub(super) fn added<'m>(model: &'m Model, level: LevelId, name: &str) -> Option<&'m Directive> {
    let mut all = model.effective_all(level, "add_header").into_iter();
    all.find(|directive| directive.argument(0).is_some_and(|it| it.eq_ignore_ascii_case(name)))
}
