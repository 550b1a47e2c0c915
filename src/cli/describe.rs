//! `sockeye schema`, `completions` and `man`: descriptions of the program for other programs.
//!
//! Runs at start, at reload, or on a timer.

use std::io::{self, Write};

use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;

use super::Outcome;
use crate::config;

/// Prints the JSON Schema of the configuration, or of the files that it includes.
pub(super) fn schema(of_included: bool) -> Outcome {
    let schema = if of_included { config::schema_of_included() } else { config::schema() };
    let text = serde_json::to_string_pretty(&schema)?;
    print(format!("{text}\n").as_bytes())
}

/// Prints the completions of `program` for `shell`.
pub(super) fn completions(mut program: Command, shell: Shell) -> Outcome {
    let mut script = Vec::new();
    let name = program.get_name().to_owned();
    clap_complete::generate(shell, &mut program, name, &mut script);
    print(&script)
}

/// Prints the manual page of `program`, or of its command `name`, in roff.
pub(super) fn man(mut program: Command, name: Option<&str>) -> Outcome {
    // Without it, the manual page of a command lacks the program's name.
    program.build();
    let described = match name {
        None => &program,
        Some(name) => {
            let found = program.find_subcommand(name);
            found.ok_or_else(|| format!("there is no command `{name}`; see sockeye --help"))?
        }
    };
    let mut page = Vec::new();
    Man::new(described.clone()).render(&mut page)?;
    print(&page)
}

/// A reader that closes early, such as `head`, is an error and not a panic.
fn print(bytes: &[u8]) -> Outcome {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    Ok(stdout.flush()?)
}
