//! `limit_conn` and `limit_req` as `client_limits`.
//!
//! Pure. Runs at start, at reload, or on a timer.

use super::Mapper;
use super::fields::from;
use super::hosts::Plan;
use super::yaml::{Entry, Yaml};
use crate::nginx::Directive;
use crate::nginx::{LevelId, Model};

impl<'m> Mapper<'m> {
    /// The section `client_limits`. Ours hold for all routes, so only limits of a whole server, or of a realtime
    /// location, are carried over.
    pub(super) fn client_limits(&mut self, plan: &Plan<'m>) -> Vec<Entry> {
        let mut levels: Vec<(LevelId, bool)> = Vec::new();
        for hosted in &plan.content {
            levels.push((hosted.server.level, true));
            for location in hosted.server.all_locations() {
                levels.push((location.level, self.is_realtime(location)));
            }
        }
        let mut entries: Vec<Entry> = Vec::new();
        for (level, is_general) in levels {
            for name in ["limit_conn", "limit_req"] {
                let own = self.model.own(level).iter().filter(|it| it.name == name);
                let own: Vec<&Directive> = own.collect();
                let inherited =
                    self.model.own(Model::HTTP).iter().filter(|it| it.name == name && is_general);
                for directive in own.into_iter().chain(inherited) {
                    let entry = if is_general { self.limit(directive) } else { None };
                    match entry {
                        Some(entry) if entries.iter().all(|known| known.key != entry.key) => {
                            entries.push(entry)
                        }
                        Some(_) => self.ledger.carried(directive),
                        None => {
                            let why = "limits of clients hold for all routes, not for some paths or by another key";
                            self.ledger.by_hand(
                                "limit",
                                directive,
                                why,
                                "let the application limit it, or see client_limits",
                            );
                        }
                    }
                }
            }
        }
        for zone in self.model.own(Model::HTTP) {
            if matches!(&*zone.name, "limit_req_zone" | "limit_conn_zone" | "limit_zone") {
                self.ledger.carried(zone);
            }
        }
        entries
    }

    fn limit(&mut self, directive: &Directive) -> Option<Entry> {
        let is_rate = directive.name == "limit_req";
        let argument = if is_rate {
            directive.texts().find_map(|text| text.strip_prefix("zone="))
        } else {
            directive.argument(0)
        }?;
        let zone = self.model.own(Model::HTTP).iter().find(|it| {
            it.name == format!("{}_zone", directive.name)
                && it.texts().any(|text| {
                    text.strip_prefix("zone=")
                        .is_some_and(|zone| zone.split(':').next() == Some(argument))
                })
        })?;
        let key = zone.argument(0)?;
        if !matches!(key, "$binary_remote_addr" | "$remote_addr") {
            return None;
        }
        if !is_rate {
            let count = directive
                .argument(1)?
                .parse::<u32>()
                .ok()
                .filter(|it| (1..=1_000_000).contains(it))?;
            self.ledger.note("limit", directive, "it holds for all routes together", "");
            return Some(Entry::new("connections", Yaml::plain(count), from(directive)));
        }
        let rate = zone
            .texts()
            .find_map(|text| text.strip_prefix("rate="))
            .and_then(|rate| rate.strip_suffix("r/s"))?;
        let rate = rate.parse::<u32>().ok().filter(|it| (1..=1_000_000).contains(it))?;
        let what = "it holds for all routes together, and polls of Socket.IO count";
        self.ledger.note(
            "limit",
            directive,
            what,
            "if clients get 429, raise requests_per_second, or limit sessions_per_second instead",
        );
        Some(Entry::new("requests_per_second", Yaml::plain(rate), from(directive)))
    }
}
