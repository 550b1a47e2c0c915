//! Timeouts, sizes, compression and error pages of a route.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::time::Duration;

use super::Mapper;
use super::fields::from;
use super::yaml::{Entry, Yaml};
use crate::nginx::{LevelId, Server, size, time};

impl Mapper<'_> {
    /// `response_timeout`, `request_body_timeout`, `body_max` and `tunnel` in `level`.
    pub(super) fn limits(&mut self, level: LevelId, is_engineio: bool) -> Vec<Entry> {
        let mut entries = Vec::new();
        let hour = Duration::from_hours(1);
        let mut tunnel = None;
        if let Some(directive) = self.model.effective(level, "proxy_read_timeout") {
            self.ledger.carried(directive);
            match directive.argument(0).and_then(time) {
                None => self.ledger.by_hand(
                    "timeout",
                    directive,
                    "it is no time",
                    "write response_timeout",
                ),
                Some(_) if is_engineio => {
                    let what =
                        "the timeouts of Socket.IO are taken from the handshake of each session";
                    self.ledger.note("timeouts", directive, what, "");
                }
                Some(timeout) if timeout == DEFAULT => (),
                Some(timeout) => {
                    let response = timeout.clamp(Duration::from_secs(1), hour);
                    let said = Yaml::text(shown(response));
                    entries.push(Entry::new("response_timeout", said, from(directive)));
                    let idle = match timeout > 24 * hour {
                        true => Yaml::plain("off"),
                        false => Yaml::text(shown(timeout.max(Duration::from_secs(1)))),
                    };
                    let idle = Entry::new("idle_timeout", idle, from(directive));
                    tunnel = Some(Entry::new("tunnel", Yaml::Map(vec![idle]), ""));
                }
            }
        }
        if let Some(directive) = self.model.effective(level, "proxy_send_timeout") {
            self.ledger.carried(directive);
            let timeout =
                directive.argument(0).and_then(time).filter(|it| *it != DEFAULT && !is_engineio);
            if let Some(timeout) = timeout.map(|it| it.clamp(Duration::from_secs(1), hour)) {
                entries.push(Entry::new(
                    "request_body_timeout",
                    Yaml::text(shown(timeout)),
                    from(directive),
                ));
            }
        }
        entries.extend(self.body_max(level, is_engineio));
        entries.extend(tunnel);
        entries
    }

    fn body_max(&mut self, level: LevelId, is_engineio: bool) -> Option<Entry> {
        let directive = self.model.effective(level, "client_max_body_size")?;
        self.ledger.carried(directive);
        let Some(bytes) = directive.argument(0).and_then(size) else {
            self.ledger.by_hand("body-size", directive, "it is no size", "write body_max");
            return None;
        };
        if is_engineio {
            let what =
                "the size of messages is taken from the handshake of each session (maxPayload)";
            self.ledger.note("body-size", directive, what, "");
            return None;
        }
        let text = match bytes {
            // No limit; ours is the greatest that there is.
            0 => "1024GiB".to_owned(),
            bytes => bytes_shown(bytes.min(1 << 40)),
        };
        Some(Entry::new("body_max", Yaml::text(text), from(directive)))
    }

    /// `compress` in `level`.
    pub(super) fn compress(&mut self, level: LevelId) -> Option<Entry> {
        let gzip = ["gzip", "brotli", "zstd"].iter().find_map(|name| {
            self.model.effective(level, name).filter(|it| it.argument(0) == Some("on"))
        });
        for name in ["gzip", "brotli", "zstd"] {
            if let Some(directive) = self.model.effective(level, name) {
                self.ledger.carried(directive);
            }
        }
        let gzip = gzip?;
        let mut keys = Vec::new();
        if let Some(directive) = self.model.effective(level, "gzip_types") {
            self.ledger.carried(directive);
            let is_type = |text: &&str| {
                let byte = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&byte);
                text.split_once('/').is_some_and(|(kind, sub)| {
                    !kind.is_empty() && !sub.is_empty() && kind.bytes().chain(sub.bytes()).all(byte)
                })
            };
            // Compressing it is built in.
            let mut types: Vec<&str> =
                std::iter::once("text/html").chain(directive.texts().filter(is_type)).collect();
            types.sort_unstable();
            types.dedup();
            if directive.argument(0) != Some("*") {
                keys.push(Entry::new("types", Yaml::texts(types), from(directive)));
            }
        }
        if let Some(directive) = self.model.effective(level, "gzip_min_length") {
            self.ledger.carried(directive);
            if let Some(bytes) = directive.argument(0).and_then(size) {
                let text = bytes_shown(bytes.clamp(1, 1 << 20));
                keys.push(Entry::new("min_size", Yaml::text(text), from(directive)));
            }
        }
        let value = if keys.is_empty() { Yaml::plain("on") } else { Yaml::Map(keys) };
        Some(Entry::new("compress", value, from(gzip)))
    }

    /// `error_pages` and `intercept_errors` in `level`.
    pub(super) fn error_pages(
        &mut self,
        server: &Server,
        level: LevelId,
        is_proxied: bool,
    ) -> Vec<Entry> {
        let mut pages: Vec<Entry> = Vec::new();
        for directive in self.model.effective_all(level, "error_page") {
            let words: Vec<&str> = directive.texts().collect();
            let Some((to, statuses)) = words.split_last() else { continue };
            // A jump to a named location that a target has taken into account is seen to.
            let is_jump = to.starts_with('@') && self.ledger.is_seen(directive);
            if is_jump || self.is_stock_page(server, to) {
                self.ledger.carried(directive);
                continue;
            }
            let Some(file) = self.page(server, to, statuses) else {
                let named = server.named(to).filter(|_| to.starts_with('@'));
                let own = named.map(|named| self.model.own(named.level));
                own.into_iter().flatten().for_each(|it| self.ledger.carried_whole(it));
                let why = "an error leads to a location or to another status";
                let remedy = "write error_pages with a file, or let the application answer";
                self.ledger.by_hand("error-page", directive, why, remedy);
                continue;
            };
            self.ledger.carried(directive);
            let is_error =
                |text: &&&str| text.parse().is_ok_and(|it: u16| (400..600).contains(&it));
            for status in statuses.iter().filter(is_error) {
                if pages.iter().all(|entry| entry.key != **status) {
                    pages.push(Entry::new(status, Yaml::text(&*file), from(directive)));
                }
            }
        }
        let mut entries = Vec::new();
        let intercept = self.model.effective(level, "proxy_intercept_errors");
        intercept.iter().for_each(|directive| self.ledger.carried(directive));
        if pages.is_empty() {
            return entries;
        }
        entries.push(Entry::new("error_pages", Yaml::Map(pages), ""));
        if let Some(directive) = intercept.filter(|it| is_proxied && it.argument(0) == Some("on")) {
            entries.push(Entry::new("intercept_errors", Yaml::plain(true), from(directive)));
        }
        entries
    }

    /// The file that is at the path `to` of `server`, if it can be a page.
    fn page(&self, server: &Server, to: &str, statuses: &[&str]) -> Option<String> {
        let (location, _) = self.model.find(server, to);
        let level = location.map_or(server.level, |location| location.level);
        let root = self.root(level).filter(|it| it.name == "root")?.argument(0)?;
        let is_page = [".html", ".htm", ".json", ".txt"].iter().any(|end| to.ends_with(end));
        let changes_status = statuses.iter().any(|it| it.starts_with('='));
        if !to.starts_with('/') || !is_page || root.contains('$') || changes_status {
            return None;
        }
        let root = root.trim_end_matches('/');
        let base = if root.starts_with('/') || root.is_empty() { "" } else { "/usr/share/nginx/" };
        Some(format!("{base}{root}{to}"))
    }

    /// Whether `path` is the error page that comes with nginx.
    pub(super) fn is_stock_page(&self, server: &Server, path: &str) -> bool {
        let (location, _) = self.model.find(server, path);
        let root = location.and_then(|location| self.root(location.level));
        let root = root.and_then(|root| root.argument(0)).unwrap_or("html");
        let is_stock = [
            "html",
            "/usr/share/nginx/html",
            "/usr/share/nginx/html/",
            "/usr/local/nginx/html",
            "/var/www/html",
        ];
        is_stock.contains(&root)
            && matches!(path, "/50x.html" | "50x.html" | "/404.html" | "/40x.html")
    }
}

