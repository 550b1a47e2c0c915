//! Makes the model of a tree. A part of a configuration gets the blocks around it that it lacks.
//!
//! Pure. Runs at start, at reload, or on a timer.

use super::location::{Location, LocationKind};
use super::regex::PathRegex;
use super::{Level, LevelId, Listen, Map, Model, Server, ServerName, Upstream};
use crate::nginx::finding::{Finding, Level as FindingLevel};
use crate::nginx::reader::refused;
use crate::nginx::tree::Directive;

pub(super) fn build(directives: &[Directive]) -> Model {
    let mut builder = Builder {
        model: Model { levels: vec![Level::default()], ..Model::default() },
        loose: Vec::new(),
    };
    let has_http = directives.iter().any(|directive| directive.name == "http");
    for directive in directives {
        match &*directive.name {
            "http" => builder.http(directive.children(), true),
            "events" | "stream" | "mail" | "rtmp" => builder.model.outside.push(directive.clone()),
            _ if has_http && directive.block.is_none() => {
                builder.model.outside.push(directive.clone())
            }
            _ => builder.http(std::slice::from_ref(directive), false),
        }
    }
    builder.snippet();
    builder.model
}

struct Builder {
    model: Model,
    /// Locations that are in no server.
    loose: Vec<Directive>,
}

impl Builder {
    /// The directives of `http`; `is_written` says whether it is there.
    fn http(&mut self, directives: &[Directive], is_written: bool) {
        for directive in directives {
            match &*directive.name {
                "server" if directive.block.is_some() => self.server(directive),
                "upstream" => self.model.upstreams.extend(Upstream::parse(directive)),
                "map" => self.model.maps.extend(map(directive)),
                "location" => {
                    if is_written {
                        let what = format!("{} is not in a server", directive.shown());
                        let finding = refused(
                            "location-outside",
                            &directive.at,
                            what,
                            "write it into a server",
                        );
                        self.model.findings.push(finding);
                    }
                    self.loose.push(directive.clone());
                }
                _ => self.own(Model::HTTP, directive.clone()),
            }
        }
    }

    fn server(&mut self, directive: &Directive) {
        let level = self.level(Model::HTTP);
        let (mut listens, mut names, mut locations) = (Vec::new(), Vec::new(), Vec::new());
        for child in directive.children() {
            match &*child.name {
                "listen" => {
                    let listen = Listen::parse(child);
                    if listen.is_none() {
                        let what = format!("{} says no address", child.shown());
                        self.model.findings.push(refused(
                            "listen",
                            &child.at,
                            what,
                            "write a port",
                        ));
                    }
                    listens.extend(listen);
                }
                "server_name" => names.extend(child.texts().map(ServerName::parse)),
                "location" => locations.extend(self.location(child, level)),
                _ => (),
            }
            if child.name != "location" {
                self.own(level, child.clone());
            }
        }
        if listens.is_empty() {
            listens.push(Listen::missing(&directive.at));
        }
        let is_on = |name: &str| self.model.value(level, name) == Some("on");
        let (http2, tls) = (is_on("http2"), is_on("ssl"));
        for listen in &mut listens {
            listen.is_http2 |= http2;
            listen.is_tls |= tls;
        }
        self.model.servers.push(Server {
            level,
            listens,
            names,
            locations,
            at: directive.at.clone(),
        });
    }

    fn location(&mut self, directive: &Directive, parent: LevelId) -> Option<Location> {
        let Some((kind, pattern)) = Location::pattern(directive) else {
            let what = format!("{} is no location", directive.shown());
            self.model.findings.push(refused(
                "location",
                &directive.at,
                what,
                "write location /path { }",
            ));
            return None;
        };
        let level = self.level(parent);
        let mut nested = Vec::new();
        for child in directive.children() {
            match &*child.name {
                "location" => nested.extend(self.location(child, level)),
                _ => self.own(level, child.clone()),
            }
        }
        let ignore_case = kind == LocationKind::RegexIgnoreCase;
        let regex = kind.is_regex().then(|| PathRegex::compile(&pattern, ignore_case)).flatten();
        let shown = directive.shown();
        Some(Location { kind, pattern, regex, level, nested, at: directive.at.clone(), shown })
    }

    /// A server for what is in none.
    fn snippet(&mut self) {
        let is_proxy = |directive: &Directive| is_target(&directive.name);
        let is_inside_location = self.model.own(Model::HTTP).iter().any(is_proxy);
        if self.model.servers.is_empty() {
            self.model.is_snippet = true;
        } else if self.loose.is_empty() && !is_inside_location {
            return;
        }
        let Some(first) = self.loose.first().or_else(|| self.model.own(Model::HTTP).first()) else {
            return;
        };
        let at = first.at.clone();
        if self.loose.is_empty() && !is_inside_location {
            return;
        }
        let level = self.level(Model::HTTP);
        let loose = std::mem::take(&mut self.loose);
        let mut locations: Vec<Location> =
            loose.iter().filter_map(|directive| self.location(directive, level)).collect();
        if is_inside_location {
            let inside = self.level(level);
            let shown = "location /".to_owned();
            let (kind, pattern) = (LocationKind::Prefix, "/".to_owned());
            let http = self.model.levels.first_mut().map(|level| std::mem::take(&mut level.own));
            for directive in http.into_iter().flatten() {
                self.own(inside, directive);
            }
            let nested = Vec::new();
            locations.push(Location {
                kind,
                pattern,
                regex: None,
                level: inside,
                nested,
                at: at.clone(),
                shown,
            });
        }
        let what = "this is a part of a configuration, without a server: one was assumed around it";
        let remedy = "import the whole configuration for its names, addresses and certificates";
        self.model.findings.push(Finding::new(
            FindingLevel::ByHand,
            "snippet",
            Some(&at),
            what,
            remedy,
        ));
        let listens = vec![Listen::missing(&at)];
        self.model.servers.push(Server { level, listens, names: Vec::new(), locations, at });
    }

    fn level(&mut self, parent: LevelId) -> LevelId {
        self.model.levels.push(Level { parent: Some(parent), own: Vec::new() });
        LevelId(self.model.levels.len() - 1)
    }

    fn own(&mut self, level: LevelId, directive: Directive) {
        if let Some(level) = self.model.levels.get_mut(level.0) {
            level.own.push(directive);
        }
    }
}

/// Whether the directive `name` answers requests.
fn is_target(name: &str) -> bool {
    matches!(name, "proxy_pass" | "return" | "alias" | "try_files" | "fastcgi_pass" | "uwsgi_pass")
}

fn map(directive: &Directive) -> Option<Map> {
    let (source, variable) = (directive.argument(0)?, directive.argument(1)?);
    let mut entries = Vec::new();
    let mut default = None;
    for entry in directive.children() {
        let value = entry.argument(0).unwrap_or_default().to_owned();
        match &*entry.name {
            "default" => default = Some(value),
            "hostnames" | "volatile" if entry.arguments.is_empty() => (),
            key => entries.push((key.to_owned(), value)),
        }
    }
    Some(Map {
        source: source.to_owned(),
        variable: variable.trim_start_matches('$').to_owned(),
        entries,
        default,
        directive: directive.clone(),
    })
}
