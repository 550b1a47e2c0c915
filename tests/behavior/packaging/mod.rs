//! What runs Sockeye in containers and as a service: read as those programs would read it, as far
//! as that can be done without them.

mod dockerfile;
mod kubernetes;
mod systemd;

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_yaml::Value;

/// The program takes these arguments: the command is known, and so is each option.
#[track_caller]
pub fn assert_accepted(arguments: &[String]) {
    let (command, options) = arguments.split_first().expect("a command");
    let help =
        Command::new(env!("CARGO_BIN_EXE_sockeye")).args([command, "--help"]).output().unwrap();
    assert!(help.status.success(), "there is no `sockeye {command}`");
    let help = String::from_utf8_lossy(&help.stdout);
    for option in options.iter().filter(|option| option.starts_with('-')) {
        assert!(help.contains(option.as_str()), "`sockeye {command}` has no {option}");
    }
}

/// The texts of a list.
pub fn words(list: &Value) -> Vec<String> {
    let words = list.as_sequence().expect("a list of words");
    words.iter().map(|word| word.as_str().expect("a word").to_owned()).collect()
}

fn shipped(path: &str) -> String {
    std::fs::read_to_string(root(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Where all of them have the program.
const PROGRAM: &str = "/usr/local/bin/sockeye";

/// Where all of them have the configuration.
const CONFIGURATION: &str = "/etc/sockeye/sockeye.yaml";
