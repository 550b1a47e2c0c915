//! Fields of CORS as `cors` of a route.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::time::Duration;

use super::Mapper;
use super::fields::{from, is_token};
use super::yaml::{Entry, Yaml};
use crate::nginx::Directive;
use crate::nginx::{LevelId, Model};

impl Mapper<'_> {
    /// `cors` for `level`, if its fields say which pages may read responses.
    pub(super) fn cors(&mut self, level: LevelId) -> Option<Entry> {
        let model = self.model;
        let allowed = cors_field(model, level, "access-control-allow-origin")?;
        let folded = self.model.fold(level, allowed.argument(1).unwrap_or_default());
        let credentials = cors_field(model, level, "access-control-allow-credentials");
        let credentials = credentials.filter(|it| it.argument(1) == Some("true"));
        let origin = match &*folded {
            "*" => "any",
            "${http_origin}" if credentials.is_none() => "any",
            other if is_origin(other) => other,
            _ => {
                let why =
                    "pages of all origins would get credentials, or a condition decides which";
                let remedy = "name the pages: cors: { origins: [https://app.example.com], credentials: true }";
                self.ledger.by_hand("cors", allowed, why, remedy);
                return None;
            }
        };
        if let (Some(credentials), "any") = (credentials, origin) {
            let what = "with the origin * browsers do not accept it";
            self.ledger.note(
                "cors-credentials",
                credentials,
                what,
                "name the origins, and set credentials: true",
            );
        }
        let mut keys = vec![Entry::new("origins", Yaml::texts([origin]), from(allowed))];
        if credentials.is_some() && origin != "any" {
            keys.push(Entry::new("credentials", Yaml::plain(true), ""));
        }
        let methods = self.cors_list(level, "access-control-allow-methods", |method| {
            method.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-')
                && method != "OPTIONS"
        });
        keys.extend(methods.map(|methods| Entry::new("methods", methods, "")));
        let headers = self.cors_list(level, "access-control-allow-headers", is_token);
        keys.extend(headers.map(|headers| Entry::new("headers", headers, "")));
        let exposed = self.cors_list(level, "access-control-expose-headers", is_token);
        keys.extend(exposed.map(|exposed| Entry::new("expose_headers", exposed, "")));
        let age = cors_field(model, level, "access-control-max-age")
            .and_then(|it| it.argument(1)?.parse().ok());
        if let Some(age) = age {
            let seconds = Duration::from_secs(age).min(DAY).as_secs();
            keys.push(Entry::new("max_age", Yaml::plain(format!("{seconds}s")), ""));
        }
        Some(Entry::new("cors", Yaml::Map(keys), ""))
    }

    /// The words of a list; `None` if all are allowed, or there is no list.
    fn cors_list(
        &self,
        level: LevelId,
        name: &str,
        is_word: impl Fn(&str) -> bool,
    ) -> Option<Yaml> {
        let directive = cors_field(self.model, level, name)?;
        let value = self.model.fold(level, directive.argument(1).unwrap_or_default());
        let words: Vec<&str> =
            value.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
        if words.contains(&"*") || value.contains('$') {
            return None;
        }
        let mut words: Vec<&str> = words.into_iter().filter(|word| is_word(word)).collect();
        words.sort_unstable();
        words.dedup();
        (!words.is_empty()).then(|| Yaml::texts(words))
    }
}

/// The field that is added in `level`, or in its `if` for preflights.
fn cors_field<'m>(model: &'m Model, level: LevelId, name: &str) -> Option<&'m Directive> {
    let is_field = |it: &&Directive| {
        it.name == "add_header"
            && it.argument(0).is_some_and(|field| field.eq_ignore_ascii_case(name))
    };
    let effective = model.effective_all(level, "add_header").into_iter().find(is_field);
    let conditional = model.own(level).iter().filter(|it| it.name == "if");
    effective.or_else(|| conditional.flat_map(|it| it.children()).find(is_field))
}

/// Whether `text` is `https://app.example.com`.
fn is_origin(text: &str) -> bool {
    let Some((scheme, authority)) = text.split_once("://") else { return false };
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:*".contains(&byte);
    matches!(scheme, "http" | "https") && !authority.is_empty() && authority.bytes().all(is_name)
}

const DAY: Duration = Duration::from_hours(24);
