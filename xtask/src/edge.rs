//! `cargo xtask edge`: what needs other people's programs at the edge of the network. They are large or
//! rare, so the tests do without them.

use crate::command::{Failure, cargo, run};
use crate::setup;

/// Sets up, then runs the tests of `tests/behavior/edge`, which `cargo test` ignores.
pub(crate) fn edge() -> Result<(), Failure> {
    setup::edge()?;
    let mut test = cargo();
    test.args(["test", "--locked", "--test", "behavior", "--", "--ignored", "edge::"]);
    run(&mut test)
}
