//! Gives placeholders of templates a value with which the rest can be understood, and asks for the right
//! one.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::collections::{BTreeMap, BTreeSet};

use super::Read;
use super::placeholder::{default_of, name_of, placeholder};
use crate::nginx::finding::{Finding, Level};
use crate::nginx::tree::{Directive, Position};

/// Replaces all placeholders in what was read.
pub(super) fn substitute(read: &mut Read) {
    let mut substitution = Substitution::default();
    variables(&read.directives, &mut substitution.own);
    read.directives = substitution.all(std::mem::take(&mut read.directives));
    for (written, (at, value)) in substitution.found {
        let (what, remedy) = match default_of(&written) {
            Some(default) => {
                (format!("{written} stands for a value; its default {default} was taken"), "")
            }
            None => (
                format!(
                    "{written} stands for a value that the file does not have; {value} was written"
                ),
                "put the right value into the new file",
            ),
        };
        let level = if remedy.is_empty() { Level::Note } else { Level::ByHand };
        read.findings.push(Finding::new(level, "placeholder", Some(&at), what, remedy));
    }
}

#[derive(Default)]
struct Substitution {
    /// The variables that the file defines.
    own: BTreeSet<String>,
    /// Each placeholder, with its first place and its value.
    found: BTreeMap<String, (Position, String)>,
}

impl Substitution {
    fn all(&mut self, directives: Vec<Directive>) -> Vec<Directive> {
        let mut kept = Vec::with_capacity(directives.len());
        for mut directive in directives {
            if placeholder(&directive.name).is_some_and(|it| !self.is_own(it)) {
                self.name(&mut directive, &mut kept);
                continue;
            }
            let name = directive.name.clone();
            for word in &mut directive.arguments {
                word.text = self.text(&word.text, &word.at, &name);
            }
            directive.block = directive.block.map(|block| self.all(block));
            kept.push(directive);
        }
        kept
    }

    /// A placeholder that stands for whole directives, or that is the key of an entry.
    fn name(&mut self, directive: &mut Directive, kept: &mut Vec<Directive>) {
        let written = directive.name.clone();
        if directive.arguments.is_empty() && directive.block.is_none() {
            let value = "nothing".to_owned();
            self.found.entry(written).or_insert_with(|| (directive.at.clone(), value));
            return;
        }
        directive.name = self.text(&written, &directive.at, "");
        let block = directive.block.take();
        directive.block = block.map(|block| self.all(block));
        kept.push(directive.clone());
    }

    /// `text` with a value for each placeholder.
    fn text(&mut self, text: &str, at: &Position, directive: &str) -> String {
        let (mut result, mut rest) = (String::new(), text);
        // What cannot be a placeholder is skipped, up to a bound that no sane text reaches.
        for _ in 0..PLACEHOLDERS_MAX {
            let Some(found) = placeholder(rest) else { break };
            let Some(start) = rest.find(found) else { break };
            let (before, after) = (rest.get(..start), rest.get(start + found.len()..));
            let (Some(before), Some(after)) = (before, after) else { break };
            result.push_str(before);
            if self.is_own(found) {
                result.push_str(found);
            } else {
                let value = value(found, directive, before, after);
                let entry = (at.clone(), value.clone());
                self.found.entry(found.to_owned()).or_insert(entry);
                result.push_str(&value);
            }
            rest = after;
        }
        result + rest
    }

    fn is_own(&self, found: &str) -> bool {
        found.starts_with('$') && self.own.contains(name_of(found))
    }
}

/// The variables that directives define.
fn variables(directives: &[Directive], own: &mut BTreeSet<String>) {
    for directive in directives {
        if matches!(&*directive.name, "set" | "map" | "geo" | "split_clients" | "auth_request_set")
        {
            own.extend(
                directive.texts().filter_map(|text| text.strip_prefix('$')).map(str::to_owned),
            );
        }
        variables(directive.children(), own);
    }
}

/// A value for `found` that has the form of what the directive needs.
fn value(found: &str, directive: &str, before: &str, after: &str) -> String {
    if let Some(default) = default_of(found) {
        return default.to_owned();
    }
    let name = name_of(found);
    let plain = name.to_ascii_lowercase().replace('_', "-");
    let plain = plain.trim_matches('-').to_owned();
    let is_port = before.ends_with(':') && !after.starts_with("//") || plain.ends_with("port");
    match directive {
        "listen" if plain == "ip" || plain.ends_with("-ip") => "0.0.0.0".to_owned(),
        "listen" => "8080".to_owned(),
        _ if is_port => "3000".to_owned(),
        "proxy_pass" if before.is_empty() => format!("http://{plain}"),
        "location" if before.is_empty() && after.is_empty() => format!("/{plain}/"),
        "location" | "server_name" | "proxy_pass" | "server" | "upstream" => plain,
        "root" | "alias" | "ssl_certificate" | "ssl_certificate_key" if before.is_empty() => {
            format!("/{plain}")
        }
        _ => plain,
    }
}

/// Of one word.
const PLACEHOLDERS_MAX: usize = 64;
