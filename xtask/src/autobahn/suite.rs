//! The Autobahn Testsuite: its environment of Python 2.7, and the runs of its fuzzing client.

use std::env;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::json;

use super::results::{DIRECT, Results, THROUGH};
use crate::command::{Failure, output, root, run, succeeds};
use crate::setup::stamp::Stamp;

/// An installed suite.
pub(super) struct Suite {
    interpreter: PathBuf,
}

/// Where the server and Sockeye accept.
pub(super) struct Urls {
    pub(super) direct: String,
    pub(super) through: String,
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

    /// Plays the `cases` against the server and at the same time through Sockeye; reports and what
    /// the suite prints lie in `directory` then, and nothing of a run before.
    pub(super) fn play(
        &self,
        cases: &[String],
        urls: &Urls,
        directory: &Path,
    ) -> Result<Results, Failure> {
        if directory.exists() {
            fs::remove_dir_all(directory).map_err(|error| unwritable(&error))?;
        }
        let start = |agent, url| self.start(agent, url, cases, &directory.join(agent));
        let runs = [start(DIRECT, &urls.direct)?, start(THROUGH, &urls.through)?];
        // Both are waited for before the first that failed is reported.
        for ended in runs.map(|mut run| run.wait()) {
            if !ended.is_ok_and(|status| status.success()) {
                let log = directory.display();
                return Err(Failure(format!("a run of the suite failed: see {log}/*/log")));
            }
        }
        Results::read(directory)
    }

    /// Starts a run against one `agent`, as the suite calls a server.
    fn start(
        &self,
        agent: &str,
        url: &str,
        cases: &[String],
        directory: &Path,
    ) -> Result<Child, Failure> {
        fs::create_dir_all(directory).map_err(|error| unwritable(&error))?;
        let specification = json!({
            "outdir": directory,
            "servers": [{ "agent": agent, "url": url }],
            "cases": cases,
            "exclude-cases": [],
            "exclude-agent-cases": {},
        });
        let plan = directory.join("plan.json");
        fs::write(&plan, specification.to_string()).map_err(|error| unwritable(&error))?;
        let log = File::create(directory.join("log")).map_err(|error| unwritable(&error))?;
        let errors = log.try_clone().map_err(|error| unwritable(&error))?;
        Command::new(&self.interpreter)
            .args(["-u", "-m", "autobahntestsuite.wstest", "--mode", "fuzzingclient", "--spec"])
            .arg(&plan)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn()
            .map_err(|error| Failure(format!("cannot start the suite: {error}")))
    }
}

fn unwritable(error: &io::Error) -> Failure {
    Failure(format!("cannot write what a run of the suite needs: {error}"))
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
