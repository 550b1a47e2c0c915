//! `auth:`
//!
//! Runs at start, at reload, or on a timer.

use std::path::PathBuf;

use http::HeaderName;

use super::affinity::token;
use super::forward_auth;
use crate::access::{
    AuthSettings, BasicSettings, JwtSettings, RuleFile, SECRET_BYTES_MIN, TokenPlaces, TokenSecret,
    check_line, may_be_owned,
};
use crate::config::file::access::{Auth, Basic, Claim, Jwt};
use crate::config::named_files::NamedFiles;
use crate::form;
use crate::yaml::{Diagnostic, KeyPath, List, Report};

/// How clients say who they are, at `path`.
pub(super) fn resolve(
    path: &KeyPath,
    auth: &Auth,
    files: &mut NamedFiles,
    report: &mut Report<'_>,
) -> Option<AuthSettings> {
    let help = "jwt: { jwks_file: /etc/sockeye/jwks.json }";
    let token = report.chosen(&path.key("jwt"), auth.jwt.as_ref(), help);
    let help = "forward: http://127.0.0.1:9000/check";
    let service = report.chosen(&path.key("forward"), auth.forward.as_ref(), help);
    let help = "basic: { htpasswd_file: /etc/sockeye/htpasswd }";
    let passwords = report.chosen(&path.key("basic"), auth.basic.as_ref(), help);
    let kinds = [auth.jwt.is_some(), auth.forward.is_some(), auth.basic.is_some()];
    if kinds.into_iter().filter(|is_written| *is_written).count() != 1 {
        let diagnostic = Diagnostic::new("must be one kind");
        report.refuse(path, diagnostic.help("write one of: jwt, forward, basic"));
        return None;
    }
    if let Some(written) = token {
        return Some(AuthSettings::Jwt(jwt(&path.key("jwt"), written, files, report)));
    }
    if let Some(written) = passwords {
        return Some(AuthSettings::Basic(basic(&path.key("basic"), written, files, report)));
    }
    let settings = forward_auth::resolve(&path.key("forward"), service?, files, report)?;
    Some(AuthSettings::Forward(settings))
}

fn basic(
    path: &KeyPath,
    written: &Basic,
    files: &mut NamedFiles,
    report: &mut Report<'_>,
) -> BasicSettings {
    if written.passwords.as_ref().is_none_or(Vec::is_empty) && written.htpasswd_file.is_none() {
        let diagnostic = Diagnostic::new("has no user");
        report.refuse(path, diagnostic.help("write one of: passwords, htpasswd_file"));
    }
    let lines = report.list(&path.key("passwords"), &written.passwords, password_line);
    let default = BasicSettings::REALM.to_owned();
    BasicSettings {
        passwords: lines,
        file: rule_file(
            &path.key("htpasswd_file"),
            written.htpasswd_file.as_deref(),
            (RuleFile::Users, files),
            report,
        ),
        realm: report.read(&path.key("realm"), written.realm.as_deref(), default, realm),
        user_field: report.optional(&path.key("user_field"), written.user_field.as_deref(), field),
    }
}

fn password_line(text: &str) -> Result<TokenSecret, Diagnostic> {
    let line = check_line(text).map(|()| TokenSecret::new(text));
    line.map_err(|what| {
        let diagnostic = Diagnostic::new(format!("is not a user: {what}"));
        diagnostic.help("write what `htpasswd -nB NAME` prints, in single quotes")
    })
}

fn realm(text: &str) -> Result<String, Diagnostic> {
    let is_plain = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b'"' && byte != b'\\';
    match !text.is_empty() && text.bytes().all(is_plain) {
        true => Ok(text.to_owned()),
        false => Err(Diagnostic::new("is not a realm")
            .help("write letters of ASCII, without quotation marks and backslashes")),
    }
}

