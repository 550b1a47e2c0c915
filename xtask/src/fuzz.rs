//! `cargo xtask fuzz`: strangers' bytes made up by libFuzzer, guided by what they reach.
//!
//! No nightly compiler and no cargo-fuzz: the coverage counters are a pass of LLVM that the stable
//! compiler has too. There is no address sanitizer, for there is no unsafe code to look after; what
//! is looked for is a panic, an overflow, a broken promise, an endless loop.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::command::{Failure, cargo, root, run};

/// Runs `target`, or one after the other, for so many seconds each. All of them, so that one case
/// does not hide the next.
pub(crate) fn fuzz(target: Option<String>, seconds: u32) -> Result<(), Failure> {
    let known = targets()?;
    let chosen = match target {
        None => known,
        Some(target) if known.contains(&target) => vec![target],
        Some(target) => {
            let known = known.join(", ");
            return Err(Failure(format!("there is no target `{target}`; there are {known}")));
        }
    };
    let outcomes: Vec<_> = chosen.iter().map(|target| search(target, seconds)).collect();
    let failures: Vec<String> =
        outcomes.into_iter().filter_map(Result::err).map(|failure| failure.0).collect();
    if failures.is_empty() { Ok(()) } else { Err(Failure(failures.join("\n"))) }
}

/// Runs `target` on one case.
pub(crate) fn repeat(target: &str, case: &str) -> Result<(), Failure> {
    run(instrumented(target).arg(case))
}

fn search(target: &str, seconds: u32) -> Result<(), Failure> {
    let [corpus, cases] = ["corpus", "artifacts"].map(|name| fuzz_directory(name).join(target));
    for directory in [&corpus, &cases] {
        fs::create_dir_all(directory)
            .map_err(|error| Failure(format!("cannot make {}: {error}", directory.display())))?;
    }
    let mut search = instrumented(target);
    search.arg(corpus).args(seeds(target));
    search.arg(format!("-artifact_prefix={}/", cases.display()));
    search.arg(format!("-max_total_time={seconds}"));
    search.args(["-timeout=5", "-rss_limit_mb=1024", "-print_final_stats=1"]);
    run(&mut search).map_err(|failure| {
        let repeat = format!("cargo xtask fuzz {target} --case FILE");
        Failure(format!("{failure}\nIf a case was found: `{repeat}` repeats it."))
    })
}

/// What the search begins with: a few files, for the configuration those that we ship.
fn seeds(target: &str) -> Vec<PathBuf> {
    match target {
        "config" => vec![root().join("configs")],
        _ => vec![fuzz_directory("seeds").join(target)],
    }
}

/// A target is a file in `fuzz/src/bin`.
fn targets() -> Result<Vec<String>, Failure> {
    let directory = fuzz_directory("src/bin");
    let files = fs::read_dir(&directory)
        .map_err(|error| Failure(format!("cannot read {}: {error}", directory.display())))?;
    let names = files.filter_map(|file| Some(file.ok()?.path().file_stem()?.to_str()?.to_owned()));
    let mut names: Vec<String> = names.collect();
    names.sort();
    Ok(names)
}

fn instrumented(target: &str) -> Command {
    let mut run = cargo();
    // A target triple keeps build scripts free of the counters. Not locked: the library's own new
    // dependencies are to be added.
    run.args(["run", "--quiet", "--release", "--target", "host-tuple"]);
    run.args(["--manifest-path", "fuzz/Cargo.toml", "--bin", target, "--"]);
    run.env("RUSTFLAGS", COUNTERS);
    run
}

fn fuzz_directory(name: &str) -> PathBuf {
    root().join("fuzz").join(name)
}

/// What libFuzzer needs to see: which edges ran, and what was compared with what.
const COUNTERS: &str = "-Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";
