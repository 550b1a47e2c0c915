//! The key tables of the manual and `configs/reference.yaml` are generated from the declarations of
//! the keys. `cargo xtask docs` runs this test with [`WRITE`] set, which writes them.

mod manual;
mod reference;

use std::path::PathBuf;
use std::{env, fs};

use super::shipped::shipped;

#[test]
fn the_manual_and_the_reference_are_as_generated() {
    check("docs/configuration.md", &manual::with_tables(&shipped("docs/configuration.md")));
    check("configs/reference.yaml", &reference::reference());
}

fn check(path: &str, generated: &str) {
    if env::var_os(WRITE).is_some() {
        fs::write(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path), generated).unwrap();
        return;
    }
    let found = shipped(path);
    let differs =
        found.lines().zip(generated.lines()).find(|(found, generated)| found != generated);
    assert!(found == generated, "{path}: run `cargo xtask docs`; first difference: {differs:#?}");
}

/// The environment variable that lets the test write the files.
const WRITE: &str = "SOCKEYE_WRITE_DOCS";
