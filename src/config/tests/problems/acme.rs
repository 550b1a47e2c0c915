//! Problems in `acme:`.

use super::check;
use crate::config::parse;

fn with(section: &str) -> String {
    let rest = "upstreams: { chat: { nodes: [b:1] } }\nroutes: [{ upstream: chat }]";
    format!("acme: {section}\n{rest}")
}

/// A file with a listener that has `names` of an authority.
fn with_names(names: &str) -> String {
    let rest = with("{ store: /s, agree_to_terms: true }");
    let listeners = "listeners:\n- { bind: ':80' }\n- bind: ':443'";
    format!("{listeners}\n  tls: {{ acme: {names} }}\n{rest}")
}

#[test]
fn names_that_no_authority_can_prove_are_reported() {
    let check = |name: &str, what: &str, help: &str| {
        let problems = parse("a.yaml", &with_names(&format!("['{name}']"))).unwrap_err();
        let found: Vec<_> = problems
            .iter()
            .map(|problem| (&*problem.path, &*problem.what, problem.help.as_deref().unwrap()))
            .collect();
        assert_eq!(found, [("listeners[1].tls.acme[0]", what, help)], "{name}");
    };
    let wildcard =
        "list the names, or let another program write the files of a wildcard certificate";
    check("*.example.com", "is a wildcard, which needs dns-01", wildcard);
    let name = "write a name: chat.example.com";
    check("192.0.2.1", "is an IP address", name);
    check("[::1]", "is an IP address", name);
    check("https://example.com", "is not a name", name);
    check("-a.example.com", "is not a name", name);
    check(&format!("{}com", "a.".repeat(120)), "is not a name", name);
}

#[test]
fn names_need_an_authority_and_an_authority_needs_names() {
    let text = with_names("[a.example.com]");
    let without = text.lines().filter(|line| !line.starts_with("acme")).collect::<Vec<_>>();
    let problems = parse("a.yaml", &without.join("\n")).unwrap_err().to_string();
    assert!(problems.contains("needs an authority"), "{problems}");
    assert!(problems.contains("write acme: { store: /var/lib/sockeye/acme"), "{problems}");

    let config = parse("a.yaml", &text).unwrap();
    assert_eq!(config.wanted_certificates().unwrap().names, ["a.example.com"]);
    assert_eq!(config.warnings, Vec::<String>::new());

    let unused = parse("a.yaml", &with("{ store: /s, agree_to_terms: true }")).unwrap();
    let warning = "a.yaml:1:1: acme: no listener has names for it: write them as tls.acme";
    assert_eq!(unused.warnings, [warning]);
}

#[test]
fn a_listener_that_the_authority_cannot_reach_is_warned_of() {
    let check = |from: &str, to: &str, is_warned: bool| {
        let config = parse("a.yaml", &with_names("[A.example.com]").replace(from, to)).unwrap();
        let found = config.warnings.iter().any(|warning| warning.contains("connects to port 80"));
        assert_eq!(found, is_warned, "{to}: {:?}", config.warnings);
    };
    check("", "", false);
    check("':80'", "':8080'", true);
    check("':80' }", "':8080' }\n- { bind: ':80', tls: { acme: [b.example.com] } }", true);
    check("store: /s", "store: /s, challenge: tls-alpn-01", false);
    let alpn = with_names("[a.example.com]").replace("/s,", "/s, challenge: tls-alpn-01,");
    parse("a.yaml", &alpn.replace("- { bind: ':80' }\n", "")).unwrap();
}

#[test]
fn the_terms_must_be_agreed_to() {
    check(
        &with("{ store: /s, agree_to_terms: false }"),
        "
a.yaml:1:36: acme.agree_to_terms: `false` must be true
 1 | acme: { store: /s, agree_to_terms: false }
   |                                    ^^^^^
   = help: read the terms of service of the authority, then write agree_to_terms: true
1 problem in a.yaml",
    );
}

#[test]
fn what_is_wrong_is_reported_with_what_to_write() {
    let check = |more: &str, path: &str, help: &str| {
        let text = with(&format!("{{ {more} }}"));
        let problems = parse("a.yaml", &text).unwrap_err();
        let found: Vec<_> =
            problems.iter().map(|problem| (&*problem.path, problem.help.as_deref())).collect();
        assert_eq!(found, [(path, Some(help))], "{more}");
    };
    let terms = "read the terms of service of the authority, then write agree_to_terms: true";
    check("store: /s", "acme.agree_to_terms", terms);
    let store = "write store: /var/lib/sockeye/acme";
    check("agree_to_terms: true", "acme.store", store);
    check("agree_to_terms: true, store: ''", "acme.store", store);
    let check = |more: &str, path: &str, help: &str| {
        check(&format!("agree_to_terms: true, store: /s, {more}"), path, help);
    };
    let url = "write an https URL, such as https://acme-v02.api.letsencrypt.org/directory";
    for directory in ["http://a/b", "https://", "https:///b", "letsencrypt", "'https://a/b c'"] {
        check(&format!("directory: {directory}"), "acme.directory", url);
    }
    let email = "write ops@example.com";
    for contact in ["ops", "'@b'", "a@", "a@b@c", "'a@b,c@d'", "'a b@c'"] {
        check(&format!("contact: [{contact}]"), "acme.contact[0]", email);
    }
    let dns = "write http-01 or tls-alpn-01, or let another program write certificate files";
    check("challenge: dns-01", "acme.challenge", dns);
    check("challenge: http", "acme.challenge", "write one of: http-01, tls-alpn-01");
    check("eab: { kid: k }", "acme.eab.hmac_file", "write hmac_file: /etc/sockeye/eab.hmac");
    check("eab: { hmac_file: /f }", "acme.eab.kid", "write kid: kid-1");
}
