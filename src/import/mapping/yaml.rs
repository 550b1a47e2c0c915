//! YAML with a comment on each line that says where it came from.
//!
//! Pure. Runs at start, at reload, or on a timer.

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Yaml {
    /// A word or number of ours, which needs no quotation marks.
    Plain(String),
    /// A text of the file that was imported.
    Text(String),
    List(Vec<Self>),
    Map(Vec<Entry>),
}

/// A key with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) value: Yaml,
    /// Where it came from; empty if its parts say it.
    pub(super) from: String,
}

impl Entry {
    pub(super) fn new(key: &str, value: Yaml, from: impl Into<String>) -> Self {
        Self { key: key.to_owned(), value, from: from.into() }
    }
}

impl Yaml {
    pub(super) fn plain(word: impl ToString) -> Self {
        Self::Plain(word.to_string())
    }

    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub(super) fn texts<'t>(texts: impl IntoIterator<Item = &'t str>) -> Self {
        Self::List(texts.into_iter().map(Self::text).collect())
    }

    /// The value on one line, if it has no keys.
    fn inline(&self) -> Option<String> {
        match self {
            Self::Plain(word) => Some(word.clone()),
            Self::Text(text) => Some(quoted(text)),
            Self::List(items) => {
                let items: Option<Vec<String>> = items.iter().map(Self::inline).collect();
                let line = format!("[{}]", items?.join(", "));
                (line.len() <= LINE_MAX).then_some(line)
            }
            Self::Map(entries) if entries.is_empty() => Some("{}".to_owned()),
            Self::Map(_) => None,
        }
    }

    /// Writes the value behind a key or a dash; `with_comments` says whether to say where it came from.
    pub(super) fn write(&self, depth: usize, with_comments: bool, text: &mut String) {
        match self {
            Self::Map(entries) => {
                for entry in entries {
                    text.push_str(&"  ".repeat(depth));
                    entry.write(depth, with_comments, text);
                }
            }
            Self::List(items) => {
                for item in items {
                    text.push_str(&"  ".repeat(depth));
                    text.push_str("- ");
                    item.write_item(depth + 1, with_comments, text);
                }
            }
            Self::Plain(_) | Self::Text(_) => (),
        }
    }

    /// The lines of an item, whose dash is written.
    fn write_item(&self, depth: usize, with_comments: bool, text: &mut String) {
        if let Self::Map(entries) = self
            && let Some((first, rest)) = entries.split_first()
        {
            first.write(depth, with_comments, text);
            for entry in rest {
                text.push_str(&"  ".repeat(depth));
                entry.write(depth, with_comments, text);
            }
            return;
        }
        text.push_str(&self.inline().unwrap_or_else(|| "[]".to_owned()));
        text.push('\n');
    }
}

impl Entry {
    /// The lines of the entry; the first one is indented already.
    fn write(&self, depth: usize, with_comments: bool, text: &mut String) {
        text.push_str(&quoted(&self.key));
        text.push(':');
        let inline = self.value.inline();
        if let Some(inline) = &inline {
            text.push(' ');
            text.push_str(inline);
        }
        if with_comments && !self.from.is_empty() {
            text.push_str("  # ");
            text.push_str(&comment(&self.from));
        }
        text.push('\n');
        if inline.is_none() {
            self.value.write(depth + 1, with_comments, text);
        }
    }
}

/// `text` as a comment: printable, on one line.
pub(super) fn comment(text: &str) -> String {
    text.chars().map(|c| if is_printable(c) { c } else { ' ' }).collect()
}

/// Whether YAML allows `c` as it is, on one line.
fn is_printable(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

/// `text` as YAML has it: in quotation marks unless it can be nothing but text.
fn quoted(text: &str) -> String {
    let is_plain_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=$".contains(&byte);
    let is_word = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        || is_address(text)
        || is_amount(text);
    let words = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let is_plain = is_word
        && text.bytes().all(is_plain_byte)
        && !text.ends_with(':')
        && !words.contains(&&*text.to_ascii_lowercase());
    if is_plain {
        return text.to_owned();
    }
    let mut result = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => result.extend(['\\', c]),
            '\n' => result.push_str("\\n"),
            '\t' => result.push_str("\\t"),
            '\r' => result.push_str("\\r"),
            c if is_printable(c) => result.push(c),
            c => result.push_str(&format!("\\U{:08X}", u32::from(c))),
        }
    }
    result.push('"');
    result
}

/// Whether `text` is an IPv4 address, maybe with a port or as a network: nothing else of YAML looks so.
fn is_address(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit())
        && text.matches('.').count() == 3
        && text.bytes().all(|byte| byte.is_ascii_digit() || b".:/-".contains(&byte))
}

/// Whether `text` is a number with one of our units.
fn is_amount(text: &str) -> bool {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    unit.len() < text.len() && ["ms", "s", "m", "h", "B", "KiB", "MiB", "GiB"].contains(&unit)
}

/// How long a list on one line may be.
const LINE_MAX: usize = 90;

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: &Yaml) -> String {
        let mut text = String::new();
        value.write(0, true, &mut text);
        text
    }

    #[test]
    fn maps_and_lists_are_blocks_with_comments() {
        let entry = |key: &str, value, from: &str| Entry::new(key, value, from);
        let item = Yaml::Map(vec![
            entry("path", Yaml::text("/a b"), "n:1 location"),
            entry("set", Yaml::Map(vec![entry("X-A", Yaml::text("on"), "n:2")]), ""),
            entry("list", Yaml::texts(["10.0.0.1:80", "*"]), ""),
        ]);
        let all = Yaml::Map(vec![entry("routes", Yaml::List(vec![item, Yaml::plain(1)]), "")]);
        let expected = "routes:\n  - path: \"/a b\"  # n:1 location\n    set:\n      X-A: \"on\"  # n:2\n    \
                        list: [10.0.0.1:80, \"*\"]\n  - 1\n";
        assert_eq!(written(&all), expected);
        assert_eq!(
            written(&Yaml::Map(vec![entry("a", Yaml::List(Vec::new()), "x\ny")])),
            "a: []  # x y\n"
        );
    }

    #[test]
    fn texts_are_quoted_unless_they_are_text_in_any_case() {
        let check = |text: &str, expected: &str| assert_eq!(quoted(text), expected);
        check("/socket.io/", "/socket.io/");
        check("app:3000", "app:3000");
        check("10.0.0.1:3000", "10.0.0.1:3000");
        check("127.0.0.1", "127.0.0.1");
        check("1e3", "\"1e3\"");
        check(":1.2.3.4", "\":1.2.3.4\"");
        check("12:30:45", "\"12:30:45\"");
        check("No", "\"No\"");
        check("a: b", "\"a: b\"");
        check("a#b", "\"a#b\"");
        check("", "\"\"");
        check("a\"\\\u{1}\u{2028}", "\"a\\\"\\\\\\U00000001\\U00002028\"");
        check("20MiB", "20MiB");
        check("127.0.0.1-3000", "127.0.0.1-3000");
    }
}