fn jwt(
    path: &KeyPath,
    written: &Jwt,
    files: &mut NamedFiles,
    report: &mut Report<'_>,
) -> JwtSettings {
    let has_items = |list: &List<String>| list.as_ref().is_some_and(|list| !list.is_empty());
    if !has_items(&written.secrets) && !has_items(&written.pem_files) && written.jwks_file.is_none()
    {
        let diagnostic = Diagnostic::new("has no key");
        report.refuse(path, diagnostic.help("write one of: secrets, pem_files, jwks_file"));
    }
    let secrets = report.list(&path.key("secrets"), &written.secrets, secret);
    let at_pem = path.key("pem_files");
    let pem = written.pem_files.iter().flatten().enumerate();
    let pem = report.filled(pem.map(|(i, item)| (at_pem.index(i), item.as_deref())));
    let public_keys = pem.into_iter().filter_map(|(path, text)| {
        rule_file(&path, Some(text), (RuleFile::PublicKey, files), report)
    });
    let public_keys = public_keys.collect();
    let (at_jwks, jwks) = (path.key("jwks_file"), written.jwks_file.as_deref());
    let places = TokenPlaces {
        cookie: report.optional(&path.key("cookie"), written.cookie.as_deref(), |name| {
            token(name).map(|()| name.into())
        }),
        query: report.optional(&path.key("query"), written.query.as_deref(), |name| {
            super::balance::query_name(name).map(|()| name.into())
        }),
    };
    JwtSettings {
        secrets,
        public_keys,
        jwks: rule_file(&at_jwks, jwks, (RuleFile::JwkSet, files), report),
        issuers: report.list(&path.key("issuers"), &written.issuers, not_empty),
        audiences: report.list(&path.key("audiences"), &written.audiences, not_empty),
        places,
        claims: claims(&path.key("claims"), &written.claims, report),
        close_expired: written.close_expired.unwrap_or(false),
    }
}

fn claims(
    path: &KeyPath,
    written: &List<Claim>,
    report: &mut Report<'_>,
) -> Vec<(String, HeaderName)> {
    let items = written.iter().flatten().enumerate();
    let items = report.filled(items.map(|(i, item)| (path.index(i), item.as_ref())));
    let mut claims = Vec::new();
    for (path, Claim { claim, field: name }) in items {
        let example = "{ claim: sub, field: X-User-Id }";
        let claim = report.require(&path.key("claim"), claim.as_deref(), example, not_empty);
        let name = report.require(&path.key("field"), name.as_deref(), example, field);
        claims.extend(claim.zip(name));
    }
    claims
}

/// The name of a field that tells nodes about a client.
pub(super) fn field(text: &str) -> Result<HeaderName, Diagnostic> {
    let name = form::header_name(text, "X-User-Id")?;
    match may_be_owned(&name) {
        true => Ok(name),
        false => Err(Diagnostic::new("is a field with another meaning")
            .help("write a name such as X-User-Id")),
    }
}

fn secret(text: &str) -> Result<TokenSecret, Diagnostic> {
    if text.chars().count() < SECRET_BYTES_MIN {
        let diagnostic = Diagnostic::new(format!(
            "is too short for a secret of HS256: at least {SECRET_BYTES_MIN} characters"
        ));
        return Err(diagnostic.help("write what `openssl rand -base64 48` prints"));
    }
    Ok(TokenSecret::new(text))
}

/// The file that is written at `path`; what is wrong with it is reported.
fn rule_file(
    path: &KeyPath,
    written: Option<&str>,
    (kind, files): (RuleFile, &mut NamedFiles),
    report: &mut Report<'_>,
) -> Option<PathBuf> {
    let text = report.optional(path, written, not_empty)?;
    let file = files.absolute(&text);
    if files.reader().is_some()
        && let Err(fault) = kind.check(&file)
    {
        // A reload that fails because of the file is repeated when the file changes.
        files.name(&file);
        let diagnostic = Diagnostic::new(fault.to_string());
        report.refuse(path, diagnostic.help(kind.help()));
    }
    Some(file)
}

pub(super) fn not_empty(text: &str) -> Result<String, Diagnostic> {
    match text.is_empty() {
        true => Err(Diagnostic::new("is empty").help("fill it or take it out")),
        false => Ok(text.to_owned()),
    }
}
