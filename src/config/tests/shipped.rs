//! The files and the manual that we ship.

use std::fs;
use std::path::PathBuf;

use super::super::defaults::TEMPLATE;
use super::super::{Config, load, parse_alone as parse};

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
        let text = fs::read_to_string(file).unwrap();
        let read = match text.contains("\ninclude: apps.d/\n") && !text.contains("tls:") {
            true => load(file),
            // The other files that they name are the operator's.
            false => parse(&file.display().to_string(), &text),
        };
        if let Err(problems) = read {
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

#[test]
fn the_example_of_several_files_has_all_applications() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("configs/apps.yaml");
    let config = load(&path).unwrap();
    let hosts: Vec<String> = config.routes.iter().map(|route| route.host.to_string()).collect();
    assert_eq!(hosts, ["chat.example.com", "shop.example.com", "shop.example.com"]);
}
