//! Which values of the file are secrets, so that none is ever shown.
//!
//! A secret may stand at the wrong place or under a key with a typing error: what only sounds like
//! one is masked too.
//!
//! Pure. Runs at start, at reload, or on a timer.

use super::key_path::{KeyPath, Step};

/// Whether what is written at `path` may be a secret, even if it is at the wrong place or under a
/// key with a typing error.
pub(crate) fn is_secret(path: &KeyPath) -> bool {
    path.steps().iter().any(|step| match step {
        Step::Key(key) => is_secret_key(key),
        Step::Index(_) => false,
    })
}

/// Whether `line` must not be shown, where it cannot be told which part of it is a secret.
pub(crate) fn may_hold_secret(line: &str) -> bool {
    // No hand writes a longer line, and each word of it costs.
    line.len() > LINE_SHOWN_MAX
        || line.split(|c: char| !c.is_alphanumeric() && c != '_').any(is_secret_key)
}

fn is_secret_key(key: &str) -> bool {
    let key = key.to_lowercase();
    let sounds_so = key.contains("key") || key.contains("secret");
    // Short words only: the distance takes time by the product of the lengths.
    let typing_errors_max = 1 + usize::from(key.len() > 3);
    sounds_so || (key.len() <= 6 && strsim::osa_distance(&key, "keys") <= typing_errors_max)
}

/// In bytes; no hand writes longer ones.
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
        for key in ["keys", "key", "Keys", "kesy", "eys", "secret", "secret_key", "apikey"] {
            check(key, true);
        }
        for key in ["nodes", "tag", "name", "query", "every", "cookie", "header"] {
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
