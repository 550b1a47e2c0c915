//! `cargo xtask docs`: what is generated from the declarations of the configuration's keys.

use crate::command::{Failure, cargo, run};

/// Lets the test that compares the files with what is generated write them.
pub(crate) fn docs() -> Result<(), Failure> {
    let mut test = cargo();
    test.args(["test", "--locked", "--package", "sockeye", "--lib", "config::tests::docs"]);
    run(test.env("SOCKEYE_WRITE_DOCS", "1"))
}
