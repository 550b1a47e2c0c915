//! Which route a path has: what nginx does for it, and which expressions come before prefixes.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::collections::BTreeMap;

use super::Mapper;
use super::paths::{self, RoutePath};
use super::routes::Draft;
use super::yaml::{Entry, Yaml};
use crate::nginx::Position;
use crate::nginx::Server;
use crate::nginx::{Finding, Level};

impl Mapper<'_> {
    /// nginx redirects `/app` to `/app/`, if that is a location with `proxy_pass`.
    pub(super) fn without_slash(&self, server: &Server, drafts: &mut Vec<Draft>) {
        let mut found = Vec::new();
        for draft in drafts.iter() {
            let RoutePath::Prefix(prefix) = &draft.path else { continue };
            let path = prefix.strip_suffix('/').filter(|path| !path.is_empty());
            let Some(path) = path else { continue };
            let same = [RoutePath::Exact(path.to_owned()), RoutePath::Prefix(path.to_owned())];
            let (_, is_missing) = self.model.find(server, path);
            if !is_missing || drafts.iter().any(|other| same.contains(&other.path)) {
                continue;
            }
            let keys = vec![
                Entry::new("to", Yaml::text(prefix), ""),
                Entry::new("status", Yaml::plain(301), ""),
            ];
            let [path, _] = same;
            found.push(Draft {
                path,
                body: vec![Entry::new("redirect", Yaml::Map(keys), "")],
                from: "nginx does it for the location with a slash".to_owned(),
                at: draft.at.clone(),
                is_first: false,
                is_expression: false,
                is_carried: true,
            });
        }
        drafts.extend(found);
    }

    /// The same routes, so that each path has the one that nginx would take, as far as that can be.
    ///
    /// With nginx, an expression comes before a prefix; ours is the other way round, but for `/`. A prefix that
    /// an expression is a part of is written as an expression behind it.
    pub(super) fn ordered(&mut self, mut drafts: Vec<Draft>) -> Vec<Draft> {
        let expressions = expressions(&drafts);
        let mut behind = Vec::new();
        let mut later: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        for draft in &mut drafts {
            let RoutePath::Prefix(prefix) = &draft.path else { continue };
            if prefix == "/" || draft.is_first {
                continue;
            }
            let prefix = prefix.clone();
            let is_part = |(start, _): &(String, Position)| {
                start.get(..prefix.len()).is_some_and(|it| it.eq_ignore_ascii_case(&prefix))
            };
            if expressions.iter().any(is_part) {
                if draft.is_plain() {
                    let expression = format!("^{}", paths::escaped(&prefix));
                    behind.push((prefix.len(), expression.clone()));
                    draft.path = RoutePath::Regex(expression);
                } else {
                    self.report_order(&draft.at, &prefix);
                }
                continue;
            }
            for (index, (start, _)) in expressions.iter().enumerate() {
                if prefix.starts_with(&**start) {
                    later.entry(index).or_default().push(prefix.clone());
                }
            }
        }
        self.report_later(&expressions, later);
        self.report_longer(&drafts);
        // The longest comes first among those that were prefixes; all others stay in their order.
        drafts.sort_by_key(|draft| {
            let RoutePath::Regex(expression) = &draft.path else { return 0 };
            let length = behind.iter().find(|(_, it)| it == expression).map(|(length, _)| *length);
            length.map_or(0, |length| usize::MAX - length)
        });
        drafts
    }

    fn report_order(&mut self, at: &Position, prefix: &str) {
        let what = format!(
            "an expression within {prefix} was asked first by nginx, and is not by Sockeye"
        );
        let remedy = "write its paths as prefixes";
        self.ledger.add(Finding::new(Level::ByHand, "regex-order", Some(at), what, remedy));
    }

    /// Expressions that became prefixes were asked before longer prefixes.
    fn report_longer(&mut self, drafts: &[Draft]) {
        for draft in drafts.iter().filter(|draft| draft.is_expression) {
            let RoutePath::Prefix(prefix) = &draft.path else { continue };
            let longer = drafts.iter().find_map(|other| match &other.path {
                RoutePath::Prefix(path) if !other.is_expression && !other.is_first => {
                    (path.len() > prefix.len() && path.starts_with(prefix)).then_some(path)
                }
                _ => None,
            });
            let Some(longer) = longer else { continue };
            let what = format!(
                "nginx asked this expression before {longer}; Sockeye takes the longer prefix"
            );
            let finding = Finding::new(Level::Note, "regex-order", Some(&draft.at), what, "");
            self.ledger.add(finding);
        }
    }

    fn report_later(
        &mut self,
        expressions: &[(String, Position)],
        later: BTreeMap<usize, Vec<String>>,
    ) {
        for (index, prefixes) in later {
            let at = expressions.get(index).map(|(_, at)| at);
            let what = format!(
                "nginx asked this expression before {}; Sockeye asks these prefixes first",
                prefixes.join(", ")
            );
            let remedy = "write the paths below a prefix as prefixes, if they have to go elsewhere";
            self.ledger.add(Finding::new(Level::Note, "regex-order", at, what, remedy));
        }
    }
}

/// The letters that the paths of each expression begin with, and where it is.
fn expressions(drafts: &[Draft]) -> Vec<(String, Position)> {
    let start = |draft: &Draft| match &draft.path {
        RoutePath::Regex(expression) => Some((paths::literal_start(expression), draft.at.clone())),
        RoutePath::Prefix(_) | RoutePath::Exact(_) => None,
    };
    drafts.iter().filter_map(start).collect()
}
