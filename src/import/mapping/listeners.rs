//! `listen` and the certificates as our listeners.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::Mapper;
use super::access::is_network;
use super::fields::from;
use super::hosts::Plan;
use super::upstreams::absolute;
use super::yaml::{Entry, Yaml};
use crate::nginx::{Finding, Level};
use crate::nginx::{Listen, Server, time};

impl<'m> Mapper<'m> {
    /// The section `listeners`.
    pub(super) fn listeners(&mut self, plan: &Plan<'m>) -> Vec<Yaml> {
        let content: Vec<&'m Server> = plan.content.iter().map(|hosted| hosted.server).collect();
        let all: Vec<&'m Server> = content.iter().chain(&plan.redirects).copied().collect();
        let mut binds: Vec<SocketAddr> = Vec::new();
        for server in &all {
            for directive in self.model.own(server.level).iter().filter(|it| it.name == "listen") {
                self.ledger.carried(directive);
                if directive.texts().any(|text| matches!(text, "quic" | "http3")) {
                    let what = "HTTP/3 is not offered; clients connect by TCP";
                    self.ledger.note("http3", directive, what, "");
                }
                if directive.argument(0).is_some_and(|it| it.starts_with("unix:")) {
                    let why = "listeners have an IP address";
                    self.ledger.by_hand(
                        "listen-unix",
                        directive,
                        why,
                        "listen on 127.0.0.1 instead",
                    );
                }
            }
            let addresses = server.listens.iter().filter(|listen| !listen.is_quic);
            binds.extend(
                addresses.filter_map(|listen| Some(SocketAddr::new(listen.address?, listen.port))),
            );
        }
        binds.sort();
        binds.dedup();
        let wide = binds.clone();
        binds.retain(|bind| !wide.iter().any(|other| other != bind && covers(*other, *bind)));
        binds.sort_by_key(|bind| (bind.port(), bind.ip()));
        let mut listeners: Vec<Yaml> = Vec::new();
        for bind in binds {
            let on = |server: &&&'m Server| server.listens.iter().any(|listen| is_at(listen, bind));
            let servers: Vec<&'m Server> = all.iter().filter(on).copied().collect();
            let redirecting = servers.iter().filter(|server| {
                plan.redirects.iter().any(|it| it.level == server.level)
                    || self.redirecting.contains(&server.level)
            });
            let redirects = (redirecting.count(), servers.len());
            listeners.push(self.listener(bind, &servers, redirects));
        }
        listeners
    }

