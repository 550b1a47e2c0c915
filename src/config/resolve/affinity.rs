//! `affinity:`
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::sync::Arc;

use super::balance;
use crate::affinity::settings::{CookieSettings, Secret, Settings, SidSettings, TagForm};
use crate::config::file::affinity::{Affinity, Cookie, Sid};
use crate::yaml::{Diagnostic, KeyPath, List, Report, TextOr};

/// The rule at `path`; by default `sid`.
pub(super) fn resolve(
    path: &KeyPath,
    written: Option<&TextOr<Affinity>>,
    report: &mut Report<'_>,
) -> Settings {
    let written = match written {
        None => return Settings::default(),
        Some(TextOr::Text(word)) => {
            return report.read(path, Some(word), Settings::None, rule_of_word);
        }
        Some(TextOr::Map(written)) => written,
    };
    let sid = report.chosen(&path.key("sid"), written.sid.as_ref(), "sid: {}, or affinity: sid");
    let cookie_help = "cookie: {}, or affinity: cookie";
    let cookie = report.chosen(&path.key("cookie"), written.cookie.as_ref(), cookie_help);
    let by_help = "rendezvous: { by: address }";
    let rendezvous = report.chosen(&path.key("rendezvous"), written.rendezvous.as_ref(), by_help);
    match (sid, cookie, rendezvous) {
        (Some(sid), None, None) => Settings::Sid(by_sid(&path.key("sid"), sid, report)),
        (None, Some(cookie), None) => {
            Settings::Cookie(by_cookie(&path.key("cookie"), cookie, report))
        }
        (None, None, Some(by)) => {
            Settings::Rendezvous(balance::key(&path.key("rendezvous"), by, report))
        }
        (None, None, None)
        | (Some(_), Some(_), _)
        | (Some(_), _, Some(_))
        | (_, Some(_), Some(_)) => {
            let diagnostic = Diagnostic::new("must be one rule");
            report.refuse(path, diagnostic.help("write one of: sid, cookie, rendezvous, none"));
            Settings::None
        }
    }
}

fn rule_of_word(word: &str) -> Result<Settings, Diagnostic> {
    match word {
        "sid" => Ok(Settings::default()),
        "cookie" => Ok(Settings::Cookie(CookieSettings { name: cookie_name(), keys: Vec::new() })),
        "none" => Ok(Settings::None),
        "rendezvous" => Err(Diagnostic::new("needs the key `by`")
            .help("write { rendezvous: { by: address } }, or by a header or a query parameter")),
        _ => Err(Diagnostic::none_of("is not an affinity", word, RULES.into_iter())),
    }
}

fn by_sid(path: &KeyPath, sid: &Sid, report: &mut Report<'_>) -> SidSettings {
    SidSettings {
        keys: secrets(&path.key("keys"), &sid.keys, report),
        tag_eio3: sid.tag_eio3.unwrap_or(false),
        tag: report.read(&path.key("tag"), sid.tag.as_deref(), TagForm::default(), tag_form),
    }
}

fn tag_form(word: &str) -> Result<TagForm, Diagnostic> {
    let forms = [TagForm::Long, TagForm::Short];
    let form = forms.into_iter().find(|form| form.label() == word);
    form.ok_or_else(|| {
        Diagnostic::none_of("is not a form of the tag", word, forms.map(TagForm::label).into_iter())
    })
}

fn by_cookie(path: &KeyPath, cookie: &Cookie, report: &mut Report<'_>) -> CookieSettings {
    let name = cookie.name.as_deref();
    CookieSettings {
        name: report
            .read(&path.key("name"), name, cookie_name(), |name| token(name).map(|()| name.into())),
        keys: secrets(&path.key("keys"), &cookie.keys, report),
    }
}

/// A cookie's name is a token (RFC 6265, section 4.1.1; RFC 9110, section 5.6.2).
pub(super) fn token(name: &str) -> Result<(), Diagnostic> {
    let is_token_byte = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if !name.is_empty() && name.bytes().all(is_token_byte) {
        return Ok(());
    }
    Err(Diagnostic::new("is not a valid cookie name").help("use only letters, digits, - and _"))
}

fn secrets(path: &KeyPath, written: &List<String>, report: &mut Report<'_>) -> Vec<Secret> {
    let items = written.iter().flatten().enumerate();
    let items = report.filled(items.map(|(i, item)| (path.index(i), item.as_ref())));
    let mut secrets = Vec::new();
    for (path, text) in items {
        if text.chars().count() < SECRET_CHARACTERS_MIN {
            let diagnostic = Diagnostic::new(format!(
                "is too short for a secret: at least {SECRET_CHARACTERS_MIN} characters"
            ));
            report.refuse(&path, diagnostic.help("write what `openssl rand -base64 24` prints"));
        }
        secrets.push(Secret(text.as_str().into()));
    }
    secrets
}

fn cookie_name() -> Arc<str> {
    CookieSettings::NAME.into()
}

/// Shorter ones can be guessed.
const SECRET_CHARACTERS_MIN: usize = 16;
const RULES: [&str; 4] = ["sid", "cookie", "rendezvous", "none"];
