//! Which server of nginx serves which hosts of ours.
//!
//! Our routes are the same on all listeners. So one server may have all hosts that no other has; servers on
//! other ports keep their names, and a server that only redirects to https is a listener that does it.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::collections::BTreeSet;

use super::Mapper;
use super::rewrites::redirects_to_https;
use crate::nginx::Directive;
use crate::nginx::{Finding, Level};
use crate::nginx::{Location, Server, ServerName};

/// A server with the hosts for which its routes are.
#[derive(Debug)]
pub(super) struct Hosted<'m> {
    pub(super) server: &'m Server,
    /// `*` is all that no other has.
    pub(super) hosts: Vec<String>,
}

/// What the servers are.
#[derive(Debug, Default)]
pub(super) struct Plan<'m> {
    pub(super) content: Vec<Hosted<'m>>,
    /// Those that only redirect to https.
    pub(super) redirects: Vec<&'m Server>,
}

impl<'m> Plan<'m> {
    /// The server whose routes `host` has.
    pub(super) fn server(&self, host: &str) -> Option<&'m Server> {
        let rank = |name: &str| match name.strip_prefix('*') {
            _ if name == host => Some(usize::MAX),
            Some("") => Some(0),
            Some(suffix) => host.ends_with(suffix).then_some(suffix.len()),
            None => None,
        };
        let best = |hosted: &&Hosted<'m>| hosted.hosts.iter().filter_map(|name| rank(name)).max();
        self.content.iter().filter(|it| best(it).is_some()).max_by_key(best).map(|it| it.server)
    }

    /// Whether `server` has no routes, which is reported.
    pub(super) fn is_left_out(&self, server: &Server) -> bool {
        self.content.iter().any(|it| it.server.level == server.level && it.hosts.is_empty())
    }
}

