//! The new file as text.
//!
//! Pure. Runs at start, at reload, or on a timer.

use super::paths::RoutePath;
use super::routes::Draft;
use super::yaml::{Entry, Yaml, comment};
use crate::nginx::Position;

/// The new file.
#[derive(Debug)]
pub(in crate::import) struct Document {
    pub(super) listeners: Vec<Yaml>,
    pub(super) upstreams: Vec<Entry>,
    /// Each with its host; without one, it is for all.
    pub(super) routes: Vec<(Option<String>, Draft)>,
    pub(super) limits: Vec<Entry>,
}

impl Document {
    /// The text; `header` is its first comment. `with_comments` says whether lines say where they came from.
    pub(in crate::import) fn text(&self, header: &str, with_comments: bool) -> String {
        let mut sections = vec![Entry::new("listeners", Yaml::List(self.listeners.clone()), "")];
        let mut upstreams = self.upstreams.clone();
        if upstreams.is_empty() {
            // There has to be one.
            let keys = vec![
                Entry::new("nodes", Yaml::texts(["127.0.0.1:3000"]), ""),
                Entry::new("health", Yaml::plain("off"), ""),
            ];
            upstreams.push(Entry::new("none", Yaml::Map(keys), "no route leads here"));
        }
        sections.push(Entry::new("upstreams", Yaml::Map(upstreams), ""));
        let routes =
            self.routes.iter().map(|(host, draft)| route(host.as_deref(), draft)).collect();
        sections.push(Entry::new("routes", Yaml::List(routes), ""));
        if !self.limits.is_empty() {
            sections.push(Entry::new("client_limits", Yaml::Map(self.limits.clone()), ""));
        }
        let mut text = String::new();
        for line in header.lines() {
            text.push_str(&format!("# {}\n", comment(line)));
        }
        for section in sections {
            text.push('\n');
            Yaml::Map(vec![section]).write(0, with_comments, &mut text);
        }
        text
    }

    /// Answers 501 on the route at `index`, because what it says is not accepted. `None` if it does that
    /// already; then it is removed.
    pub(in crate::import) fn give_up_route(&mut self, index: usize) -> Option<Position> {
        let (_, draft) = self.routes.get_mut(index)?;
        let at = draft.at.clone();
        let is_given_up = !draft.is_carried;
        if is_given_up {
            self.routes.remove(index);
        } else {
            let keys = vec![Entry::new("status", Yaml::plain(501), "not carried over")];
            draft.body = vec![Entry::new("respond", Yaml::Map(keys), "")];
            draft.is_carried = false;
        }
        Some(at)
    }

    /// Whether a route answers as nginx did.
    pub(in crate::import) fn has_routes(&self) -> bool {
        self.routes.iter().any(|(_, draft)| draft.is_carried)
    }

    /// Removes the keys of the upstream `name` but its nodes.
    pub(in crate::import) fn reduce_upstream(&mut self, name: &str) {
        for upstream in self.upstreams.iter_mut().filter(|upstream| upstream.key == name) {
            if let Yaml::Map(keys) = &mut upstream.value {
                let is_reduced = keys.iter().all(|entry| entry.key == "nodes");
                keys.retain(|entry| entry.key == "nodes" && !is_reduced);
                if keys.is_empty() {
                    keys.push(Entry::new(
                        "nodes",
                        Yaml::texts(["127.0.0.1:3000"]),
                        "the nodes are not accepted",
                    ));
                }
            }
        }
    }

    /// Leaves nothing of the listener at `index` but its address.
    pub(in crate::import) fn reduce_listener(&mut self, index: usize) {
        if let Some(Yaml::Map(keys)) = self.listeners.get_mut(index) {
            keys.retain(|entry| entry.key == "bind");
        }
    }

    /// Removes the limits of clients.
    pub(in crate::import) fn drop_limits(&mut self) {
        self.limits.clear();
    }
}

fn route(host: Option<&str>, draft: &Draft) -> Yaml {
    let mut keys = Vec::new();
    let path = match &draft.path {
        RoutePath::Prefix(path) => Yaml::text(path),
        RoutePath::Exact(path) => Yaml::Map(vec![Entry::new("exact", Yaml::text(path), "")]),
        RoutePath::Regex(path) => Yaml::Map(vec![Entry::new("regex", Yaml::text(path), "")]),
    };
    if let Some(host) = host {
        keys.push(Entry::new("host", Yaml::text(host), "server_name"));
    }
    keys.push(Entry::new("path", path, draft.from.clone()));
    keys.extend(draft.body.iter().cloned());
    Yaml::Map(keys)
}
