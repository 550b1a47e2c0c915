//! Problems in `acme:`.

use super::check;
use crate::config::parse;

fn with(section: &str) -> String {
    let rest = "upstreams: { chat: { nodes: [b:1] } }\nroutes: [{ upstream: chat }]";
    format!("acme: {section}\n{rest}")
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
