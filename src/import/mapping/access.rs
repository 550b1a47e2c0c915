//! Who may use a route: `allow`, `deny`, `auth_basic`, `auth_request`.
//!
//! A rule that cannot be carried over closes the route: it is never open to more clients than before.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::net::IpAddr;

use super::Mapper;
use super::fields::{from, is_token};
use super::proxied::Passed;
use super::yaml::{Entry, Yaml};
use crate::nginx::Directive;
use crate::nginx::{LevelId, Server};

/// Whom a route is for.
#[derive(Debug)]
pub(super) enum Access {
    /// The keys that say it.
    Keys(Vec<Entry>),
    /// Nobody.
    Closed,
}

impl Mapper<'_> {
    pub(super) fn access(&mut self, server: &Server, level: LevelId) -> Access {
        let Some(mut entries) = self.networks(level) else { return Access::Closed };
        let (basic, request) = (self.basic(level), self.auth_request(server, level));
        let unknown = ["auth_jwt", "auth_ldap", "auth_pam", "auth_digest", "auth_oidc"];
        for name in unknown {
            if let Some(directive) = self.model.effective(level, name) {
                self.ledger.by_hand("auth", directive, "another way to authenticate", CLOSED);
                return Access::Closed;
            }
        }
        if let Some(satisfy) =
            self.model.effective(level, "satisfy").filter(|it| it.argument(0) == Some("any"))
            && (!entries.is_empty() && (basic.is_some() || request.is_some()))
        {
            let why = "clients have to satisfy all rules";
            self.ledger.by_hand("satisfy", satisfy, why, "remove the rules that are too much");
        }
        match (basic, request) {
            (Some(None), _) | (_, Some(None)) => return Access::Closed,
            (Some(Some(_)), Some(Some(_))) => {
                if let Some(directive) = self.model.effective(level, "auth_request") {
                    self.ledger.by_hand("auth", directive, "there is a password as well", CLOSED);
                }
                return Access::Closed;
            }
            (Some(Some(entry)), None) | (None, Some(Some(entry))) => {
                entries.push(Entry::new("auth", Yaml::Map(vec![entry]), ""));
            }
            (None, None) => (),
        }
        Access::Keys(entries)
    }

    /// `deny` and `allow`; `None` if nobody may.
    fn networks(&mut self, level: LevelId) -> Option<Vec<Entry>> {
        let model = self.model;
        let rules = model.chain(level).find_map(|level| {
            let is_rule = |it: &&Directive| matches!(&*it.name, "allow" | "deny");
            let own: Vec<&Directive> = model.own(level).iter().filter(is_rule).collect();
            (!own.is_empty()).then_some(own)
        });
        let (mut allow, mut deny) = (Vec::new(), Vec::new());
        let (mut ends_denied, mut comment) = (false, String::new());
        for rule in rules.into_iter().flatten() {
            self.ledger.carried(rule);
            let what = rule.argument(0).unwrap_or_default();
            if comment.is_empty() {
                comment = from(rule);
            }
            match (&*rule.name, what) {
                ("allow", "all") => break,
                ("deny", "all") => {
                    ends_denied = true;
                    break;
                }
                (name, network) if is_network(network) => {
                    if name == "deny" && !allow.is_empty() {
                        // Ours are asked first.
                        let why = "addresses that an earlier allow has are refused too, if they are among these";
                        self.ledger.note("deny", rule, why, "");
                    }
                    if name == "deny" { deny.push(network) } else { allow.push(network) }
                }
                (name, _) => {
                    let why = "it is no network";
                    self.ledger.by_hand("network", rule, why, "write the addresses");
                    if name == "deny" {
                        return None;
                    }
                }
            }
        }
        if ends_denied && allow.is_empty() {
            return None;
        }
        let mut entries = Vec::new();
        if !deny.is_empty() {
            entries.push(Entry::new("deny", Yaml::texts(deny), comment.clone()));
        }
        if ends_denied {
            entries.push(Entry::new("allow", Yaml::texts(allow), comment));
        }
        Some(entries)
    }

    /// `auth_basic`: `None` if there is none, `Some(None)` if it cannot be said.
    fn basic(&mut self, level: LevelId) -> Option<Option<Entry>> {
        let model = self.model;
        let directive = model.effective(level, "auth_basic")?;
        self.ledger.carried(directive);
        let realm = directive.argument(0).filter(|realm| *realm != "off")?;
        let Some(file) = model.effective(level, "auth_basic_user_file") else {
            self.ledger.by_hand("auth", directive, "no file has the users", CLOSED);
            return Some(None);
        };
        self.ledger.carried(file);
        let path = file.argument(0).unwrap_or_default();
        if path.contains('$') || path.is_empty() {
            self.ledger.by_hand("auth", file, "the file depends on the request", CLOSED);
            return Some(None);
        }
        let path =
            if path.starts_with('/') { path.to_owned() } else { format!("/etc/nginx/{path}") };
        let what = "only bcrypt and Argon2id are accepted; MD5 (apr1), SHA and crypt can be guessed too fast";
        self.ledger.note("htpasswd", file, what, "write such lines again with htpasswd -B");
        let mut keys = vec![Entry::new("htpasswd_file", Yaml::text(path), from(file))];
        let is_plain = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b'"' && byte != b'\\';
        if !realm.trim().is_empty() && realm.bytes().all(is_plain) {
            keys.push(Entry::new("realm", Yaml::text(realm), from(directive)));
        }
        Some(Some(Entry::new("basic", Yaml::Map(keys), "")))
    }

    /// `auth_request`: `None` if there is none, `Some(None)` if it cannot be said.
    fn auth_request(&mut self, server: &Server, level: LevelId) -> Option<Option<Entry>> {
        let model = self.model;
        let directive = model.effective(level, "auth_request")?;
        self.ledger.carried(directive);
        let path = directive.argument(0).filter(|path| *path != "off")?;
        let Some(url) = self.service_url(server, path) else {
            self.ledger.by_hand("auth", directive, "the service is not a plain proxy_pass", CLOSED);
            return Some(None);
        };
        let mut keys = vec![Entry::new("url", Yaml::text(url.clone()), from(directive))];
        let mut fields = Vec::new();
        for set in model.effective_all(level, "auth_request_set") {
            self.ledger.carried(set);
            let variable = set.argument(0).unwrap_or_default();
            let field = set.argument(1).and_then(|value| value.strip_prefix("$upstream_http_"));
            let sent = model
                .effective_all(level, "proxy_set_header")
                .into_iter()
                .find(|it| it.argument(1) == Some(variable));
            let name = field.map(|field| field.replace('_', "-"));
            match (name, sent.and_then(|it| it.argument(0))) {
                (Some(name), Some(sent)) if name.eq_ignore_ascii_case(sent) && is_token(sent) => {
                    fields.push(sent.to_owned());
                    self.ledger.carried_whole(set);
                }
                (_, Some(_)) => {
                    let why = "nodes get the fields of the service under their own names";
                    self.ledger.by_hand(
                        "auth-field",
                        set,
                        why,
                        "let the service name the field as nodes expect it",
                    );
                }
                (_, None) => (),
            }
        }
        if !fields.is_empty() {
            keys.push(Entry::new(
                "response_fields",
                Yaml::texts(fields.iter().map(|it| &**it)),
                "auth_request_set",
            ));
        }
        self.auth_fields.extend(fields);
        if url.starts_with("https:") {
            let verify = Entry::new("verify", Yaml::plain("off"), "nginx does not verify it");
            keys.push(Entry::new("tls", Yaml::Map(vec![verify]), ""));
        }
        Some(Some(Entry::new("forward", Yaml::Map(keys), "")))
    }

    /// The URL of the service at the internal location `path`.
    fn service_url(&mut self, server: &Server, path: &str) -> Option<String> {
        let (location, _) = self.model.find(server, path);
        let location = location?;
        let pass = self.model.own(location.level).iter().find(|it| it.name == "proxy_pass")?;
        let passed = Passed::parse(&self.model.fold(location.level, pass.argument(0)?)).ok()?;
        self.ledger.carried(pass);
        // What it gets is what Sockeye sends to a service: all that such locations say.
        for directive in self.model.own(location.level) {
            self.ledger.carried_whole(directive);
        }
        let upstream = self.model.upstream(&passed.authority);
        let address = match upstream {
            Some(upstream) => upstream.servers.first()?.address.clone(),
            None => passed.authority.clone(),
        };
        if address.starts_with("unix:") {
            return None;
        }
        let uri = match passed.uri.as_deref() {
            None => path,
            Some("${request_uri}") => return None,
            Some(uri) => uri,
        };
        (!uri.contains('$')).then(|| {
            let scheme = if passed.is_tls { "https" } else { "http" };
            format!("{scheme}://{address}{uri}")
        })
    }
}

/// What is said of a route that is closed.
const CLOSED: &str =
    "the route refuses everybody (403) until auth of the route says who may use it";

pub(super) fn is_network(text: &str) -> bool {
    let (address, prefix) =
        text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
    let Ok(address) = address.parse::<IpAddr>() else { return false };
    let most = if address.is_ipv4() { 32 } else { 128 };
    prefix.is_none_or(|prefix| prefix.parse::<u8>().is_ok_and(|prefix| prefix <= most))
}
