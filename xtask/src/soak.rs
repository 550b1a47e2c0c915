//! `cargo xtask soak`: long runs that print their figures.

use clap::ValueEnum;

use crate::command::{Failure, cargo, run};

/// What is run.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Soak {
    /// A hundred reloads under load: no tunnel, session or message is lost
    Reload,
    /// A client that reads 20 kB a second of a megabyte for two minutes: it is not cut off
    SlowReader,
}

/// Runs one; its test is ignored by `cargo test` for its length.
pub(crate) fn soak(soak: Soak) -> Result<(), Failure> {
    let name = match soak {
        Soak::Reload => "soak::reload",
        Soak::SlowReader => "policies::a_client_that_reads_slowly_for_two_minutes_is_not_cut_off",
    };
    let mut test = cargo();
    test.args(["test", "--locked", "--test", "behavior", "--", "--ignored", "--nocapture"]);
    run(test.args(["--exact", name]))
}
