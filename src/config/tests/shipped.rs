//! The files and the manual that we ship.

use std::fs;
use std::path::PathBuf;

use super::super::defaults::TEMPLATE;
use super::super::{Config, parse_alone as parse};

/// The files directly in `configs/`; what is below is for other programs.
pub(super) fn example_files() -> Vec<PathBuf> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("configs");
    let paths = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.is_file()).collect()
}

pub(super) fn shipped(path: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn every_example_file_is_valid() {
    let files = example_files();
    for file in &files {
        // The files that they name are the operator's.
        if let Err(problems) =
            parse(&file.display().to_string(), &fs::read_to_string(file).unwrap())
        {
            panic!("{problems}");
        }
    }
    assert!(files.len() >= 4, "{files:?}");
}

#[test]
fn the_reference_states_the_defaults() {
    let reference = parse("reference.yaml", &shipped("configs/reference.yaml")).unwrap();
    let template = parse("template.yaml", TEMPLATE).unwrap();
    // A warning says where.
    assert_eq!(reference.warnings.len(), template.warnings.len());
    assert_eq!(reference, Config { warnings: reference.warnings.clone(), ..template });
}
