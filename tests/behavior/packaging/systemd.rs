//! `configs/systemd/sockeye.service`.

use std::process::Command;
use std::time::Duration;

use super::{CONFIGURATION, PROGRAM, assert_accepted, shipped};

const UNIT: &str = "configs/systemd/sockeye.service";

#[test]
fn the_service_runs_commands_that_there_are() {
    for command in ["ExecStartPre", "ExecStart"] {
        let words = value_of(command);
        let mut words = words.split(' ').map(str::to_owned);
        assert_eq!(words.next().as_deref(), Some(PROGRAM), "{command}");
        let arguments: Vec<String> = words.collect();
        assert_accepted(&arguments);
        assert_eq!(arguments.last().map(String::as_str), Some(CONFIGURATION), "{command}");
    }
}

#[test]
fn the_orderly_end_has_the_time_it_needs() {
    let seconds = value_of("TimeoutStopSec").trim_end_matches('s').parse().unwrap();
    assert!(
        Duration::from_secs(seconds) > sockeye::internal::shutdown::Settings::default().timeout
    );
}

#[test]
fn each_line_is_a_section_a_setting_or_a_comment() {
    for line in shipped(UNIT).lines().filter(|line| !line.is_empty()) {
        let is_section = line.starts_with('[') && line.ends_with(']');
        let is_setting = line.split_once('=').is_some_and(|(name, value)| {
            name.chars().all(char::is_alphanumeric) && !value.is_empty()
        });
        assert!(is_section || is_setting || line.starts_with("# "), "{line}");
    }
}

/// Where there is no systemd, its opinion cannot be had; the other tests hold everywhere.
#[test]
fn systemd_finds_nothing_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let unit = directory.path().join("sockeye.service");
    let program = env!("CARGO_BIN_EXE_sockeye");
    std::fs::write(&unit, shipped(UNIT).replace(PROGRAM, program)).unwrap();
    let Ok(said) = Command::new("systemd-analyze").arg("verify").arg(&unit).output() else {
        return;
    };
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    let about_us: Vec<&str> = said.lines().filter(|line| line.contains("sockeye")).collect();
    assert!(about_us.is_empty(), "{said}");
}

/// The value of a setting that is written once.
fn value_of(name: &str) -> String {
    let unit = shipped(UNIT);
    let mut values = unit.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    let value = values.next().unwrap_or_else(|| panic!("{name} is not set"));
    assert_eq!(values.next(), None, "{name} is set twice");
    value.to_owned()
}
