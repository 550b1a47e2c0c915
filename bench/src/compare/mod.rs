//! The comparison: which runs there are, in which order, and what becomes of them.
//!
//! Each round runs each scenario on every proxy in turn, each time from another one on: what
//! drifts on the machine hits all alike. Every run has a freshly started proxy.

mod bench;
mod peer;
mod process;
mod ready;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use crate::Outcome;
use crate::load::seconds;
use crate::machine::Machine;
use crate::report::{Report, Run};
use crate::scenario::Scenario;
use bench::Bench;
pub(crate) use peer::Peer;

#[derive(Args)]
pub(crate) struct Options {
    /// Which scenarios [default: all]
    #[arg(long, value_enum, value_delimiter = ',')]
    scenarios: Vec<Scenario>,
    /// Which proxies [default: all that are installed]
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Peer>,
    /// How often each run is repeated
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// How long a run is measured
    #[arg(long, default_value = "3", value_parser = seconds)]
    seconds: Duration,
    /// Give the proxy this core for itself, and the others to load and nodes
    #[arg(long, value_name = "CORE")]
    pin_proxy: Option<usize>,
    /// Wait before each run until the machine has nothing else to do, so many seconds at most
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    wait_quiet: u64,
    /// How many connections at a time [default: the scenario's]
    #[arg(long, value_name = "COUNT")]
    connections: Option<usize>,
    /// The program to measure as Sockeye [default: built from this workspace]
    #[arg(long, value_name = "FILE")]
    sockeye: Option<PathBuf>,
    /// Where results go
    #[arg(long, value_name = "DIRECTORY", default_value_os_t = root().join("bench/results"))]
    output: PathBuf,
    /// The results.json of an earlier comparison on this machine, whose other scenarios complete the report
    #[arg(long, value_name = "FILE")]
    with: Option<PathBuf>,
    /// Put table and chart into docs/performance.md and docs/performance.svg
    #[arg(long)]
    write_docs: bool,
}

/// Compares, prints the report and writes it.
pub(crate) fn compare(options: &Options) -> Outcome {
    let scenarios = in_order(&options.scenarios, &Scenario::ALL);
    let wanted = in_order(&options.only, &Peer::ALL);
    fs::create_dir_all(&options.output)?;
    let bench = Bench::start(options)?;
    let mut programs = Vec::new();
    for peer in wanted {
        match peer.program(options.sockeye.as_deref())? {
            Some(program) => programs.push(program),
            None => eprintln!("{} is not installed: left out", peer.name()),
        }
    }

    let mut runs = Vec::new();
    for round in 0..options.rounds {
        for scenario in &scenarios {
            for program in rotated(&programs, round as usize) {
                if !program.peer.can_run(*scenario) {
                    continue;
                }
                let outcome = bench.run(program, *scenario);
                let run = Run::new(round, *scenario, program.peer, outcome);
                eprintln!("round {}: {run}", round + 1);
                runs.push(run);
            }
        }
    }
    let versions = programs.iter().map(|program| (program.peer, program.version.clone()));
    let report = Report {
        machine: Machine::here(),
        placement: bench.placement().clone(),
        seconds: options.seconds.as_secs_f64(),
        rounds: options.rounds,
        versions: versions.collect(),
        runs,
    };
    let report = match &options.with {
        Some(file) => report.with(serde_json::from_slice(&fs::read(file)?)?),
        None => report,
    };
    write(&report, options)
}

fn write(report: &Report, options: &Options) -> Outcome {
    let table = report.markdown();
    println!("{table}");
    fs::write(options.output.join("results.md"), &table)?;
    fs::write(options.output.join("results.json"), serde_json::to_string_pretty(report)?)?;
    fs::write(options.output.join("results.svg"), report.chart())?;
    eprintln!("written to {}", options.output.display());
    if options.write_docs {
        let page = root().join("docs/performance.md");
        fs::write(&page, report.put_into(&fs::read_to_string(&page)?)?)?;
        fs::write(root().join("docs/performance.svg"), report.chart())?;
        eprintln!("written to docs/performance.md and docs/performance.svg");
    }
    Ok(())
}

/// Those of `all` that are wanted; none wanted means all.
fn in_order<T: Copy + PartialEq>(wanted: &[T], all: &[T]) -> Vec<T> {
    all.iter().copied().filter(|one| wanted.is_empty() || wanted.contains(one)).collect()
}

/// `items` from another one on in each round.
fn rotated<T>(items: &[T], round: usize) -> impl Iterator<Item = &T> {
    items.iter().cycle().skip(round % items.len().max(1)).take(items.len())
}

/// The repository's root.
fn root() -> PathBuf {
    let bench = Path::new(env!("CARGO_MANIFEST_DIR"));
    bench.parent().unwrap_or(bench).to_path_buf()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_round_begins_with_another_one() {
        let check = |round: usize, expected: [u8; 3]| {
            assert_eq!(rotated(&[1, 2, 3], round).copied().collect::<Vec<_>>(), expected);
        };
        check(0, [1, 2, 3]);
        check(1, [2, 3, 1]);
        check(2, [3, 1, 2]);
        check(3, [1, 2, 3]);
        assert_eq!(rotated::<u8>(&[], 1).count(), 0);
    }

    #[test]
    fn none_wanted_means_all() {
        assert_eq!(in_order(&[], &[1, 2, 3]), [1, 2, 3]);
        assert_eq!(in_order(&[3, 1], &[1, 2, 3]), [1, 3]);
    }
}
