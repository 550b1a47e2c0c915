//! Placeholders of templates: what a program will write there before nginx reads the file.
//!
//! Pure. Runs at start, at reload, or on a timer.

/// A part of a template at the beginning of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Region {
    /// In bytes.
    pub(super) length: usize,
    /// Whether it writes nothing: `{% if x %}`, `{{ end }}`.
    pub(super) is_statement: bool,
}

/// The region of Jinja, Liquid, Go, Handlebars or EJS that `text` begins with. Nothing that nginx accepts
/// outside of quotation marks begins so.
pub(super) fn region(text: &str) -> Option<Region> {
    let (open, close) = *REGIONS.iter().find(|(open, _)| text.starts_with(open))?;
    let window = text.get(..floor(text, REGION_BYTES_MAX))?;
    let inner = window.strip_prefix(open)?;
    let end = inner.find(close)?;
    let inner = inner.get(..end)?;
    let is_statement = match open {
        "{{{" => false,
        "{{" => is_keyword(inner),
        "<%" => !inner.starts_with(['=', '-']) || inner.starts_with('-') && is_keyword(inner),
        _ => true,
    };
    Some(Region { length: open.len() + end + close.len(), is_statement })
}

/// The first placeholder in `text`, as it is written.
pub(super) fn placeholder(text: &str) -> Option<&str> {
    text.char_indices().find_map(|(at, c)| {
        // `(?<name>...)` is a group of a regular expression.
        let is_group = c == '<' && text.get(..at)?.ends_with(['?', 'P', '=', '!']);
        placeholder_at(text.get(at..)?).filter(|_| !is_group)
    })
}

/// The name within a placeholder: `PORT` of `${PORT:-80}`.
pub(super) fn name_of(placeholder: &str) -> &str {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = placeholder.split(|c: char| !is_name(c)).map(|word| word.trim_matches('_'));
    let is_word = |word: &&str| !word.is_empty() && !matches!(*word, "index" | "env" | "Values");
    words.filter(is_word).find(|word| word.len() > 1).unwrap_or("placeholder")
}

/// What stands behind `:-` in a placeholder of a shell.
pub(super) fn default_of(placeholder: &str) -> Option<&str> {
    let inner = placeholder.strip_prefix("${")?.strip_suffix('}')?;
    inner.split_once(":-").map(|(_, default)| default).filter(|default| !default.is_empty())
}

/// How a placeholder begins and ends, and what its name may have.
type Form<'f> = (&'f str, &'f str, &'f dyn Fn(char) -> bool);

/// The placeholder that `text` begins with.
fn placeholder_at(text: &str) -> Option<&str> {
    if let Some(Region { length, .. }) = region(text) {
        return text.get(..length);
    }
    let upper = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let forms: [Form<'_>; 6] = [
        ("$_", "_$", &upper),
        ("__", "__", &|c| c.is_ascii_alphanumeric() || c == '_'),
        ("%", "%", &|c| word(c) && !c.is_ascii_digit()),
        ("@", "@", &word),
        ("<", ">", &|c| word(c) || c == ' '),
        ("[[", "]]", &|c| word(c) || c == ' '),
    ];
    if let Some(rest) = text.strip_prefix("${") {
        let inner = rest.get(..rest.find('}')?)?;
        let name = inner.split(":-").next().unwrap_or_default();
        let is_ours = name.starts_with(|c: char| c.is_ascii_uppercase() || c == '_')
            && name.chars().all(upper);
        return is_ours.then(|| text.get(..inner.len() + 3)).flatten();
    }
    for (open, close, is_inner) in forms {
        let Some(rest) = text.strip_prefix(open) else { continue };
        let Some(end) = rest.find(close).filter(|end| *end > 0) else { continue };
        let inner = rest.get(..end)?;
        let is_byte = inner.len() == 2 && inner.bytes().all(|byte| byte.is_ascii_hexdigit());
        let has_letter = inner.contains(|c: char| c.is_ascii_alphabetic());
        if inner.chars().all(is_inner) && has_letter && !is_byte {
            return text.get(..open.len() + end + close.len());
        }
    }
    let name = text.strip_prefix('$')?;
    let end = name.find(|c: char| !upper(c) && !c.is_ascii_lowercase()).unwrap_or(name.len());
    let name = name.get(..end)?;
    let is_ours = name.len() > 2
        && name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.chars().all(upper);
    is_ours.then(|| text.get(..=end)).flatten()
}

