//! Which values of a file are secrets, so that none is ever shown.
//!
//! A secret may be written in the wrong place or under a misspelled key, so every value below a key
//! with a similar name is masked.
//!
//! Pure. Runs at start, at reload, or on a timer.

use super::key_path::{KeyPath, Step};

/// Whether the value at `path` may be a secret, even in the wrong place or under a misspelled key.
pub(crate) fn is_secret(path: &KeyPath) -> bool {
    let mut names_fields = false;
    path.steps().iter().any(|step| match step {
        Step::Key(key) if names_fields => is_secret_field(key),
        Step::Key(key) => {
            names_fields = key.to_lowercase().contains("_header");
            is_secret_key(key)
        }
        Step::Index(_) => false,
    })
}

/// Whether the header field `name` may have a secret value.
pub(crate) fn is_secret_field(name: &str) -> bool {
    let name = name.to_lowercase();
    is_secret_key(&name) || FIELD_WORDS.iter().any(|word| name.contains(word))
}

/// Whether `line` must not be shown, because it is not known which part of it is a secret.
pub(crate) fn may_hold_secret(line: &str) -> bool {
    // Nobody writes longer lines by hand, and each word costs time.
    line.len() > LINE_SHOWN_MAX
        || line.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '-').any(|word| {
            // Of the names with a hyphen, those of fields are looked for, which keys do not have.
            is_secret_key(word) || (word.contains('-') && is_secret_field(word))
        })
        || has_cookie(&line.to_lowercase())
}

/// Whether `line` gives a field of cookies a value; the key of that name mostly has a map.
fn has_cookie(line: &str) -> bool {
    let value = line.split_once("cookie:").map(|(_, rest)| rest.trim_start());
    value.is_some_and(|value| !value.is_empty() && !value.starts_with('{'))
}

fn is_secret_key(key: &str) -> bool {
    let key = key.to_lowercase();
    let sounds_so = KEY_WORDS.iter().any(|word| key.contains(word));
    // Short words only: the distance takes time by the product of the lengths.
    let typing_errors_max = 1 + usize::from(key.len() > 3);
    sounds_so || (key.len() <= 6 && strsim::osa_distance(&key, "keys") <= typing_errors_max)
}

const KEY_WORDS: [&str; 4] = ["authorization", "key", "secret", "password"];

/// Further words of header fields. Keys of ours have them too, and no secrets.
const FIELD_WORDS: [&str; 5] = ["auth", "cookie", "credential", "session", "token"];

/// In bytes; nobody writes longer lines by hand.
const LINE_SHOWN_MAX: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sounds_like_a_secret_is_one() {
        let check = |key: &str, expected: bool| {
            let path = KeyPath::root().key(key).index(0);
            assert_eq!(is_secret(&path), expected, "{key}");
        };
        for key in [
            "keys",
            "key",
            "Keys",
            "kesy",
            "eys",
            "secret",
            "secret_key",
            "apikey",
            "Authorization",
            "passwords",
        ] {
            check(key, true);
        }
        for key in
            ["nodes", "pem_files", "jwks_file", "tag", "name", "query", "every", "cookie", "header"]
        {
            check(key, false);
        }
    }

    #[test]
    fn what_sounds_like_a_secret_field_is_one_where_fields_are_written() {
        for name in ["Cookie", "set-cookie", "X-Auth-Token", "X-Credentials", "x-api-key", "X-Auth"]
        {
            assert!(is_secret_field(name), "{name}");
            for rules in ["request_headers", "response_headers", "request_header"] {
                let path = KeyPath::root().key("routes").index(0).key(rules);
                assert!(is_secret(&path.key("set").key(name)), "{rules} {name}");
            }
        }
        let path = KeyPath::root().key("routes").index(0).key("request_headers").key("set");
        for name in ["X-Client", "Host", "Server", "Cache-Control", "Accept"] {
            assert!(!is_secret_field(name) && !is_secret(&path.key(name)), "{name}");
        }
    }

    #[test]
    fn a_line_with_such_a_word_or_too_many_is_not_shown() {
        assert!(may_hold_secret("sid: {kyes: 'hush"));
        assert!(may_hold_secret(&"a ".repeat(1000)));
        assert!(may_hold_secret("set: { X-Auth-Token: hush"));
        assert!(may_hold_secret("  Cookie: hush"));
        assert!(!may_hold_secret("  - { path: /, upstream: chat }"));
        assert!(!may_hold_secret("    affinity: cookie"));
    }
}
