//! Rust source as far as the rules have to understand it: what is code, what is a test, what is a
//! word.

/// `source` with comments and literals blanked: lines stay where they are.
pub(super) fn code_of(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        match opaque_bytes(rest) {
            Some(bytes) => {
                let (opaque, behind) = rest.split_at(bytes);
                code.extend(opaque.chars().map(blank));
                rest = behind;
            }
            None => {
                code.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    code
}

/// `code` with all that is compiled for tests only blanked. Needs code without comments and
/// literals.
pub(super) fn without_tests(code: &str) -> String {
    let mut product = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(start) = rest.find(TEST_ATTRIBUTE) {
        let (before, item) = rest.split_at(start);
        let (item, behind) = item.split_at(item_bytes(item));
        product.push_str(before);
        product.extend(item.chars().map(blank));
        rest = behind;
    }
    product.push_str(rest);
    product
}

/// How many lines of `code` are compiled for tests only.
pub(super) fn test_lines(code: &str) -> usize {
    let product = without_tests(code);
    let differs = |(all, product): &(&str, &str)| all != product;
    code.lines().zip(product.lines()).filter(differs).count()
}

/// The identifiers and keywords of a line.
pub(super) fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !is_word(c)).filter(|word| !word.is_empty())
}

/// Whether `c` may stand in an identifier.
pub(super) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Marks an item that only tests see.
const TEST_ATTRIBUTE: &str = "#[cfg(test)]";

fn blank(c: char) -> char {
    if c == '\n' { '\n' } else { ' ' }
}

/// How long the comment or literal is that `text` begins with.
fn opaque_bytes(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    if text.starts_with("/*") {
        return Some(block_comment_bytes(text));
    }
    if text.starts_with('"') {
        return Some(quoted_bytes(text, '"'));
    }
    if text.starts_with('\'') {
        return character_bytes(text);
    }
    raw_string_bytes(text)
}

/// Block comments nest.
fn block_comment_bytes(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// From a quote to the next that is not escaped.
fn quoted_bytes(text: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if c == quote && !is_escaped {
            return at + c.len_utf8();
        }
        is_escaped = c == '\\' && !is_escaped;
    }
    text.len()
}

/// `'a'` is a literal, the `'a` of a lifetime is not.
fn character_bytes(text: &str) -> Option<usize> {
    let mut chars = text.chars().skip(1);
    let (first, second) = (chars.next()?, chars.next());
    (first == '\\' || second == Some('\'')).then(|| quoted_bytes(text, '\''))
}

/// `r"…"` and `r#"…"#`.
fn raw_string_bytes(text: &str) -> Option<usize> {
    let rest = text.strip_prefix('r')?;
    let hashes = rest.len() - rest.trim_start_matches('#').len();
    let content = rest[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let content_bytes = content.find(&end).map_or(content.len(), |at| at + end.len());
    Some(text.len() - content.len() + content_bytes)
}

/// How long the item is that `code` begins with, its attributes included: to its `;` or to the
/// brace that closes it.
fn item_bytes(code: &str) -> usize {
    let mut depth = 0_usize;
    for (at, c) in code.char_indices() {
        match c {
            '{' | '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            '}' if depth <= 1 => return at + 1,
            '}' => depth -= 1,
            ';' if depth == 0 => return at + 1,
            _ => (),
        }
    }
    code.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_no_code() {
        let check = |source: &str, expected: &str| {
            let code = code_of(source);
            assert_eq!(code.split_whitespace().collect::<Vec<_>>().join(" "), expected, "{source}");
            assert_eq!(code.lines().count(), source.lines().count(), "{source}");
        };
        check("a // b\nc", "a c");
        check("a /* b /* c */ d\n */ e", "a e");
        check(r#"a("b\"c") d"#, "a( ) d");
        check("a(r#\"b\"c\"#) d", "a( ) d");
        check("br\"x\" y", "b y");
        check(r"a('b', '\'', '\u{1}') c", "a( , , ) c");
        check("a<'b> 'c: loop", "a<'b> 'c: loop");
        check("\"not closed\nat all", "");
    }

    #[test]
    fn items_for_tests_are_no_product() {
        let check = |code: &str, expected: &str, lines: usize| {
            let product = without_tests(code);
            let words: Vec<&str> = product.split_whitespace().collect();
            assert_eq!(words.join(" "), expected, "{code}");
            assert_eq!(test_lines(code), lines, "{code}");
        };
        check(
            "fn a() {}\n#[cfg(test)]\nmod tests {\n fn b() {}\n}\nfn c() {}",
            "fn a() {} fn c() {}",
            4,
        );
        check("#[cfg(test)]\nmod tests;\nmod a;", "mod a;", 2);
        check("#[cfg(test)]\nfn a(b: [u8; 2]) -> u8 { 1 }\nfn c() {}", "fn c() {}", 2);
        check("fn a() {}", "fn a() {}", 0);
    }

    #[test]
    fn a_line_falls_into_words() {
        assert_eq!(words("use a::b_c, D2;").collect::<Vec<_>>(), ["use", "a", "b_c", "D2"]);
    }
}
