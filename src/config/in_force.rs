//! The configuration that is in force, and the changes in the file that need a restart.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::net::SocketAddr;

use serde_yaml::{Mapping, Value};

use super::Config;
use crate::logging::{self, Format};

/// The configuration that is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InForce {
    /// The values in force.
    pub config: Config,
    /// The values in the file that differ from them.
    pub after_restart: AfterRestart,
}

/// New values of the keys that only a restart changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct AfterRestart {
    /// The admin listener's address; `Some(None)` turns the listener off.
    pub admin: Option<Option<SocketAddr>>,
    /// The format of the log.
    pub log_format: Option<Format>,
}

impl InForce {
    /// The configuration at the start of the process.
    pub(crate) fn new(config: Config) -> Self {
        Self { config, after_restart: AfterRestart::default() }
    }

    /// What is in force after the running process has applied `next`.
    pub(crate) fn followed_by(&self, next: Config) -> Self {
        let format = self.config.log.format;
        let [bind, next_bind] =
            [&self.config, &next].map(|config| config.admin.as_ref().map(|admin| admin.bind));
        let admin = match (&self.config.admin, &next.admin) {
            (Some(admin), Some(next)) => Some(admin.followed_by(next)),
            (admin, None) => admin.clone(),
            (None, Some(_)) => None,
        };
        let after_restart = AfterRestart {
            admin: (next_bind != bind).then_some(next_bind),
            log_format: (next.log.format != format).then_some(next.log.format),
        };
        let log = logging::Settings { format, ..next.log };
        Self { config: Config { admin, log, ..next }, after_restart }
    }
}

impl AfterRestart {
    /// Whether no key needs a restart.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The keys that need a restart: `admin.bind, log.format`.
    pub(crate) fn keys(&self) -> String {
        let admin = self.admin.map(|_| "admin.bind");
        let format = self.log_format.map(|_| "log.format");
        admin.into_iter().chain(format).collect::<Vec<_>>().join(", ")
    }

    /// The values that need a restart, with the keys of the file.
    pub(crate) fn render(&self) -> Value {
        let admin = self.admin.map(super::render::admin_bind);
        let log = self.log_format.map(super::render::log_format);
        let sections = [("admin", admin), ("log", log)].into_iter();
        let sections = sections.filter_map(|(key, shown)| Some((key.into(), shown?)));
        Value::Mapping(Mapping::from_iter(sections))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    fn config(more: &str) -> Config {
        let least = "upstreams: { a: { nodes: [b:1] } }\nroutes: [{ upstream: a }]";
        parse("a.yaml", &format!("{least}\n{more}")).unwrap()
    }

    #[test]
    fn who_may_use_the_admin_listener_needs_no_restart() {
        let auth = |name: &str| {
            let hash = "0".repeat(64);
            let keys = format!("auth: {{ read_keys: ['{name}:sha256${hash}'] }}");
            config(&format!("admin: {{ bind: '127.0.0.1:1', {keys} }}"))
        };
        let start = InForce::new(config("admin: { bind: '127.0.0.1:1' }"));
        let now = start.followed_by(auth("a"));
        assert!(now.after_restart.is_empty());
        let operators = now.config.admin.as_ref().and_then(|admin| admin.auth.clone()).unwrap();
        let same = now.followed_by(auth("a")).config.admin.and_then(|admin| admin.auth).unwrap();
        assert!(std::sync::Arc::ptr_eq(&operators, &same), "it knows who was wrong recently");
        let off = now.followed_by(config(""));
        assert_eq!(off.config.admin, now.config.admin, "it is not open until the restart");
        assert_eq!(
            now.followed_by(config("admin: { bind: '127.0.0.1:1' }")).config.admin,
            start.config.admin
        );
    }

    #[test]
    fn a_key_that_needs_a_restart_is_not_in_force() {
        let start = InForce::new(config("admin: { bind: '127.0.0.1:1' }"));
        assert!(start.after_restart.is_empty());

        let next = config("admin: { bind: '127.0.0.1:2' }\nlog: { format: json, level: warn }");
        let now = start.followed_by(next);
        assert_eq!(now.config.admin, start.config.admin);
        assert_eq!(now.config.log.format, Format::Text);
        assert_eq!(now.config.log.level, tracing::Level::WARN);
        assert_eq!(now.after_restart.keys(), "admin.bind, log.format");
        let shown = serde_yaml::to_string(&now.after_restart.render()).unwrap();
        assert_eq!(shown, "admin:\n  bind: 127.0.0.1:2\nlog:\n  format: json\n");

        let off = now.followed_by(config(""));
        assert_eq!(off.after_restart.keys(), "admin.bind");
        let shown = serde_yaml::to_string(&off.after_restart.render()).unwrap();
        assert_eq!(shown, "admin:\n  bind: off\n");
        assert!(off.followed_by(config("admin: { bind: '127.0.0.1:1' }")).after_restart.is_empty());
    }
}
