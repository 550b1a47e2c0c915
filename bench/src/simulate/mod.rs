//! A storm of reconnects, simulated: what nodes see of it with admission off and on.

mod backoff;
mod node;
mod plot;
mod storm;

use std::fs;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use crate::Outcome;
use plot::thousands;
use storm::{Course, Scene};

#[derive(Args)]
pub(crate) struct Options {
    /// How many clients lose their session at once
    #[arg(long, default_value_t = 200_000)]
    clients: u32,
    /// How many nodes they come back to
    #[arg(long, default_value_t = 20)]
    nodes: u32,
    /// How many sessions each node can open in a second
    #[arg(long, value_name = "RATE", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    node_capacity: u32,
    /// What `handshakes_per_second` says where admission is on
    #[arg(long, value_name = "RATE", default_value = "3200")]
    admitted: NonZeroU32,
    /// When to end though not all are back, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    end: u64,
    /// Put table and picture into docs/operating.md and docs/storm.svg
    #[arg(long)]
    write_docs: bool,
}

/// Simulates, prints what came of it, and writes it down if that is wished.
pub(crate) fn simulate(options: &Options) -> Outcome {
    let scene = |admitted_per_second| Scene {
        clients: options.clients,
        nodes: options.nodes,
        node_sessions_per_second: options.node_capacity,
        admitted_per_second,
        end: Duration::from_secs(options.end),
    };
    let (off, on) = (storm::pass(scene(None)), storm::pass(scene(Some(options.admitted))));
    let table = table(options, &off, &on);
    println!("{table}");
    if options.write_docs {
        fs::write(docs("storm.svg"), plot::plot(&off, &on, options.clients))?;
        let page = docs("operating.md");
        fs::write(&page, put_between_marks(&fs::read_to_string(&page)?, &table)?)?;
    }
    Ok(())
}

fn table(options: &Options, off: &Course, on: &Course) -> String {
    let sum = |course: &Course, of: fn(&storm::Second) -> u32| {
        thousands(course.seconds.iter().map(of).sum())
    };
    let most = |course: &Course, of: fn(&storm::Second) -> u32| {
        thousands(course.seconds.iter().map(of).max().unwrap_or(0))
    };
    let after = |course: &Course| match course.all_back_after {
        Some(after) => format!("{:.1} s", after.as_secs_f64()),
        None => format!("not within {} s", options.end),
    };
    let row = |title: &str, of: &dyn Fn(&Course) -> String| {
        format!("| {title} | {} | {} |\n", of(off), of(on))
    };
    let rows = [
        row("all clients are back after", &after),
        row("most handshakes in a second, all nodes", &|it| most(it, |second| second.at_nodes)),
        row("most handshakes in a second, one node", &|it| most(it, |second| second.at_busiest)),
        row("sessions opened for clients who had given up", &|it| sum(it, |second| second.wasted)),
        row("handshakes that clients gave up after 20 s", &|it| sum(it, |second| second.given_up)),
        row("handshakes answered with 503", &|it| sum(it, |second| second.refused)),
    ];
    format!(
        "{} clients lose their sessions at once; {} nodes can open {} sessions a second each.\n\n\
         | | admission off | `handshakes_per_second: {}` |\n| --- | --- | --- |\n{}",
        thousands(options.clients),
        options.nodes,
        options.node_capacity,
        options.admitted,
        rows.concat(),
    )
}

fn put_between_marks(page: &str, table: &str) -> Outcome<String> {
    let (before, rest) = page.split_once(BEGIN).ok_or("the page lacks the mark of the begin")?;
    let (_, after) = rest.split_once(END).ok_or("the page lacks the mark of the end")?;
    Ok(format!("{before}{BEGIN}\n{table}\n![{PICTURE}](storm.svg)\n{END}{after}"))
}

fn docs(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name)
}

const BEGIN: &str =
    "<!-- storm: written by `cargo run --release -p bench -- simulate --write-docs` -->";
const END: &str = "<!-- end of storm -->";
const PICTURE: &str = "A storm of reconnects, with admission off and on";