/// Whether the inside of `{{ }}` directs the template and writes nothing.
fn is_keyword(inner: &str) -> bool {
    let inner = inner.trim_start_matches(['-', '~']).trim_start();
    if inner.starts_with(['#', '/', '^', '!', '>']) {
        return !inner.starts_with('>') || inner.len() < 2;
    }
    let word = inner.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
    let is_assignment = inner.starts_with('$') && inner.contains(":=");
    is_assignment || KEYWORDS.contains(&word)
}

/// The end of the last whole character within `bytes`.
fn floor(text: &str, bytes: usize) -> usize {
    let bytes = bytes.min(text.len());
    (0..=bytes).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

const REGIONS: [(&str, &str); 5] =
    [("{{{", "}}}"), ("{{", "}}"), ("{%", "%}"), ("{#", "#}"), ("<%", "%>")];

const KEYWORDS: [&str; 14] = [
    "if", "else", "end", "range", "with", "define", "block", "template", "break", "continue",
    "comment", "for", "each", "unless",
];

/// How long a part of a template may be.
const REGION_BYTES_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_templates_are_found() {
        let check = |text: &str, expected: Option<(usize, bool)>| {
            let expected = expected.map(|(length, is_statement)| Region { length, is_statement });
            assert_eq!(region(text), expected, "{text}");
        };
        check("{{ x }};", Some((7, false)));
        check("{{{ x }}}", Some((9, false)));
        check("{{- if .x }}a", Some((12, true)));
        check("{{ $a := 1 }}", Some((13, true)));
        check("{{#each x}}", Some((11, true)));
        check("{% for a in b %}", Some((16, true)));
        check("<%= a %>", Some((8, false)));
        check("<%- a %>", Some((8, false)));
        check("<%- if a -%>", Some((12, true)));
        check("<% if a %>", Some((10, true)));
        check("{ return 200; }", None);
        check("{{ never closed", None);
    }

    #[test]
    fn the_placeholders_of_all_dialects_are_found() {
        let check = |text: &str, expected: Option<&str>, name: &str| {
            let found = placeholder(text);
            assert_eq!(found, expected, "{text}");
            assert_eq!(found.map_or("", name_of), name, "{text}");
        };
        check("http://${BACKEND}:80", Some("${BACKEND}"), "BACKEND");
        check("${PORT:-80}", Some("${PORT:-80}"), "PORT");
        check("$PORT", Some("$PORT"), "PORT");
        check("$_DOMAIN_$", Some("$_DOMAIN_$"), "DOMAIN");
        check("__PATH__/socket.io/", Some("__PATH__"), "PATH");
        check("%ip%:%web_port%", Some("%ip%"), "ip");
        check("@domain@", Some("@domain@"), "domain");
        check("{{ .Values.port }}", Some("{{ .Values.port }}"), "port");
        check("<%= host %>", Some("<%= host %>"), "host");
        check("<your-domain>", Some("<your-domain>"), "your");
        check("$host", None, "");
        check("${host}", None, "");
        check("@backend", None, "");
        check("/a%20b%20c", None, "");
        check("(?<path>.*)", None, "");
        check("/%C3%A4%C3%B6", None, "");
        assert_eq!(default_of("${PORT:-80}"), Some("80"));
        assert_eq!(default_of("${PORT}"), None);
    }
}
