//! `sockeye import`: writes a configuration for what another proxy is configured to do.
//!
//! Runs at start, at reload, or on a timer.

use std::error::Error;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::print_failure;
use crate::config::{self, Source, Translation};
use crate::import::{Import, import_from_disk};
use crate::nginx::{self, Finding, Level};

/// What is imported.
#[derive(Debug, Subcommand)]
pub(super) enum ImportCommand {
    /// Write sockeye.yaml for an nginx.conf and all that it includes, and say what was wrong with it and what
    /// has to be done by hand
    ///
    /// The YAML goes to standard output, or to the file of --output; each line says where it came from. The
    /// report goes to standard error. Exit codes: 0 all is carried over, 3 something has to be done by hand, 1
    /// the file cannot be read, 2 wrong use.
    Nginx(NginxArguments),
}

#[derive(Debug, Args)]
pub(super) struct NginxArguments {
    /// The nginx.conf, or a part of one; - is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Where the YAML is written; a file that exists stays as it is
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace a file that exists
    #[arg(long, requires = "output")]
    force: bool,
    /// Print the report as one JSON array
    #[arg(long)]
    json: bool,
}

/// Imports as `command` says.
pub(super) fn import(command: &ImportCommand) -> ExitCode {
    let ImportCommand::Nginx(arguments) = command;
    match import_nginx(arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(BY_HAND),
        Err(error) => {
            print_failure(&*error);
            ExitCode::FAILURE
        }
    }
}

/// Returns whether nothing has to be done by hand.
fn import_nginx(arguments: &NginxArguments) -> Result<bool, Box<dyn Error>> {
    let file = &arguments.file;
    let command = format!("sockeye import nginx {}", file.display());
    let mut import = import_from_disk(file, &command)?;
    if let Some(yaml) = &import.yaml {
        let here = missing_here(yaml);
        write(yaml, arguments)?;
        import.findings.extend(here);
    }
    report(&import, arguments)?;
    Ok(import.is_whole())
}

/// The files that the new configuration names, and that cannot be used on this machine.
fn missing_here(yaml: &str) -> Vec<Finding> {
    let Err(problems) = config::parse("sockeye.yaml", yaml) else { return Vec::new() };
    let finding = |problem: &config::Problem| {
        let what = format!("{} {}", problem.path, problem.what);
        let remedy = "it has to be there where Sockeye runs: see sockeye check";
        Finding::new(Level::Note, "file-here", None, what, remedy)
    };
    // A page for errors may be that of many routes.
    let mut seen = std::collections::BTreeSet::new();
    let last = |problem: &config::Problem| {
        let key = problem.path.rsplit('.').next().unwrap_or_default().to_owned();
        (key, problem.what.clone(), problem.path.contains("error_pages"))
    };
    problems.iter().filter(|problem| seen.insert(last(problem))).map(finding).collect()
}

fn write(yaml: &str, arguments: &NginxArguments) -> io::Result<()> {
    let Some(path) = &arguments.output else {
        return io::stdout().lock().write_all(yaml.as_bytes());
    };
    let mut options = OpenOptions::new();
    options.write(true).create(true);
    match arguments.force {
        true => options.truncate(true),
        false => options.create_new(true),
    };
    let named = |error: io::Error| {
        let hint = match error.kind() {
            io::ErrorKind::AlreadyExists => "it exists; --force replaces it".to_owned(),
            _ => error.to_string(),
        };
        io::Error::new(error.kind(), format!("cannot write {}: {hint}", path.display()))
    };
    let mut file = options.open(path).map_err(named)?;
    file.write_all(yaml.as_bytes()).map_err(named)
}

#[expect(clippy::print_stderr, reason = "this is what the command is for")]
fn report(import: &Import, arguments: &NginxArguments) -> Result<(), Box<dyn Error>> {
    if arguments.json {
        eprintln!("{}", serde_json::to_string_pretty(&nginx::as_json(&import.findings))?);
        return Ok(());
    }
    eprint!("{}", nginx::as_text(&import.findings));
    let by_hand = import.findings.iter().filter(|it| it.level == Level::ByHand).count();
    match (by_hand, &arguments.output) {
        (0, Some(path)) => eprintln!("{} is written: everything is carried over", path.display()),
        (0, None) => eprintln!("everything is carried over"),
        (1, _) => eprintln!("1 thing is to do by hand"),
        (count, _) => eprintln!("{count} things are to do by hand"),
    }
    Ok(())
}

/// The `nginx.conf` at `path` as the configuration of a process.
pub(super) fn nginx_source(path: &Path) -> Source {
    Source::translated(path.to_owned(), translate)
}

fn translate(path: &Path) -> Translation {
    let command = format!("sockeye run --nginx {}", path.display());
    let import = match import_from_disk(path, &command) {
        Ok(import) => import,
        Err(error) => {
            let files = vec![path.to_owned()];
            return Translation { yaml: Err(error.to_string()), warnings: Vec::new(), files };
        }
    };
    let damage = import.damage().map(|finding| {
        let at = finding.at.as_ref().map(|at| format!("{at}: ")).unwrap_or_default();
        format!("cannot be used: {at}{}", finding.what)
    });
    let nothing = "has nothing that Sockeye could serve: see sockeye import nginx".to_owned();
    let warnings = warnings(&import);
    let yaml = match damage {
        Some(damage) => Err(damage),
        None => import.yaml.ok_or(nothing),
    };
    Translation { yaml, warnings, files: import.files }
}

/// One line for each of the first things to do by hand.
fn warnings(import: &Import) -> Vec<String> {
    let by_hand = import.findings.iter().filter(|finding| finding.level == Level::ByHand);
    let shown = by_hand.clone().take(WARNINGS_MAX).map(|finding| {
        let at = finding.at.as_ref().map(|at| format!("{at}: ")).unwrap_or_default();
        format!("{at}{} ({})", finding.what, finding.remedy)
    });
    let more = by_hand.count().saturating_sub(WARNINGS_MAX);
    let more = (more > 0)
        .then(|| format!("{more} more things are not carried over: see sockeye import nginx"));
    shown.chain(more).collect()
}

/// The exit code if something has to be done by hand.
const BY_HAND: u8 = 3;
/// More would drown the rest of the log.
const WARNINGS_MAX: usize = 20;
