//! `cargo xtask autobahn`: the fuzzing client of the Autobahn Testsuite against a server, directly and
//! through Sockeye. A proxy that only moves bytes is judged as what is behind it, case by case.
//!
//! The cases are played in portions, for the suite tells nothing before its end: each portion is a
//! run of its own that leaves its results in `target/autobahn`, where a run that is broken off is
//! gone on with.

mod parties;
mod record;
mod results;
mod suite;

use std::path::{Path, PathBuf};
use std::slice;

use crate::command::{Failure, cargo, root, run};
use crate::setup;
use parties::{Echo, Proxy, sockeye};
use record::Versions;
use results::{Comparison, Results};
use suite::{Suite, Urls};

/// What is played, and what becomes of the result.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Patterns of cases, such as `1.*` or `9.3.1`; each is played by a run of the suite's own
    #[arg(default_values = ALL)]
    cases: Vec<String>,
    /// Patterns of groups to leave out; `--except '12.*' --except '13.*'` takes some minutes
    #[arg(long, value_name = "CASES")]
    except: Vec<String>,
    /// Play only what was not played since Sockeye was built last, and count the rest as it was
    #[arg(long)]
    resume: bool,
    /// Let the suite connect to Sockeye by TLS, and directly without
    #[arg(long)]
    tls: bool,
    /// Put the result into docs/autobahn.md
    #[arg(long)]
    write_docs: bool,
}

/// Installs what is missing, plays, compares, and fails if a case is judged differently.
pub(crate) fn autobahn(options: &Options) -> Result<(), Failure> {
    setup::node()?;
    if options.tls {
        setup::openssl()?;
    }
    let suite = Suite::install()?;
    run(cargo().args(["build", "--locked", "--package", "sockeye", "--bin", "sockeye"]))?;

    let scratch = tempfile::tempdir()
        .map_err(|error| Failure(format!("cannot make a temporary directory: {error}")))?;
    let comparison = compare(&suite, options, scratch.path())?;
    let report = record::report(&Versions::gather(&suite), options, &comparison);
    eprintln!("\n{report}");
    if options.write_docs {
        record::write(&report, options.tls)?;
    }
    if comparison.is_alike() {
        return Ok(());
    }
    Err(Failure("Through Sockeye, cases are judged differently: see the table above.".to_owned()))
}

/// Plays all portions both ways, then once more the cases that differ: one that the server itself
/// does not pass alike twice says nothing.
fn compare(suite: &Suite, options: &Options, scratch: &Path) -> Result<Comparison, Failure> {
    let echo = Echo::start()?;
    let proxy = Proxy::start(&echo, scratch, options.tls)?;
    let scheme = if options.tls { "wss" } else { "ws" };
    let urls = Urls {
        direct: format!("ws://127.0.0.1:{}", echo.port()),
        through: format!("{scheme}://127.0.0.1:{}", proxy.port()),
    };
    let mut results = Results::default();
    for portion in options.portions() {
        let directory = options.directory_of(portion);
        let recorded = Results::read_newer_than(&sockeye()?, &directory);
        results.add(match recorded.filter(|_| options.resume) {
            Some(recorded) => recorded,
            None => {
                eprintln!("{portion} is played: {}", directory.display());
                suite.play(slice::from_ref(portion), &urls, &directory)?
            }
        });
    }
    let mut comparison = Comparison::new(results);
    let differing = comparison.differing();
    if !differing.is_empty() {
        eprintln!("{}: again, since they differ", differing.join(" "));
        comparison.check_again(&suite.play(&differing, &urls, &scratch.join("again"))?);
    }
    Ok(comparison)
}

impl Options {
    /// What is played, one after the other.
    fn portions(&self) -> impl Iterator<Item = &String> {
        self.cases.iter().filter(|portion| !self.except.iter().any(|but| is_part(portion, but)))
    }

    /// Where a portion's results stay.
    fn directory_of(&self, portion: &str) -> PathBuf {
        let name: String =
            portion.chars().map(|c| if c.is_ascii_digit() || c == '.' { c } else { '_' }).collect();
        let kind = if self.tls { "target/autobahn/tls" } else { "target/autobahn" };
        root().join(kind).join(name)
    }
}

/// Whether all cases of the pattern `portion` are among those of `whole`.
fn is_part(portion: &str, whole: &str) -> bool {
    let beginning = whole.strip_suffix('*').unwrap_or(whole);
    portion == whole || (beginning != whole && portion.starts_with(beginning))
}

/// All cases, in portions of some minutes at most. The suite has no groups 8 and 11.
const ALL: [&str; 21] = [
    "1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*", "12.1.*", "12.2.*", "12.3.*",
    "12.4.*", "12.5.*", "13.1.*", "13.2.*", "13.3.*", "13.4.*", "13.5.*", "13.6.*", "13.7.*",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_portion_is_left_out_when_all_of_it_is_excepted() {
        fn check(portion: &str, whole: &str, expected: bool) {
            assert_eq!(is_part(portion, whole), expected, "{portion} of {whole}");
        }
        check("12.1.*", "12.*", true);
        check("12.*", "12.*", true);
        check("12.*", "12.1.*", false);
        check("1.*", "12.*", false);
        check("12.*", "1.*", false);
        check("9.3.1", "9.3.1", true);
        check("9.3.10", "9.3.1", false);
        check("9.*", "*", true);
    }
}
