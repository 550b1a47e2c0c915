//! Documents and examples are in plain English: their readers come from everywhere.

use super::words::has_word;
use super::{Finding, TextFile, assert_tidy, files};

/// Words that a reader whose first language is not English has to look up, and what to write instead.
const ARCHAIC: [(&str, &str); 13] = [
    ("anew", "again"),
    ("be it", "also if"),
    ("beside", "next to"),
    ("failures running", "consecutive failures"),
    ("hence", "so"),
    ("lest", "so that ... not"),
    ("of late", "recently"),
    ("thereof", "of it"),
    ("times running", "consecutive"),
    ("told of", "reported"),
    ("whilst", "while"),
    ("who comes", "a client that connects"),
    ("whoever", "anyone who"),
];

#[test]
fn documents_are_in_plain_english() {
    let documents = files().into_iter().filter(is_document);
    assert_tidy(documents.flat_map(|file| archaic(&file)));
}

fn is_document(file: &TextFile) -> bool {
    let is_text = file.has_extension("md");
    let is_example = file.is_below("configs") || file.is_below("examples");
    let is_ours = !file.is_below("examples/cluster/vendor");
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
    fn documents_are_manuals_configurations_and_examples() {
        let check = |path: &str, expected: bool| {
            assert_eq!(is_document(&TextFile::new(path, "")), expected, "{path}");
        };
        check("docs/m.md", true);
        check("CHANGELOG.md", true);
        check("configs/systemd/sockeye.service", true);
        check("examples/embed.rs", true);
        check("ARCHITECTURE.md", true);
        check("examples/cluster/vendor/README.md", false);
        check("src/lib.rs", false);
    }
}
