//! Problems in `tls:` of an upstream.

use super::with_upstream;
use crate::config::{Config, parse, parse_alone};
use crate::tls::{Verify, server_name};

fn written(tls: &str) -> String {
    with_upstream(&format!("{{ nodes: [b:1], {tls} }}"))
}

#[test]
fn what_is_wrong_is_reported_with_what_to_write() {
    let check = |tls: &str, path: &str, what: &str, help: &str| {
        let problems = parse("a.yaml", &written(tls)).unwrap_err();
        let found: Vec<_> = problems.iter().collect();
        let [problem] = found[..] else { panic!("{problems}") };
        assert_eq!(problem.path, format!("upstreams.chat.{path}"), "{tls}");
        assert_eq!(problem.what, what, "{tls}");
        let said = problem.help.as_deref().unwrap_or_default();
        assert!(said.contains(help), "{tls}: {said}");
    };
    let fingerprints = "tls.verify.fingerprints";
    check("tls:", "tls", "is empty", "write tls: on");
    check("tls: auto", "tls", "is neither on nor off", "write on, off, or a map");
    check("tls: true", "tls", "does not turn this on", "write on");
    check("tls: false", "tls", "does not turn this off", "off");
    let neither = "is neither a host name nor an IP address";
    check("tls: { server_name: 'a:1', verify: off }", "tls.server_name", neither, "without a port");
    let both = "asks no authority, but `ca` names one";
    check("tls: { ca: x, verify: off }", "tls.verify", both, "remove one");
    let pinned = "0".repeat(64);
    let with_ca = format!("tls: {{ ca: x, verify: {{ fingerprints: ['{pinned}'] }} }}");
    check(&with_ca, "tls.verify", both, "remove one");
    check("tls: { verify: {} }", fingerprints, "has no fingerprint", "openssl x509");
    let item = "tls.verify.fingerprints[0]";
    let wrong = "is not a SHA-256 fingerprint";
    check("tls: { verify: { fingerprints: [ab] } }", item, wrong, "64 digits");
    let client = "tls: { verify: off, client_certificate: { key: x } }";
    check(client, "tls.client_certificate.chain", "is missing", "chain: proxy.pem");
    let ca = "tls: { ca: /nowhere/ca.pem }";
    let missing = "cannot be read: /nowhere/ca.pem: No such file or directory (os error 2)";
    check(ca, "tls.ca", missing, "write the path");
}

#[test]
fn who_trusts_without_an_authority_is_warned() {
    let warnings = |tls: &str| parse("a.yaml", &written(tls)).unwrap().warnings;
    let off = warnings("tls: { verify: off }");
    assert!(off.len() == 1 && off[0].contains("anyone on the network"), "{off:?}");
    let pinned = "0".repeat(64);
    let pinned = warnings(&format!("tls: {{ verify: {{ fingerprints: ['{pinned}'] }} }}"));
    assert!(pinned.len() == 1 && pinned[0].contains("refused until"), "{pinned:?}");
    assert!(warnings("tls: off").is_empty());
}

#[test]
fn nodes_that_are_discovered_are_asked_for_the_name_under_which_they_were() {
    let config = |upstream: &str| parse_alone("a.yaml", &with_upstream(upstream)).unwrap();
    let name = |config: &Config| {
        config.upstreams[0].upstream.tls.as_ref().unwrap().settings().server_name.clone()
    };
    let found = config("{ discover: { dns: 'chat.internal.:3443' }, tls: on }");
    assert_eq!(name(&found), server_name("chat.internal"));
    let named = config("{ discover: { dns: 'chat.internal:3443' }, tls: { server_name: a.b } }");
    assert_eq!(name(&named), server_name("a.b"));
    assert_eq!(name(&config("{ discover: { srv: _a._tcp.chat.internal }, tls: on }")), None);
    assert_eq!(name(&config("{ nodes: [b:1], tls: on }")), None);
}

#[test]
fn the_word_on_trusts_the_authorities_of_the_system() {
    let config = parse_alone("a.yaml", &written("tls: on")).unwrap();
    let tls = config.upstreams[0].upstream.tls.clone().unwrap();
    assert_eq!(tls.settings().verify, Verify::Authorities(None));
}
