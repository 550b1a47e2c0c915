//! The configurations of `tests/nginx`: each has the mistakes that the table next to it names, and no other.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::*;
use crate::nginx::reader::{Files, read};

struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path, bytes_max: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        std::fs::File::open(path)?.take(bytes_max as u64 + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn names(&self, path: &Path) -> io::Result<Vec<String>> {
        let names = std::fs::read_dir(path)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        names.collect()
    }
}

/// The mistakes in the configuration in `directory`, each as a line of its table.
fn found(directory: &Path, file: &str) -> Vec<String> {
    let read = read(&directory.join(file), &Disk).unwrap();
    let model = Model::new(&read.directives);
    let all = findings(&read.directives, &model);
    let all = read.findings.into_iter().chain(model.findings).chain(all);
    let mut lines: Vec<String> = all
        .filter_map(|finding| {
            let level = match finding.level {
                Level::Breaks => "breaks",
                Level::BreaksWhen => "breaks-when",
                Level::Hint => "hint",
                Level::ByHand | Level::Note | Level::NotNeeded => return None,
            };
            let at = finding.at.unwrap();
            let name = at.file.rsplit('/').next().unwrap_or_default();
            Some(format!("finds {level} {} {name}:{}", finding.id, at.line))
        })
        .collect();
    lines.sort();
    lines
}

#[test]
fn each_configuration_has_the_findings_that_its_table_names() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/nginx");
    let mut directories: Vec<PathBuf> =
        std::fs::read_dir(root).unwrap().map(|it| it.unwrap().path()).collect();
    directories.retain(|path| path.is_dir());
    directories.sort();
    assert!(directories.len() >= 40, "{directories:?}");
    let mut wrong = String::new();
    for directory in directories {
        let table = std::fs::read_to_string(directory.join("requests.txt")).unwrap();
        let line = |word: &str| {
            table
                .lines()
                .filter(|line| line.starts_with(word))
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let file = line("file ")
            .first()
            .map_or_else(|| "nginx.conf".to_owned(), |line| line.replace("file ", ""));
        let mut expected = line("finds ");
        expected.sort();
        let found = found(&directory, &file);
        for line in found.iter().filter(|line| !expected.contains(line)) {
            wrong.push_str(&format!("{}: is not in the table: {line}\n", directory.display()));
        }
        for line in expected.iter().filter(|line| !found.contains(line)) {
            wrong.push_str(&format!("{}: was not found: {line}\n", directory.display()));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
