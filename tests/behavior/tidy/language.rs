//! Documents, examples, comments and messages are in plain English: their readers come from
//! everywhere.

use super::words::has_word;
use super::{Finding, TextFile, assert_tidy, files};

/// Words that a reader whose first language is not English has to look up, and what to write instead.
const ARCHAIC: [(&str, &str); 20] = [
    ("albeit", "although"),
    ("all is as before", "nothing has changed"),
    ("all the same", "anyway"),
    ("anew", "again"),
    ("be it", "also if"),
    ("beside", "next to"),
    ("failures running", "consecutive failures"),
    ("for ever", "forever"),
    ("hence", "so"),
    ("lest", "so that ... not"),
    ("look-up", "lookup"),
    ("of late", "recently"),
    ("poll on", "still poll"),
    ("thereof", "of it"),
    ("times running", "consecutive"),
    ("told of", "reported"),
    ("trying on", "retrying"),
    ("whilst", "while"),
    ("who comes", "a client that connects"),
    ("whoever", "anyone who"),
];

/// The file that has to spell these words.
const HERE: &str = "tests/behavior/tidy/language.rs";

#[test]
fn documents_comments_and_messages_are_in_plain_english() {
    assert_tidy(files().into_iter().filter(is_prose).flat_map(|file| archaic(&file)));
}

/// Documents and examples, and sources with their comments and messages. In names of tests and
/// functions, words are joined by `_`, so that they are not found.
fn is_prose(file: &TextFile) -> bool {
    let is_text = ["md", "rs", "js", "py"].into_iter().any(|end| file.has_extension(end));
    let is_example = file.is_below("configs") || file.is_below("examples");
    let is_ours = !file.is_below("examples/cluster/vendor") && file.path != HERE;
    (is_text || is_example || file.path == "Dockerfile") && is_ours
}

fn archaic(file: &TextFile) -> Vec<Finding> {
    let found = file.lines().flat_map(|(number, line)| {
        let line = line.to_lowercase();
        let used = ARCHAIC.into_iter().filter(move |(word, _)| has_word(&line, word));
        used.map(move |(word, instead)| (number, format!("`{word}`: write `{instead}`")))
    });
    found.map(|(number, advice)| Finding::new(file, number, advice)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archaic_word_is_found() {
        let check = |line: &str, expected: usize| {
            let found = archaic(&TextFile::new("docs/m.md", line));
            assert_eq!(found.len(), expected, "{line}\n{found:?}");
        };
        check("The file is read anew.", 1);
        check("Whoever comes: of late, beside it", 3);
        check("besides, it lists a new file", 0);
    }

    #[test]
    fn prose_is_in_documents_configurations_examples_and_sources() {
        let check = |path: &str, expected: bool| {
            assert_eq!(is_prose(&TextFile::new(path, "")), expected, "{path}");
        };
        check("docs/m.md", true);
        check("CHANGELOG.md", true);
        check("configs/systemd/sockeye.service", true);
        check("examples/embed.rs", true);
        check("ARCHITECTURE.md", true);
        check("examples/cluster/vendor/README.md", false);
        check("src/lib.rs", true);
        check("tests/node/client.js", true);
        check("Cargo.toml", false);
        check("tests/behavior/tidy/language.rs", false);
    }
}
