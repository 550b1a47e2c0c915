//! Finds the configuration in what people have around it: Markdown, YAML of Kubernetes, shell scripts.
//!
//! What does not belong to it is replaced by spaces, so that lines and columns stay.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::borrow::Cow;

/// What the configuration was in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrapping {
    /// Blocks between lines of three backticks.
    Markdown,
    /// Blocks of text in YAML: `nginx.conf: |`.
    Yaml,
    /// Text that a shell script writes: `cat > nginx.conf <<EOF`.
    Shell,
    /// Literal blocks of reStructuredText.
    Literal,
}

/// Says which lines belong to the configuration; none if it is not in such a thing.
type Select = fn(&[&str]) -> Vec<bool>;

/// The configuration in `text`, and the line at which the first part of it begins.
pub(super) fn unwrap(text: &str) -> (Cow<'_, str>, Option<(Wrapping, usize)>) {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let ways: [(Wrapping, Select); 4] = [
        (Wrapping::Markdown, markdown),
        (Wrapping::Yaml, yaml),
        (Wrapping::Shell, shell),
        (Wrapping::Literal, literal),
    ];
    for (wrapping, select) in ways {
        let kept = select(&lines);
        let Some(first) = kept.iter().position(|is_kept| *is_kept) else { continue };
        let masked = lines.iter().zip(kept).map(|(line, is_kept)| {
            if is_kept { Cow::Borrowed(*line) } else { Cow::Owned(blank(line)) }
        });
        let masked = masked.collect::<String>();
        let text = match wrapping {
            // A file of docker compose writes a dollar sign so.
            Wrapping::Yaml => masked.replace("$$", "$"),
            Wrapping::Shell => without_indent(&masked),
            Wrapping::Markdown | Wrapping::Literal => masked,
        };
        return (text.into(), Some((wrapping, first + 1)));
    }
    (text.into(), None)
}

/// The lines within fences whose language is nginx or not given.
fn markdown(lines: &[&str]) -> Vec<bool> {
    let mut open = None;
    let select = |line: &&str| {
        let Some(language) = line.trim_start().strip_prefix("```") else {
            return open == Some(true);
        };
        open = match open {
            Some(_) => None,
            None => {
                let language = language.trim().to_ascii_lowercase();
                let first = language.split([' ', '{', ':']).next().unwrap_or_default();
                Some(matches!(
                    first,
                    "" | "nginx" | "conf" | "config" | "text" | "txt" | "nginxconf"
                ))
            }
        };
        false
    };
    lines.iter().map(select).collect()
}

/// The lines of blocks below a key that ends with `|` or `>`.
fn yaml(lines: &[&str]) -> Vec<bool> {
    let is_document = lines.iter().any(|line| {
        let line = line.trim_end();
        let key = line.trim_start().trim_start_matches("- ").strip_suffix(['|', '>', '-', '+']);
        let key = key.map(|key| key.trim_end_matches(['|', '>', '-', '+']).trim_end());
        let key = key.and_then(|key| key.strip_suffix(':'));
        let is_key = |c: char| c.is_ascii_alphanumeric() || "._-/\"' ".contains(c);
        line.contains(['|', '>'])
            && key.is_some_and(|key| !key.is_empty() && key.chars().all(is_key))
    });
    if !is_document {
        return Vec::new();
    }
    below(lines, |line| {
        let line = line.trim_end();
        line.ends_with(": |")
            || line.ends_with(": |-")
            || line.ends_with(": >")
            || line.ends_with(": |+")
    })
}

/// The lines between `<<WORD` and `WORD`.
fn shell(lines: &[&str]) -> Vec<bool> {
    let mut until: Option<&str> = None;
    let mut kept = Vec::with_capacity(lines.len());
    for line in lines {
        // It may also end a text in quotation marks.
        let is_end =
            until.is_some_and(|word| line.trim().trim_end_matches(['\'', '"', ')']) == word);
        kept.push(until.is_some() && !is_end);
        if is_end {
            until = None;
        } else if until.is_none() {
            until = heredoc(line);
        }
    }
    kept
}

