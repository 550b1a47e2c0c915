//! Problems in `auth:`: files of keys and users, and TLS to an authorization service.

use std::fs;
use std::path::Path;

use crate::access::{AuthSettings, RuleFile};
use crate::config::{Config, Problems, Source, load, load_with_files, parse_alone};
use crate::tls::Verify;

/// By libxcrypt: `secret`.
const ANN: &str = "ann:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n";

/// A JWK set with a secret, `a` in base64 32 times.
const JWKS: &str = r#"{"keys":[{"kty":"oct","k":"YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE"}]}"#;

fn with_auth(directory: &Path, auth: &str) -> Result<Config, Problems> {
    let path = directory.join("sockeye.yaml");
    let upstream = "upstreams: { chat: { nodes: [b:1] } }";
    let text = format!("{upstream}\nroutes:\n  - upstream: chat\n    auth: {{ {auth} }}\n");
    fs::write(&path, text).unwrap();
    load(&path)
}

#[test]
fn a_relative_path_is_relative_to_the_configuration() {
    let directory = tempfile::tempdir().unwrap();
    let inside = |name: &str| directory.path().join(name);
    fs::create_dir(inside("keys")).unwrap();
    fs::write(inside("keys/users"), ANN).unwrap();
    fs::write(inside("keys/jwks.json"), JWKS).unwrap();
    let resolved = |auth: &str| {
        let config = with_auth(directory.path(), auth).unwrap();
        match config.routes[0].access.auth.clone().unwrap() {
            AuthSettings::Basic(basic) => basic.file.into_iter().collect(),
            AuthSettings::Jwt(jwt) => jwt.jwks.into_iter().chain(jwt.public_keys).collect(),
            AuthSettings::Forward(_) => Vec::new(),
        }
    };
    assert_eq!(resolved("basic: { htpasswd_file: keys/users }"), [inside("keys/users")]);
    assert_eq!(resolved("jwt: { jwks_file: keys/jwks.json }"), [inside("keys/jwks.json")]);
    let absolute = format!("basic: {{ htpasswd_file: '{}' }}", inside("keys/users").display());
    assert_eq!(resolved(&absolute), [inside("keys/users")]);
}

#[test]
fn a_file_that_cannot_be_used_is_reported_where_it_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    let check = |auth: &str, held: Option<&str>, (key, kind): (&str, RuleFile), what: &str| {
        match held {
            Some(text) => fs::write(&file, text).unwrap(),
            None => drop(fs::remove_file(&file)),
        }
        let problems = with_auth(directory.path(), auth).unwrap_err();
        let found: Vec<_> = problems.iter().collect();
        let [problem] = found[..] else { panic!("{problems}") };
        assert_eq!(problem.path, format!("routes[0].auth.{key}"), "{auth}");
        let said = format!("cannot be used: {}: {what}", file.display());
        assert!(problem.what.starts_with(&said), "{auth}: {}", problem.what);
        assert_eq!(problem.help.as_deref(), Some(kind.help()), "{auth}");
        assert!(problems.to_string().contains("sockeye.yaml:4:"), "{problems}");
    };
    let users = ("basic.htpasswd_file", RuleFile::Users);
    check("basic: { htpasswd_file: file }", None, users, "No such file");
    check("basic: { htpasswd_file: file }", Some("ann:1"), users, "line 1: the hash");
    let jwks = ("jwt.jwks_file", RuleFile::JwkSet);
    check("jwt: { jwks_file: file }", None, jwks, "No such file");
    check("jwt: { jwks_file: file }", Some("{}"), jwks, "it is no JWK set");
    let pem = ("jwt.pem_files[0]", RuleFile::PublicKey);
    check("jwt: { pem_files: [file] }", None, pem, "No such file");
    check("jwt: { pem_files: [file] }", Some("x"), pem, "it has no public key");
}

#[test]
fn a_file_that_cannot_be_used_is_watched_until_it_can() {
    let directory = tempfile::tempdir().unwrap();
    let (file, path) = (directory.path().join("users"), directory.path().join("sockeye.yaml"));
    with_auth(directory.path(), "basic: { htpasswd_file: users }").unwrap_err();
    assert_eq!(load_with_files(&Source::yaml(path.clone())).files, std::slice::from_ref(&file));
    fs::write(&file, ANN).unwrap();
    let loaded = load_with_files(&Source::yaml(path.clone()));
    loaded.outcome.unwrap();
    assert_eq!(loaded.files, Vec::<std::path::PathBuf>::new(), "its route follows it");
}

#[test]
fn the_url_of_a_service_turns_tls_on() {
    let service = |forward: &str| {
        let upstream = "upstreams: { chat: { nodes: [b:1] } }";
        let text = format!("{upstream}\nroutes: [{{ upstream: chat, auth: {{ {forward} }} }}]");
        let config = parse_alone("a.yaml", &text).map_err(|problems| problems.to_string())?;
        Ok::<_, String>(config.routes[0].access.service().cloned().unwrap())
    };
    assert!(service("forward: 'http://a'").unwrap().tls.is_none());
    for forward in ["forward: 'https://a'", "forward: { url: 'https://a' }"] {
        let settings = service(forward).unwrap().tls.unwrap().settings().clone();
        assert_eq!(settings.verify, Verify::Authorities(None), "{forward}");
    }
    let own = service("forward: { url: 'https://a', tls: { ca: /ca.pem } }").unwrap();
    let files: Vec<_> = own.tls.unwrap().settings().files().cloned().collect();
    assert_eq!(files, [Path::new("/ca.pem")]);
    let problem = service("forward: { url: 'http://a', tls: { ca: /ca.pem } }").unwrap_err();
    assert!(problem.contains("routes[0].auth.forward.tls: is for a service of https"), "{problem}");
}

#[test]
fn a_file_of_tls_to_a_service_is_checked_and_named() {
    let directory = tempfile::tempdir().unwrap();
    let auth = "forward: { url: 'https://a', tls: { ca: ca.pem } }";
    let problems = with_auth(directory.path(), auth).unwrap_err();
    assert_eq!(problems.iter().next().unwrap().path, "routes[0].auth.forward.tls.ca");
    let files = load_with_files(&Source::yaml(directory.path().join("sockeye.yaml"))).files;
    assert_eq!(files, [directory.path().join("ca.pem")]);
}