    /// `redirecting` of `all` servers at `bind` redirect to https.
    fn listener(
        &mut self,
        bind: SocketAddr,
        servers: &[&'m Server],
        (redirecting, all): (usize, usize),
    ) -> Yaml {
        let listens: Vec<&Listen> =
            servers.iter().flat_map(|it| &it.listens).filter(|it| is_at(it, bind)).collect();
        let at = listens.first().map(|listen| format!("{} listen", listen.at)).unwrap_or_default();
        let shown = match bind.ip() {
            IpAddr::V4(address) if address.is_unspecified() => format!(":{}", bind.port()),
            _ => bind.to_string(),
        };
        let mut keys = vec![Entry::new("bind", Yaml::text(shown), at.clone())];
        let is_tls = listens.iter().any(|listen| listen.is_tls);
        if is_tls {
            keys.push(Entry::new("tls", Yaml::Map(self.server_tls(servers)), ""));
        } else if redirecting > 0 && redirecting == all {
            let port = self.redirect_port(servers);
            keys.push(Entry::new("redirect_http", port, "the redirect to https"));
        } else if redirecting > 0 {
            let what = "some servers of this port redirect to https, others do not";
            let remedy = "set redirect_http of the listener, if all may redirect";
            let at = servers.first().map(|server| &server.at);
            self.ledger.add(Finding::new(Level::ByHand, "redirect", at, what, remedy));
        }
        if listens.iter().any(|listen| listen.is_http2) {
            keys.push(Entry::new("http2", Yaml::plain("on"), "http2"));
            for server in servers {
                let directive = self.model.effective(server.level, "http2");
                directive.iter().for_each(|directive| self.ledger.carried(directive));
            }
        }
        let mut trusted = self.trusted_proxies(servers);
        if listens.iter().any(|listen| listen.has_proxy_header) {
            keys.push(Entry::new("proxy_protocol", Yaml::plain("required"), at));
            trusted = trusted.or_else(|| Some(self.assumed_proxies(&listens)));
        }
        keys.extend(trusted);
        keys.extend(self.client_timeouts(servers));
        self.said_alike(servers);
        Yaml::Map(keys)
    }

    /// What the first of `servers` says for the listener, others may say too.
    fn said_alike(&mut self, servers: &[&'m Server]) {
        let Some((first, others)) = servers.split_first() else { return };
        for name in OF_LISTENER {
            let said = |server: &Server| self.model.effective(server.level, name);
            let words = said(first).map(|it| it.texts().collect::<Vec<_>>());
            let alike = others.iter().filter_map(|server| said(server));
            let alike: Vec<_> =
                alike.filter(|it| Some(it.texts().collect::<Vec<_>>()) == words).collect();
            alike.into_iter().for_each(|directive| self.ledger.carried(directive));
        }
    }

    /// The port to which all of `servers` redirect.
    fn redirect_port(&self, servers: &[&'m Server]) -> Yaml {
        let ports = servers.iter().find_map(|server| {
            let to = self.https_redirect(server)?.texts().find(|to| to.starts_with("https://"))?;
            let authority = to.trim_start_matches("https://").split('/').next()?;
            let (_, port) = authority.rsplit_once(':')?;
            let digits = port.bytes().take_while(u8::is_ascii_digit).count();
            port.get(..digits)?.parse::<u16>().ok().filter(|port| !matches!(port, 0 | 443))
        });
        match ports {
            Some(port) => Yaml::plain(port),
            None => Yaml::plain("on"),
        }
    }

    /// `trusted_proxies` of a listener that reads PROXY headers, which has to say whose.
    fn assumed_proxies(&mut self, listens: &[&Listen]) -> Entry {
        let what = "proxy_protocol without set_real_ip_from: private networks were taken as those of the balancer";
        let remedy = "write its addresses into trusted_proxies";
        let at = listens.first().map(|listen| &listen.at);
        self.ledger.add(Finding::new(Level::ByHand, "trusted-proxies", at, what, remedy));
        let networks = Yaml::texts(["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"]);
        Entry::new("trusted_proxies", networks, "put the balancer's addresses here")
    }

    fn client_timeouts(&mut self, servers: &[&'m Server]) -> Vec<Entry> {
        let mut entries = Vec::new();
        let Some(server) = servers.first() else { return entries };
        let times = [
            ("client_header_timeout", "header_timeout", Duration::from_mins(5)),
            ("keepalive_timeout", "keep_alive_timeout", Duration::from_hours(1)),
        ];
        for (name, key, most) in times {
            let Some(directive) = self.model.effective(server.level, name) else { continue };
            self.ledger.carried(directive);
            match directive.argument(0).and_then(time) {
                Some(Duration::ZERO) => self.ledger.note(
                    "keepalive",
                    directive,
                    "connections of clients are kept open",
                    "",
                ),
                Some(timeout) => {
                    let timeout = timeout.clamp(Duration::from_secs(1), most);
                    entries.push(Entry::new(
                        key,
                        Yaml::text(super::limits::shown(timeout)),
                        from(directive),
                    ));
                }
                None => self.ledger.by_hand("timeout", directive, "it is no time", "write it"),
            }
        }
        if let Some(directive) = self.model.effective(server.level, "keepalive_requests") {
            self.ledger.carried(directive);
            if let Some(count) =
                directive.argument(0).and_then(|it| it.parse::<u32>().ok()).filter(|it| *it > 0)
            {
                entries.push(Entry::new(
                    "keep_alive_requests",
                    Yaml::plain(count),
                    from(directive),
                ));
            }
        }
        entries
    }

    /// `trusted_proxies` for `set_real_ip_from`.
    fn trusted_proxies(&mut self, servers: &[&'m Server]) -> Option<Entry> {
        let (mut networks, mut comment) = (Vec::new(), String::new());
        let model = self.model;
        for server in servers {
            let locations = server.all_locations();
            let levels = std::iter::once(server.level)
                .chain(locations.iter().map(|location| location.level));
            for directive in levels.flat_map(|level| model.effective_all(level, "set_real_ip_from"))
            {
                self.ledger.carried(directive);
                let network = directive.argument(0).unwrap_or_default();
                if !is_network(network) {
                    self.ledger.by_hand(
                        "trusted-proxies",
                        directive,
                        "it is no network",
                        "write its addresses into trusted_proxies",
                    );
                } else if !networks.contains(&network) {
                    networks.push(network);
                    comment = from(directive);
                }
            }
            if let Some(header) = model.effective(server.level, "real_ip_header") {
                self.ledger.carried(header);
                let name = header.argument(0).unwrap_or_default();
                let is_known =
                    ["x-forwarded-for", "proxy_protocol"].contains(&&*name.to_ascii_lowercase());
                if !is_known {
                    let what = "the address is taken from X-Forwarded-For of trusted proxies";
                    self.ledger.note("real-ip-header", header, what, "see that they send it");
                }
                if networks.is_empty() && name != "proxy_protocol" {
                    let why = "no set_real_ip_from says who may send it";
                    self.ledger.by_hand(
                        "trusted-proxies",
                        header,
                        why,
                        "write the addresses of your proxies into trusted_proxies",
                    );
                }
            }
        }
        (!networks.is_empty())
            .then(|| Entry::new("trusted_proxies", Yaml::texts(networks), comment))
    }

    fn server_tls(&mut self, servers: &[&'m Server]) -> Vec<Entry> {
        let mut certificates = self.certificates(servers);
        if certificates.is_empty() {
            let at = servers.first().map(|server| &server.at);
            let what = "no certificate was found for a listener with TLS; the names of two files were written";
            let remedy = "write your certificate into tls of the listener, or use acme";
            self.ledger.add(Finding::new(Level::ByHand, "certificate", at, what, remedy));
            let [chain, key] = ["fullchain", "privkey"].map(|it| format!("/etc/sockeye/{it}.pem"));
            certificates.push((chain, key, "put your certificate here".to_owned()));
        }
        let pair = |(chain, key, from): &(String, String, String)| {
            vec![
                Entry::new("chain", Yaml::text(chain), from.clone()),
                Entry::new("key", Yaml::text(key), ""),
            ]
        };
        let mut keys = match &certificates[..] {
            [one] => pair(one),
            several => {
                let list = several.iter().map(|it| Yaml::Map(pair(it))).collect();
                vec![Entry::new("certificates", Yaml::List(list), "")]
            }
        };
        if let Some(server) = servers.first() {
            keys.extend(self.tls_version(server));
            keys.extend(self.client_certificates(server));
        }
        keys
    }

    /// The certificates of `servers` with their keys, and where they are written.
    fn certificates(&mut self, servers: &[&'m Server]) -> Vec<(String, String, String)> {
        let model = self.model;
        let mut certificates: Vec<(String, String, String)> = Vec::new();
        for server in servers.iter().filter(|server| server.listens.iter().any(|it| it.is_tls)) {
            let chains = model.effective_all(server.level, "ssl_certificate");
            let keys = model.effective_all(server.level, "ssl_certificate_key");
            for (chain, key) in chains.into_iter().zip(keys) {
                self.ledger.carried(chain);
                self.ledger.carried(key);
                let paths = [chain, key].map(|it| it.argument(0).unwrap_or_default());
                if !paths.iter().all(|path| is_file(path)) {
                    let remedy = "write the certificate and its key to files";
                    self.ledger.by_hand("certificate", chain, "it is no file", remedy);
                    continue;
                }
                let [chain_path, key_path] = paths.map(absolute);
                if certificates.iter().all(|(known, ..)| *known != chain_path) {
                    certificates.push((chain_path, key_path, from(chain)));
                }
            }
        }
        certificates
    }

    fn tls_version(&mut self, server: &Server) -> Option<Entry> {
        let directive = self.model.effective(server.level, "ssl_protocols")?;
        self.ledger.carried(directive);
        let words: Vec<&str> = directive.texts().collect();
        if words.iter().any(|word| matches!(*word, "TLSv1" | "TLSv1.1" | "SSLv3" | "SSLv2")) {
            let what = "versions of TLS before 1.2 are not offered";
            self.ledger.note(
                "tls-version",
                directive,
                what,
                "clients older than 2014 cannot connect",
            );
        }
        let is_new = !words.is_empty() && words.iter().all(|word| *word == "TLSv1.3");
        is_new.then(|| Entry::new("min_version", Yaml::text("1.3"), from(directive)))
    }

    fn client_certificates(&mut self, server: &Server) -> Option<Entry> {
        let model = self.model;
        let verify = model.effective(server.level, "ssl_verify_client")?;
        self.ledger.carried(verify);
        let mode = match verify.argument(0) {
            Some("on") => "required",
            Some("optional") => "optional",
            Some("optional_no_ca") => {
                let why = "a certificate that is shown has to be valid";
                self.ledger.by_hand(
                    "client-certificates",
                    verify,
                    why,
                    "write client_certificates with ca",
                );
                return None;
            }
            _ => return None,
        };
        let mut keys = vec![Entry::new("mode", Yaml::plain(mode), from(verify))];
        let Some(ca) = model.effective(server.level, "ssl_client_certificate") else {
            let why = "no ssl_client_certificate says who signs them";
            self.ledger.by_hand(
                "client-certificates",
                verify,
                why,
                "write client_certificates: { ca: ... } before you use the file",
            );
            keys.push(Entry::new(
                "ca",
                Yaml::text("/etc/sockeye/clients.pem"),
                "put the authority here",
            ));
            return Some(Entry::new("client_certificates", Yaml::Map(keys), ""));
        };
        self.ledger.carried(ca);
        keys.push(Entry::new("ca", Yaml::text(absolute(ca.argument(0)?)), from(ca)));
        if let Some(crl) = model.effective(server.level, "ssl_crl") {
            self.ledger.carried(crl);
            keys.push(Entry::new("crl", Yaml::texts([&*absolute(crl.argument(0)?)]), from(crl)));
        }
        Some(Entry::new("client_certificates", Yaml::Map(keys), ""))
    }
}

/// What holds for a listener as the first of its servers says it.
const OF_LISTENER: [&str; 7] = [
    "ssl_protocols",
    "ssl_verify_client",
    "ssl_client_certificate",
    "ssl_crl",
    "client_header_timeout",
    "keepalive_timeout",
    "keepalive_requests",
];

/// Whether `path` is a file that is the same for all requests.
fn is_file(path: &str) -> bool {
    !path.is_empty() && !["data:", "engine:", "$"].iter().any(|it| path.contains(it))
}

/// Whether `listen` is at `bind`, or at an address that `bind` has too.
fn is_at(listen: &Listen, bind: SocketAddr) -> bool {
    let address = listen.address.map(|address| SocketAddr::new(address, listen.port));
    !listen.is_quic && address.is_some_and(|address| address == bind || covers(bind, address))
}

/// Whether a socket at `wide` gets the connections to `narrow`.
fn covers(wide: SocketAddr, narrow: SocketAddr) -> bool {
    let is_wide = match wide.ip() {
        IpAddr::V6(address) => address == Ipv6Addr::UNSPECIFIED,
        IpAddr::V4(address) => address.is_unspecified() && narrow.is_ipv4(),
    };
    wide.port() == narrow.port() && is_wide
}
