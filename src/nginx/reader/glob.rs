//! Patterns of file names as `include` has them: `*`, `?` and `[a-z]`.
//!
//! Pure. Runs at start, at reload, or on a timer.

/// Whether `text` has characters of a pattern.
pub(super) fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// Whether `pattern` matches the name of a file. A dot at the beginning has to be written.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    // Where to go on after the last `*`, if what follows it does not match.
    let (mut at, mut next, mut retry) = (0, 0, None);
    while next < name.len() {
        let step = pattern.get(at).and_then(|_| one(pattern.get(at..)?, *name.get(next)?));
        match (pattern.get(at), step) {
            (Some('*'), _) => {
                retry = Some((at, next + 1));
                at += 1;
            }
            (Some(_), Some(length)) => {
                at += length;
                next += 1;
            }
            (_, _) => {
                let Some((star, from)) = retry else { return false };
                (at, next) = (star + 1, from);
                retry = Some((star, from + 1));
            }
        }
    }
    pattern.iter().skip(at).all(|c| *c == '*')
}

/// How many characters of `pattern` match the one character `c`.
fn one(pattern: &[char], c: char) -> Option<usize> {
    match pattern.first()? {
        '?' => Some(1),
        '[' => {
            // Without its end, it is a character.
            let Some(end) = pattern.iter().skip(2).position(|c| *c == ']').map(|end| end + 2)
            else {
                return (c == '[').then_some(1);
            };
            let inside = pattern.get(1..end)?;
            let (is_negated, inside) = match inside.split_first()? {
                ('!' | '^', rest) => (true, rest),
                _ => (false, inside),
            };
            let is_range =
                |range: &[char]| matches!(range, [from, '-', to] if (*from..=*to).contains(&c));
            let is_in = inside.contains(&c) || inside.windows(3).any(is_range);
            (is_in != is_negated).then_some(end + 1)
        }
        other => (*other == c).then_some(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_as_the_shell_has_it() {
        let check = |pattern: &str, name: &str, expected: bool| {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        };
        check("*.conf", "a.conf", true);
        check("*.conf", "a.conf.bak", false);
        check("*.conf", ".conf", false);
        check("*", ".hidden", false);
        check(".*", ".hidden", true);
        check("a*b*c", "axxbxxc", true);
        check("a*b*c", "axxbxx", false);
        check("nginx.conf_*", "nginx.conf_ssl", true);
        check("?.conf", "a.conf", true);
        check("?.conf", "ab.conf", false);
        check("[a-c].conf", "b.conf", true);
        check("[!a-c].conf", "b.conf", false);
        check("[", "[", true);
        check(&"*a".repeat(50), &"b".repeat(2000), false);
    }
}
