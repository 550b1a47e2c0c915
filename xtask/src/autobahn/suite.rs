//! The Autobahn Testsuite: its environment of Python 2.7, and one run of its fuzzing client.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use super::results::{DIRECT, Results, THROUGH};
use crate::command::{Failure, output, root, run, succeeds};
use crate::setup::stamp::Stamp;

/// An installed suite.
pub(super) struct Suite {
    interpreter: PathBuf,
}

/// What one run plays, against which ports of 127.0.0.1.
pub(super) struct Plan<'a> {
    pub(super) direct: u16,
    pub(super) through: u16,
    pub(super) cases: &'a [String],
    pub(super) except: &'a [String],
}

impl Suite {
    /// Finds `tests/python/.venv-autobahn`, or makes it of `tests/python/autobahn.txt`.
    pub(super) fn install() -> Result<Self, Failure> {
        let home = root().join("tests/python");
        let environment = home.join(".venv-autobahn");
        let suite = Self { interpreter: environment.join("bin/python") };
        let stamp = Stamp::new(&environment, &home.join("autobahn.txt"));
        if stamp.is_fresh() && suite.version().is_some() {
            return Ok(suite);
        }
        let python = python2().ok_or_else(|| Failure(NO_PYTHON.to_owned()))?;
        // virtualenv, since Python 2 has no venv, and without leaving anything in the system.
        let bootstrap = tempfile::tempdir()
            .map_err(|error| Failure(format!("cannot make a temporary directory: {error}")))?;
        run(Command::new(&python)
            .args(PIP_INSTALL)
            .arg("--target")
            .arg(bootstrap.path())
            .arg(VIRTUALENV))?;
        let mut make = Command::new(&python);
        make.args(["-m", "virtualenv", "--quiet", "--clear"]).arg(&environment);
        run(make.env("PYTHONPATH", bootstrap.path()))?;
        let mut install = Command::new(&suite.interpreter);
        install.args(PIP_INSTALL).args(["--requirement", "autobahn.txt"]).current_dir(&home);
        run(&mut install)?;
        stamp.leave()?;
        Ok(suite)
    }

    /// The suite's version; `None` if it cannot be loaded.
    pub(super) fn version(&self) -> Option<String> {
        const SCRIPT: &str = "import autobahntestsuite as suite; print(suite.version)";
        let version = output(Command::new(&self.interpreter).args(["-c", SCRIPT]))?;
        Some(version.trim().to_owned())
    }

    /// Plays `plan` against the server, then against Sockeye; reports lie in `directory`.
    pub(super) fn play(&self, plan: &Plan<'_>, directory: &Path) -> Result<Results, Failure> {
        let unwritable = |error| Failure(format!("cannot write the suite's plan: {error}"));
        fs::create_dir_all(directory).map_err(unwritable)?;
        let address = |port: u16| format!("ws://127.0.0.1:{port}");
        let specification = json!({
            "outdir": directory,
            "servers": [
                { "agent": DIRECT, "url": address(plan.direct) },
                { "agent": THROUGH, "url": address(plan.through) },
            ],
            "cases": plan.cases,
            "exclude-cases": plan.except,
            "exclude-agent-cases": {},
        });
        let file = directory.join("plan.json");
        fs::write(&file, specification.to_string()).map_err(unwritable)?;
        let mut play = Command::new(&self.interpreter);
        play.args(["-u", "-m", "autobahntestsuite.wstest", "--mode", "fuzzingclient", "--spec"]);
        run(play.arg(&file))?;
        Results::read(&directory.join("index.json"))
    }
}

/// A Python 2.7: what PATH calls so, else the newest of pyenv.
fn python2() -> Option<PathBuf> {
    let pyenv = env::home_dir().map(|home| home.join(".pyenv/versions")).into_iter();
    let mut versions: Vec<PathBuf> = pyenv
        .filter_map(|versions| fs::read_dir(versions).ok())
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    versions.sort();
    let installed = versions.into_iter().rev().map(|version| version.join("bin/python2.7"));
    let mut all = std::iter::once(PathBuf::from("python2.7")).chain(installed);
    all.find(|python| succeeds(Command::new(python).args(["-m", "pip", "--version"])))
}

const NO_PYTHON: &str = "The Autobahn Testsuite needs Python 2.7 with pip, as `python2.7` in PATH or in \
pyenv:\n  pyenv install 2.7.18";

const PIP_INSTALL: [&str; 5] = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];

/// The last line that makes environments for 2.7.
const VIRTUALENV: &str = "virtualenv==20.15.1";
