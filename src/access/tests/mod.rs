//! The rules of a route as requests meet them.

mod forward;
mod tokens;

use futures_util::FutureExt as _;
use http::HeaderValue;

use super::grant_cache::GENERATION_ENTRIES_MAX;
use super::*;

/// A request from 10.0.0.1 with these fields and this query.
fn check(access: &Access, fields: &HeaderMap, query: Option<&str>) -> Result<Grant, Refusal> {
    let visitor = visitor([10, 0, 0, 1].into(), fields);
    let checked = access
        .check(&Visitor { query, ..visitor }, &Pool::new(), &AuthCounts::default())
        .now_or_never();
    checked.expect("nobody is asked")
}

fn visitor(address: IpAddr, headers: &HeaderMap) -> Visitor<'_> {
    Visitor {
        address,
        host: "a.b",
        scheme: "http",
        method: &Method::GET,
        target: "/socket.io/",
        query: None,
        headers,
        of_connection: &[],
        is_page: false,
    }
}

fn fields(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for (name, value) in lines {
        fields.append(*name, HeaderValue::from_str(value).unwrap());
    }
    fields
}

fn with(settings: &Settings) -> Arc<Access> {
    Access::new(settings, None).unwrap().unwrap()
}

#[test]
fn a_network_that_is_denied_is_refused_and_one_that_is_not_allowed_too() {
    let check = |deny: &[&str], allow: &[&str], address: &str, expected: bool| {
        let networks = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        let settings =
            Settings { deny: networks(deny), allow: networks(allow), ..Settings::default() };
        let headers = HeaderMap::new();
        let visitor = visitor(address.parse().unwrap(), &headers);
        let access = Access::new(&settings, None).unwrap();
        let is_allowed = access.is_none_or(|access| access.check_place(&visitor).is_ok());
        assert_eq!(is_allowed, expected, "{deny:?} {allow:?} {address}");
    };
    check(&[], &[], "1.2.3.4", true);
    check(&["1.2.0.0/16"], &[], "1.2.3.4", false);
    check(&["1.2.0.0/16"], &[], "::ffff:1.2.3.4", false);
    check(&["1.2.0.0/16"], &[], "1.3.3.4", true);
    check(&[], &["10.0.0.0/8", "2001:db8::/32"], "10.9.9.9", true);
    check(&[], &["10.0.0.0/8", "2001:db8::/32"], "2001:db8::1", true);
    check(&[], &["10.0.0.0/8"], "11.0.0.1", false);
    check(&["10.1.0.0/16"], &["10.0.0.0/8"], "10.1.0.1", false);
    check(&["10.0.0.0/8"], &["10.1.0.0/16"], "10.1.0.1", false);
}

#[test]
fn the_same_settings_keep_their_rules_through_a_reload() {
    let settings = Settings { deny: vec!["10.0.0.0/8".parse().unwrap()], ..Settings::default() };
    let former = with(&settings);
    let same = Access::new(&settings, Some(&former)).unwrap().unwrap();
    assert!(Arc::ptr_eq(&same, &former));
    assert!(Access::new(&Settings::default(), Some(&former)).unwrap().is_none());
}
