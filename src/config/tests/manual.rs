//! The types' sentences, the manual and the reference tell the same of each key.
//!
//! The words up to the first comma, colon, semicolon or full stop are alike in all three, so are
//! ranges ("1s to 5m") and defaults. Beyond that each may say more.

use super::schema::{DescribedKey, described_keys};
use super::shipped::{generic, shipped};
use crate::yaml::SourceMap;

#[test]
fn manual_and_reference_say_of_each_key_what_its_type_says() {
    let (manual, reference) = (shipped("docs/configuration.md"), shipped("configs/reference.yaml"));
    let found: Vec<String> =
        described_keys().iter().flat_map(|key| differences(key, &manual, &reference)).collect();
    assert!(found.is_empty(), "{} to do:\n{}", found.len(), found.join("\n"));
}

#[test]
fn a_difference_is_found() {
    let check = |description: &str, row: &str, reference: &str, expected: &[&str]| {
        let key =
            DescribedKey { path: "log.level".to_owned(), description: description.to_owned() };
        let reference = format!("log:\n  # {reference}");
        let found = differences(&key, row, &reference);
        let places: Vec<&str> = found.iter().filter_map(|found| found.split(':').next()).collect();
        assert_eq!(places, expected, "{found:?}");
    };
    let said = "The least level, 1s to 5m: `a` or b. Default: `info`.";
    let row = "| `log.level` | `1s` to `5m` | `info` | The least level. |";
    let reference = "The least level, 1s to 5m.\n  level: info";
    check(said, row, reference, &[]);
    check(said, "", reference, &["manual"]);
    check(said, &row.replace("least", "most"), reference, &["manual"]);
    check(said, &row.replace("5m", "6m"), reference, &["manual"]);
    check(said, &row.replace("info", "warn"), reference, &["manual"]);
    check(said, row, "The most level, 1s to 5m.\n  level: info", &["reference"]);
    check(said, row, "The least level.\n  level: info", &["reference"]);
    check(said, row, "The least level, 1s to 5m.\n  level: warn", &["reference"]);
    check("The least level. Default: none; it is needed.", row, reference, &["manual"]);
}

/// What the manual and the reference say otherwise than `key`'s own description.
fn differences(key: &DescribedKey, manual: &str, reference: &str) -> Vec<String> {
    let described = plain(&key.description);
    let (sentence, default) = described.rsplit_once(" default: ").unwrap_or((&described, ""));
    let is_literal = key.description.rsplit_once(" Default: `").is_some();
    let said = Said { sentence, default: default.trim_end_matches('.'), is_literal };
    let in_manual = row(manual, &key.path).is_some_and(|row| said.is_in_row(&row));
    let in_reference = mentions(reference, &key.path).iter().any(|place| said.is_at(place));
    let difference = |place| format!("{place}: {} should say: {}", key.path, key.description);
    let places = [("manual", in_manual), ("reference", in_reference)];
    places.into_iter().filter(|(_, agrees)| !agrees).map(|(place, _)| difference(place)).collect()
}

/// What a type says of a key.
struct Said<'a> {
    sentence: &'a str,
    default: &'a str,
    /// Whether the default is what one would write, and not told in words.
    is_literal: bool,
}

impl Said<'_> {
    fn is_in_row(&self, [kind, default, text]: &[String; 3]) -> bool {
        let is_needed = self.default.ends_with("is needed");
        let same_default = match default.as_str() {
            "needed" => is_needed,
            "" => !is_needed && !self.is_literal,
            default => default == self.default,
        };
        same_default && self.agrees_with(text, &format!("{kind} {text}"))
    }

    fn is_at(&self, span: &Mention) -> bool {
        // The value of a map stands below it.
        let same_default = !self.is_literal || span.value.is_empty() || span.value == self.default;
        same_default && self.agrees_with(&span.comment, &span.comment)
    }

    /// Whether `text` begins as the sentence does, and `whole` has its ranges.
    fn agrees_with(&self, text: &str, whole: &str) -> bool {
        let has_range = |range: &String| whole.contains(range);
        text.starts_with(first_clause(self.sentence)) && ranges(self.sentence).iter().all(has_range)
    }
}

/// Type, default and text of the key's row.
fn row(manual: &str, key: &str) -> Option<[String; 3]> {
    let begin = format!("| `{key}` | ");
    let row = manual.lines().find_map(|line| line.strip_prefix(&begin))?;
    let mut cells = row.splitn(3, "| ").map(|cell| plain(cell.trim_end_matches([' ', '|'])));
    Some([cells.next()?, cells.next()?, cells.next()?])
}

/// A place in the reference where a key is written, and the comment above it.
struct Mention {
    value: String,
    comment: String,
}

fn mentions(reference: &str, key: &str) -> Vec<Mention> {
    let source_map = SourceMap::parse(reference).unwrap();
    let lines: Vec<&str> = reference.lines().collect();
    let paths = source_map.paths();
    let spans =
        paths.iter().filter(|path| generic(path) == key).filter_map(|path| source_map.key(path));
    let mention = |line: usize| {
        let (above, at) = lines.split_at(line - 1);
        let value =
            at.first().and_then(|line| line.split_once(": ")).map_or("", |(_, value)| value);
        let comments = above.iter().rev().map_while(|line| comment(line));
        let comment = comments.collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join(" ");
        Mention { value: plain(value), comment: plain(&comment) }
    };
    spans.map(|span| mention(span.line)).collect()
}

fn comment(line: &str) -> Option<&str> {
    let line = line.trim_start();
    line.strip_prefix("- ").unwrap_or(line).strip_prefix("# ")
}

/// Without marks of code, and in lower case.
fn plain(text: &str) -> String {
    let words = text.replace(['`', '"'], "").to_lowercase();
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn first_clause(sentence: &str) -> &str {
    let ends = [", ", ". ", ": ", "; "].into_iter().filter_map(|end| sentence.find(end));
    sentence.get(..ends.min().unwrap_or(sentence.len())).unwrap_or(sentence).trim_end_matches('.')
}

/// All that is written as "1s to 5m".
fn ranges(sentence: &str) -> Vec<String> {
    let words: Vec<&str> = sentence.split(|c: char| !c.is_alphanumeric()).collect();
    let is_amount = |word: &str| word.starts_with(|c: char| c.is_ascii_digit());
    let range = |words: &&[&str]| is_amount(words[0]) && words[1] == "to" && is_amount(words[2]);
    words.windows(3).filter(range).map(|words| words.join(" ")).collect()
}