/// `text` without a variable that several lines begin with, which is their indent.
fn without_indent(text: &str) -> String {
    let variable = |line: &str| {
        let name = line.strip_prefix("${")?.split('}').next()?.to_owned();
        let is_name = |byte: u8| byte.is_ascii_uppercase() || byte == b'_';
        (!name.is_empty() && name.bytes().all(is_name)).then(|| format!("${{{name}}}"))
    };
    let Some(indent) = text.lines().find_map(variable) else { return text.to_owned() };
    let count = text.lines().filter(|line| line.starts_with(&indent)).count();
    if count < INDENTED_MIN {
        return text.to_owned();
    }
    let spaces = " ".repeat(indent.len());
    let lines = text.split_inclusive('\n').map(|line| match line.strip_prefix(&indent) {
        Some(rest) => format!("{spaces}{rest}"),
        None => line.to_owned(),
    });
    lines.collect()
}

/// Fewer lines may begin with a variable that stands for directives.
const INDENTED_MIN: usize = 3;

/// The word behind `<<`.
fn heredoc(line: &str) -> Option<&str> {
    let code = line.split('#').next().unwrap_or_default();
    let (_, word) = code.split_once("<<")?;
    let word = word.trim_start_matches(['-', ' ']).trim_start_matches(['\'', '"', '\\']);
    let word = word.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next()?;
    let is_word = word.len() > 1 && !word.starts_with(|c: char| c.is_ascii_digit());
    is_word.then_some(word)
}

/// The lines of blocks below `.. code-block:: nginx`.
fn literal(lines: &[&str]) -> Vec<bool> {
    let is_block = |line: &str| {
        let line = line.trim();
        line.starts_with(".. code-block::")
            || line.starts_with(".. sourcecode::")
            || line.starts_with(".. code::")
    };
    if !lines.iter().any(|line| is_block(line)) {
        return Vec::new();
    }
    below(lines, is_block)
}

/// The lines that are deeper than the line before them that `opens` a block.
fn below(lines: &[&str], opens: impl Fn(&str) -> bool) -> Vec<bool> {
    let mut above: Option<usize> = None;
    let select = |line: &&str| {
        let is_empty = line.trim().is_empty();
        let depth = line.len() - line.trim_start().len();
        if above.is_some_and(|above| is_empty || depth > above) {
            return !is_empty;
        }
        above = opens(line).then_some(depth);
        false
    };
    lines.iter().map(select).collect()
}

fn blank(line: &str) -> String {
    line.chars().map(|c| if c == '\n' { c } else { ' ' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, wrapping: Option<(Wrapping, usize)>, kept: &str) {
        let (found, by) = unwrap(text);
        assert_eq!(by, wrapping, "{text}");
        let said: Vec<&str> =
            found.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        assert_eq!(said.join(" "), kept, "{text}");
        assert_eq!(found.lines().count(), text.lines().count());
    }

    #[test]
    fn the_configuration_is_found_in_what_is_around_it() {
        check("server {\n}\n", None, "server { }");
        check("sudo bash -c 'cat > x <<EOF\na;\nEOF'\necho {\n", Some((Wrapping::Shell, 2)), "a;");
        check(
            "cat > x <<EOF\n${IND}a {\n${IND}  b ${IND};\n${IND}}\nEOF\n",
            Some((Wrapping::Shell, 2)),
            "a { b ${IND}; }",
        );
        check("content: |\n  a $$host;\n", Some((Wrapping::Yaml, 2)), "a $host;");
        check(
            "Ä:\n```nginx\na;\n```\nb\n```js\nc\n```\n```\nd;\n```",
            Some((Wrapping::Markdown, 3)),
            "a; d;",
        );
        check(
            "kind: ConfigMap\ndata:\n  a.conf: |\n    a {\n\n    }\n  b: c\n",
            Some((Wrapping::Yaml, 4)),
            "a { }",
        );
        check("#!/bin/sh\ncat > x <<'EOF'\na;\nEOF\necho\n", Some((Wrapping::Shell, 3)), "a;");
        check(
            "Text\n\n.. code-block:: nginx\n\n   a;\n\nText\n",
            Some((Wrapping::Literal, 5)),
            "a;",
        );
        check("map $a $b {\n  ~x|y 1;\n}\n", None, "map $a $b { ~x|y 1; }");
    }
}