impl<'m> Mapper<'m> {
    pub(super) fn plan(&mut self) -> Plan<'m> {
        let model = self.model;
        let mut plan = Plan::default();
        let mut content: Vec<&'m Server> = Vec::new();
        for server in &model.servers {
            match self.https_redirect(server).filter(|_| !self.is_host_apart(server)) {
                Some(directive) => {
                    self.report_redirect(server, directive);
                    plan.redirects.push(server);
                }
                None => content.push(server),
            }
        }
        // Without another server, the redirect is all that there is.
        if content.is_empty() {
            content.append(&mut plan.redirects);
        }
        let default = self.main_server(&content);
        let mut taken = BTreeSet::new();
        // Of two servers with the same name on two ports, the one for Socket.IO or WebSockets has it.
        content.sort_by_key(|server| {
            let is_other = default.is_none_or(|default| default.level != server.level);
            let has_tls = server.listens.iter().any(|listen| listen.is_tls);
            (is_other, !self.has_realtime(server), !has_tls)
        });
        for server in content {
            let is_default = default.is_some_and(|default| default.level == server.level);
            let mut hosts = match is_default {
                true => vec!["*".to_owned()],
                false => self.hosts(server),
            };
            if is_default {
                let names = server.names.iter().filter_map(|name| name.text());
                taken.extend(names.map(|name| name.trim_end_matches('.').to_owned()));
            }
            let all = hosts.len();
            hosts.retain(|host| taken.insert(host.clone()));
            self.report_names(server, is_default, (all, hosts.len()));
            plan.content.push(Hosted { server, hosts });
        }
        plan
    }

    /// Whether `server` redirects hosts that no other server has, on a port that others have too.
    fn is_host_apart(&self, server: &Server) -> bool {
        let others = || self.model.servers.iter().filter(|other| other.level != server.level);
        let ports: Vec<u16> = server.listens.iter().map(|listen| listen.port).collect();
        let is_shared = others().any(|other| {
            other.listens.iter().any(|listen| ports.contains(&listen.port))
                && self.https_redirect(other).is_none()
        });
        let has_name = |name: &&ServerName| {
            matches!(name, ServerName::Exact(_))
                && others().all(|other| other.names.iter().all(|it| it.text() != name.text()))
        };
        is_shared && !server.names.is_empty() && server.names.iter().all(|name| has_name(&name))
    }

    /// Says in what `directive`, the redirect of `server`, is not what a listener does.
    fn report_redirect(&mut self, server: &Server, directive: &Directive) {
        if directive.name == "if" {
            let what =
                "a listener redirects all hosts to https, also those that nginx answered with 404";
            return self.ledger.note("redirect-hosts", directive, what, "");
        }
        self.ledger.carried(directive);
        let to = directive.texts().find(|to| to.starts_with("https://")).unwrap_or_default();
        let host = to.trim_start_matches("https://").split(['/', ':']).next().unwrap_or_default();
        let paths = ["$request_uri", "$uri", "$1"];
        let host = paths.iter().find_map(|path| host.strip_suffix(path)).unwrap_or(host);
        let is_own = |name: &ServerName| name.text() == Some(host);
        let is_same = matches!(host, "$host" | "$http_host" | "$server_name" | "${host}")
            && (host != "$server_name" || server.names.len() < 2);
        let is_only = server.names.len() == 1 && server.names.iter().all(is_own);
        if !is_same && !is_only {
            let what = format!(
                "a listener redirects to https of the host that was asked for, not of {host}"
            );
            self.ledger.note("redirect-hosts", directive, &what, "");
        }
    }

    fn report_names(&mut self, server: &Server, is_default: bool, (all, left): (usize, usize)) {
        let names = self.model.own(server.level).iter().filter(|it| it.name == "server_name");
        names.for_each(|names| self.ledger.carried(names));
        if is_default || left == all && left > 0 {
            return;
        }
        let what = match left {
            0 => "a server is left out: it has no name that another one does not have",
            _ => "some names of a server are left out: another one has them",
        };
        let remedy =
            "routes are the same on all ports: give it a name, or run another process for its port";
        self.ledger.add(Finding::new(
            Level::ByHand,
            "server-names",
            Some(&server.at),
            what,
            remedy,
        ));
    }

    /// The server for all hosts: the default one of the port that matters most.
    fn main_server(&self, content: &[&'m Server]) -> Option<&'m Server> {
        let listens =
            || content.iter().flat_map(|server| server.listens.iter().map(move |it| (*server, it)));
        let ports = [
            listens().find(|(server, it)| it.is_tls && self.has_realtime(server)),
            listens().find(|(server, it)| it.port == 80 && self.has_realtime(server)),
            listens().find(|(server, _)| self.has_realtime(server)),
            listens().find(|(_, it)| it.is_tls),
            listens().find(|(_, it)| it.port == 80),
            listens().next(),
        ];
        let (_, listen) = ports.into_iter().flatten().next()?;
        let on_port: Vec<_> = listens().filter(|(_, it)| it.port == listen.port).collect();
        let default = on_port.iter().find(|(_, it)| it.is_default).or_else(|| on_port.first());
        default.map(|(server, _)| *server)
    }

    /// Whether a location of `server` is for WebSockets or Socket.IO.
    fn has_realtime(&self, server: &Server) -> bool {
        server.all_locations().into_iter().any(|location| self.is_realtime(location))
    }

    pub(super) fn is_realtime(&self, location: &Location) -> bool {
        let fields = self.model.effective_all(location.level, "proxy_set_header");
        location.is_engineio()
            || fields
                .iter()
                .any(|it| it.argument(0).is_some_and(|name| name.eq_ignore_ascii_case("upgrade")))
    }

    /// The names of `server` in our form.
    fn hosts(&mut self, server: &Server) -> Vec<String> {
        let mut hosts = Vec::new();
        for name in &server.names {
            match name {
                ServerName::Exact(name) => hosts.push(name.trim_end_matches('.').to_owned()),
                ServerName::Below(suffix) => hosts.push(format!("*{suffix}")),
                ServerName::WithBelow(suffix) => {
                    hosts.push(suffix.trim_start_matches('.').to_owned());
                    hosts.push(format!("*{suffix}"));
                }
                ServerName::Regex(expression, _) if wildcard(expression).is_some() => {
                    hosts.extend(wildcard(expression));
                    let what = format!("the names ~{expression} are served as a wildcard");
                    self.ledger.add(Finding::new(
                        Level::Note,
                        "name-regex",
                        Some(&server.at),
                        what,
                        "",
                    ));
                }
                ServerName::Ending(_) | ServerName::Regex(..) => {
                    let what = "a name with an expression, or with * at its end, is left out";
                    let remedy = "write a route with host for each name";
                    self.ledger.add(Finding::new(
                        Level::ByHand,
                        "name-regex",
                        Some(&server.at),
                        what,
                        remedy,
                    ));
                }
                ServerName::Nobody => (),
            }
        }
        hosts.retain(|host| is_host(host));
        hosts
    }

    /// The directive by which all that `server` does is a redirect to https.
    pub(super) fn https_redirect(&self, server: &'m Server) -> Option<&'m Directive> {
        if server.listens.iter().any(|listen| listen.is_tls) {
            return None;
        }
        let own = self.model.own(server.level);
        let conditional = own.iter().filter(|it| it.name == "if").find(|it| redirects_to_https(it));
        let is_end = |it: &Directive| it.name == "return" && it.argument(0) == Some("404");
        if let Some(conditional) =
            conditional.filter(|_| own.iter().any(is_end) || server.locations.is_empty())
        {
            return Some(conditional);
        }
        if let Some(found) = own.iter().find(|it| is_https_redirect(it)) {
            return Some(found);
        }
        // All but the challenges of an authority.
        let is_challenge = |location: &&Location| location.pattern.contains("/.well-known");
        let mut others = server.locations.iter().filter(|location| !is_challenge(location));
        let root = others.next().filter(|location| location.pattern == "/")?;
        if others.next().is_some() {
            return None;
        }
        self.model.own(root.level).iter().find(|it| is_https_redirect(it))
    }
}

/// Whether `directive` redirects each path to the same path of https.
fn is_https_redirect(directive: &Directive) -> bool {
    let to = match &*directive.name {
        "return" => directive.texts().last(),
        "rewrite"
            if matches!(
                directive.argument(0),
                Some("^" | "^(.*)" | "^(.*)$" | "^/(.*)$" | "^/(.*)" | "^.*$" | "(.*)")
            ) =>
        {
            directive.argument(1)
        }
        _ => None,
    };
    to.is_some_and(|to| {
        to.starts_with("https://")
            && (to.contains("$request_uri") || to.contains("$uri") || to.contains("$1"))
    })
}

/// The wildcard that the expression `^(?<name>.+)\.example\.com$` is.
fn wildcard(expression: &str) -> Option<String> {
    let text = expression.trim_start_matches('^').strip_suffix('$')?;
    let (start, rest) = text.split_once("\\.")?;
    let is_any =
        [".+)", ".*)", "\\w+)", "[^.]+)", ".+", ".*", "[^.]+", "[a-z0-9-]+)", "[a-z0-9-]+"]
            .iter()
            .any(|it| start.ends_with(it));
    let name = rest.replace("\\.", ".").replace("\\-", "-");
    (is_any && is_host(&name)).then(|| format!("*.{name}"))
}

/// Whether our routes accept `host`.
fn is_host(host: &str) -> bool {
    let name = host.strip_prefix("*.").unwrap_or(host);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let is_number =
        name.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    name.len() <= 253
        && name.split('.').all(is_label)
        && (!is_number || name.parse::<std::net::Ipv4Addr>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_for_all_subdomains_is_a_wildcard() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(wildcard(text).as_deref(), expected, "{text}")
        };
        check(r"^(?<sub>.+)\.example\.com$", Some("*.example.com"));
        check(r"^[^.]+\.example\.com$", Some("*.example.com"));
        check(r"^www\d\.example\.com$", None);
        check(r"^(.+)\.(a|b)\.com$", None);
    }

    #[test]
    fn a_host_is_one_of_a_route() {
        for host in ["a.example", "*.a.example", "10.0.0.1", "localhost", "a_b"] {
            assert!(is_host(host), "{host}");
        }
        for host in ["", "a..b", "*.*.a", "10.0.0.256", "-a"] {
            assert!(!is_host(host), "{host}");
        }
    }
}
