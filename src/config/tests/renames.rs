//! Old keys keep working, with one warning each.

use std::collections::BTreeSet;
use std::time::Duration;

use super::shipped::shipped;
use crate::config::{Config, Problems, RENAMED_KEYS, keys, parse};
use crate::route::Silence;

fn with(section: &str, route: &str) -> Result<Config, Problems> {
    let upstreams = "upstreams: { a: { nodes: [b:1] } }";
    parse("a.yaml", &format!("{section}\n{upstreams}\nroutes:\n  - {{ upstream: a{route} }}\n"))
}

#[test]
fn an_old_key_fills_the_new_one_and_is_named_in_a_warning() {
    let old = with("stop: { delay: 9s }", "").unwrap();
    let new = with("shutdown: { delay: 9s }", "").unwrap();
    assert_eq!(old.shutdown.delay, Duration::from_secs(9));
    let warning = "a.yaml:1:1: stop: is deprecated and works until 1.0: write shutdown";
    assert_eq!(old.warnings, [warning]);
    assert!(new.warnings.is_empty());
    assert_eq!(Config { warnings: Vec::new(), ..old }, new);
}

#[test]
fn old_keys_of_upstreams_fill_the_new_ones() {
    let text = "upstreams: { a: { nodes: [b:1], answer_head_max: 8KiB, answer_fields_max: 10 } }\n\
                routes: [{ upstream: a }]\n";
    let config = parse("a.yaml", text).unwrap();
    let limits = config.upstreams[0].upstream.response_head;
    assert_eq!((limits.bytes_max, limits.fields_max), (8 << 10, 10));
    assert_eq!(config.warnings.len(), 2, "{:?}", config.warnings);
    assert!(config.warnings[0].ends_with("write response_head_max"), "{:?}", config.warnings);
}

#[test]
fn a_key_that_was_divided_fills_what_is_not_written() {
    let config = with("", ", body_timeout: 5s, response_body_timeout: off").unwrap();
    let [route] = &config.routes[..] else { panic!() };
    let limits = &route.target.upstream().unwrap().limits;
    assert_eq!(limits.request_body_timeout, Duration::from_secs(5));
    assert_eq!(limits.response_body_timeout, Silence::Off);
    let warning = "a.yaml:4:20: routes[0].body_timeout: is deprecated and works until 1.0: \
                   write request_body_timeout and response_body_timeout";
    assert_eq!(config.warnings, [warning]);
}

#[test]
fn a_wrong_value_of_an_old_key_is_shown_where_it_is_written() {
    let problems = with("stop: { delay: 9 }", "").unwrap_err().to_string();
    let expected = "a.yaml:1:16: shutdown.delay: `9` has no unit\n 1 | stop: { delay: 9 }\n";
    assert!(problems.starts_with(expected), "{problems}");
}

#[test]
fn an_old_key_together_with_its_new_keys_is_refused() {
    let problems = with("stop: {}\nshutdown: {}", "").unwrap_err();
    let reported: Vec<_> = problems.iter().map(|p| (&*p.path, &*p.what)).collect();
    assert_eq!(reported, [("stop", "is the old name of shutdown, and both are set")]);
}

#[test]
fn new_keys_exist_and_old_ones_are_only_in_the_manual() {
    let keys: BTreeSet<String> = keys().into_iter().collect();
    let manual = shipped("docs/configuration.md");
    for rename in RENAMED_KEYS {
        let parent = rename.old.rsplit_once('.').map(|(parent, _)| format!("{parent}."));
        let parent = parent.unwrap_or_default();
        assert!(!keys.contains(rename.old), "{}", rename.old);
        for new in rename.new {
            assert!(keys.contains(&format!("{parent}{new}")), "{new}");
        }
        let new: Vec<_> = rename.new.iter().map(|new| format!("`{new}`")).collect();
        let row = format!("| `{}` | {} | {} |", rename.old, new.join(" and "), rename.until);
        assert!(manual.contains(&row), "not in the manual: {row}");
    }
}