/// A duration in our form, in one unit.
pub(super) fn shown(duration: Duration) -> String {
    let millis = duration.as_millis();
    let units = [(3_600_000, "h"), (60_000, "m"), (1000, "s")];
    let whole = units.into_iter().find(|(unit, _)| millis >= *unit && millis.is_multiple_of(*unit));
    match whole {
        Some((unit, name)) => format!("{}{name}", millis / unit),
        None => format!("{millis}ms"),
    }
}

/// A size in our form, in one unit.
fn bytes_shown(bytes: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let whole = units.into_iter().find(|(unit, _)| bytes >= *unit && bytes.is_multiple_of(*unit));
    match whole {
        Some((unit, name)) => format!("{}{name}", bytes / unit),
        None => format!("{bytes}B"),
    }
}

/// What nginx takes if nothing is said.
const DEFAULT: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_have_the_unit_in_which_they_are_whole() {
        let check = |millis: u64, expected: &str| {
            assert_eq!(shown(Duration::from_millis(millis)), expected)
        };
        check(500, "500ms");
        check(1500, "1500ms");
        check(90_000, "90s");
        check(86_400_000, "24h");
        let check = |bytes: u64, expected: &str| assert_eq!(bytes_shown(bytes), expected);
        check(1000, "1000B");
        check(16 << 10, "16KiB");
        check(1 << 40, "1024GiB");
    }
}
