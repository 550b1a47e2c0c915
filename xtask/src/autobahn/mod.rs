//! `cargo xtask autobahn`: the fuzzing client of the Autobahn Testsuite against a server, directly and
//! through Sockeye. A proxy that only moves bytes is judged as what is behind it, case by case.

mod parties;
mod record;
mod results;
mod suite;

use std::path::Path;

use crate::command::{Failure, cargo, run};
use crate::setup;
use parties::{Echo, Proxy};
use record::Versions;
use results::{Comparison, Results};
use suite::{Plan, Suite};

/// What is played, and what becomes of the result.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Patterns of cases, such as `1.*` or `9.3.1`
    #[arg(default_value = "*")]
    cases: Vec<String>,
    /// Patterns of cases to leave out; `--except '12.*' --except '13.*'` takes some minutes
    #[arg(long, value_name = "CASES")]
    except: Vec<String>,
    /// Put the result into docs/autobahn.md
    #[arg(long)]
    write_docs: bool,
}

/// Installs what is missing, plays, compares, and fails if a case is judged differently.
pub(crate) fn autobahn(options: &Options) -> Result<(), Failure> {
    setup::node()?;
    let suite = Suite::install()?;
    run(cargo().args(["build", "--locked", "--package", "sockeye", "--bin", "sockeye"]))?;

    let scratch = tempfile::tempdir()
        .map_err(|error| Failure(format!("cannot make a temporary directory: {error}")))?;
    let comparison = compare(&suite, options, scratch.path())?;
    let report = record::report(&Versions::gather(&suite), options, &comparison);
    eprintln!("\n{report}");
    if options.write_docs {
        record::write(&report)?;
    }
    if comparison.is_alike() {
        return Ok(());
    }
    Err(Failure("Through Sockeye, cases are judged differently: see the table above.".to_owned()))
}

/// Plays all cases both ways, then once more those that differ: a case that the server itself does
/// not pass alike twice says nothing.
fn compare(suite: &Suite, options: &Options, scratch: &Path) -> Result<Comparison, Failure> {
    let echo = Echo::start()?;
    let proxy = Proxy::start(&echo, scratch)?;
    let play = |name: &str, cases: &[String], except: &[String]| -> Result<Results, Failure> {
        let plan = Plan { direct: echo.port(), through: proxy.port(), cases, except };
        suite.play(&plan, &scratch.join(name))
    };
    let mut comparison = Comparison::new(play("all", &options.cases, &options.except)?);
    let differing = comparison.differing();
    if !differing.is_empty() {
        comparison.check_again(&play("again", &differing, &[])?);
    }
    Ok(comparison)
}
