//! `cargo xtask check` and `cargo xtask advisories`: what can be said of the code without running it.

use std::process::Command;

use crate::command::{Failure, cargo, root, run, succeeds};

/// Runs all the checks, so that one failure does not hide the next.
pub(crate) fn check() -> Result<(), Failure> {
    let outcomes = [format(), lints(), fuzz_lints(), documentation(), dependencies()];
    let failures: Vec<String> =
        outcomes.into_iter().filter_map(Result::err).map(|failure| failure.0).collect();
    if failures.is_empty() { Ok(()) } else { Err(Failure(failures.join("\n"))) }
}

/// Asks the advisory database, which is fetched from the network. Apart from [`check`], whose verdict
/// should change with the code only.
pub(crate) fn advisories() -> Result<(), Failure> {
    install_deny()?;
    run(cargo().args(["deny", "--all-features", "check", "advisories"])).map_err(|failure| {
        Failure(format!("{failure}\nWithout the network the database cannot be asked."))
    })
}

fn format() -> Result<(), Failure> {
    run(cargo().args(["fmt", "--all", "--check"]))?;
    // Not of the workspace.
    run(cargo().args(["fmt", "--manifest-path", "fuzz/Cargo.toml", "--check"]))
}

fn lints() -> Result<(), Failure> {
    run(cargo()
        .args(["clippy", "--workspace", "--all-targets", "--all-features", "--locked"])
        .args(["--", "--deny", "warnings"]))
}

/// The fuzz targets, which are not of the workspace and would rot unseen.
fn fuzz_lints() -> Result<(), Failure> {
    let mut lint = cargo();
    lint.args(["clippy", "--manifest-path", "fuzz/Cargo.toml", "--target-dir", "target"]);
    // Nothing is linked, so any file will do for the library, and no C++ compiler is needed.
    lint.env("CUSTOM_LIBFUZZER_PATH", root().join("fuzz/Cargo.toml"));
    run(lint.args(["--", "--deny", "warnings"]))
}

fn documentation() -> Result<(), Failure> {
    let mut doc = cargo();
    doc.args(["doc", "--workspace", "--no-deps", "--all-features", "--locked"]);
    run(doc.env("RUSTDOCFLAGS", "-D warnings"))
}

fn dependencies() -> Result<(), Failure> {
    install_deny()?;
    run(cargo().args(["deny", "--all-features", "check", "bans", "licenses", "sources"]))
}

fn install_deny() -> Result<(), Failure> {
    if succeeds(&mut deny_version()) {
        return Ok(());
    }
    run(cargo().args(["install", "--locked", "cargo-deny", "--version", CARGO_DENY]))
}

fn deny_version() -> Command {
    let mut version = cargo();
    version.args(["deny", "--version"]);
    version
}

/// What is installed when there is none. A newer one may have lints that `deny.toml` does not know.
const CARGO_DENY: &str = "0.20.2";
