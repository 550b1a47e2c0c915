//! Which values of a file are secrets, so that none is ever shown.
//!
//! A secret may be written in the wrong place or under a misspelled key, so every value below a key
//! with a similar name is masked.
//!
//! Pure. Runs at start, at reload, or on a timer.

use super::key_path::{KeyPath, Step};

/// Whether the value at `path` may be a secret, even in the wrong place or under a misspelled key.
pub(crate) fn is_secret(path: &KeyPath) -> bool {
    path.steps().iter().any(|step| match step {
        Step::Key(key) => is_secret_key(key),
        Step::Index(_) => false,
    })
}

/// Whether `line` must not be shown, because it is not known which part of it is a secret.
pub(crate) fn may_hold_secret(line: &str) -> bool {
    // Nobody writes longer lines by hand, and each word costs time.
    line.len() > LINE_SHOWN_MAX
        || line.split(|c: char| !c.is_alphanumeric() && c != '_').any(is_secret_key)
}

fn is_secret_key(key: &str) -> bool {
    let key = key.to_lowercase();
    let sounds_so =
        ["authorization", "key", "secret", "password"].iter().any(|word| key.contains(word));
    // Short words only: the distance takes time by the product of the lengths.
    let typing_errors_max = 1 + usize::from(key.len() > 3);
    sounds_so || (key.len() <= 6 && strsim::osa_distance(&key, "keys") <= typing_errors_max)
}

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
    fn a_line_with_such_a_word_or_too_many_is_not_shown() {
        assert!(may_hold_secret("sid: {kyes: 'hush"));
        assert!(may_hold_secret(&"a ".repeat(1000)));
        assert!(!may_hold_secret("  - { path: /, upstream: chat }"));
    }
}
