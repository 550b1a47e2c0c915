//! The packages of Node.js and Python, inside the repository, at the versions of their lock files.

use std::path::Path;
use std::process::Command;

use super::stamp::Stamp;
use crate::command::{Failure, root, run, succeeds};

/// `tests/node/node_modules`, from `package-lock.json`.
pub(super) fn node() -> Result<(), Failure> {
    let home = root().join("tests/node");
    let stamp = Stamp::new(&home.join("node_modules"), &home.join("package-lock.json"));
    if stamp.is_fresh() {
        return Ok(());
    }
    // No package of ours is built, so none has a reason to run code now.
    run(Command::new("npm").args(["ci", "--ignore-scripts"]).current_dir(&home))?;
    stamp.leave()
}

/// `tests/python/.venv`, from `requirements.txt`.
pub(super) fn python() -> Result<(), Failure> {
    let home = root().join("tests/python");
    let environment = home.join(".venv");
    let interpreter = environment.join("bin/python");
    let stamp = Stamp::new(&environment, &home.join("requirements.txt"));
    if stamp.is_fresh() && works(&interpreter) {
        return Ok(());
    }
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment))?;
    let mut install = Command::new(&interpreter);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    run(install.args(["--requirement", "requirements.txt"]).current_dir(&home))?;
    stamp.leave()
}

/// An environment breaks when the system's Python is renewed.
fn works(interpreter: &Path) -> bool {
    succeeds(
        Command::new(interpreter).args(["-c", "import aiohttp, crossplane, h2, socketio, uvicorn"]),
    )
}
