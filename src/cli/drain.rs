//! `sockeye drain` and `undrain`: commands for one node, and the progress of the drain.
//!
//! Runs at start, at reload, or on a timer.

use std::error::Error;
use std::io::{self, IsTerminal, Write};
use std::thread::sleep;
use std::time::Duration;

use clap::Args;
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::query::{self, QueryArguments};
use super::{Outcome, printable};
use crate::admin::model::{Draining, NodeCommandResult, Nodes};
use crate::admin::tables;

/// The node, and the process.
#[derive(Debug, Args)]
pub(super) struct NodeArguments {
    /// The node: its name, or UPSTREAM/NAME
    #[arg(value_name = "NODE")]
    node: String,
    #[command(flatten)]
    query: QueryArguments,
}

/// The node, and whether to wait for its drain.
#[derive(Debug, Args)]
pub(super) struct DrainArguments {
    #[command(flatten)]
    node: NodeArguments,
    /// Do not wait until the node is empty; nor does --json
    #[arg(long)]
    no_wait: bool,
}

/// Drains a node, and shows the progress until it is empty.
pub(super) fn drain(arguments: &DrainArguments) -> Outcome {
    let node = &arguments.node;
    let answer = command(node, "drain")?;
    if node.query.is_json() {
        return print(&format!("{answer:#}\n"));
    }
    let answer = serde_json::from_value(answer)?;
    if arguments.no_wait {
        return print(&format!("{}\n", printable(&tables::commanded(&answer))));
    }
    wait(node, &answer)
}

/// Ends the drain of a node. Fails if it drains for another reason too.
pub(super) fn undrain(arguments: &NodeArguments) -> Outcome {
    let answer = command(arguments, "undrain")?;
    if arguments.query.is_json() {
        return print(&format!("{answer:#}\n"));
    }
    let answer: NodeCommandResult = serde_json::from_value(answer)?;
    let sentence = printable(&tables::commanded(&answer));
    match answer.node.draining {
        None => print(&format!("{sentence}\n")),
        Some(_) => Err(format!("it drains for another reason too: {sentence}").into()),
    }
}

fn command(arguments: &NodeArguments, name: &str) -> Result<Value, Box<dyn Error>> {
    let node = utf8_percent_encode(&arguments.node, NON_ALPHANUMERIC);
    query::request(&arguments.query, Method::POST, &format!("/nodes/{node}/{name}"))
}

/// Shows the progress once a second: on a terminal always on the same line, otherwise only changes.
fn wait(arguments: &NodeArguments, begun: &NodeCommandResult) -> Outcome {
    let is_terminal = io::stdout().is_terminal();
    let (mut shown, mut has_left) = (None, false);
    loop {
        let answer = query::request(&arguments.query, Method::GET, "/nodes")?;
        let answer: Nodes = serde_json::from_value(answer)?;
        let nodes = tables::find_nodes(&answer, &begun.upstream, &begun.node.name);
        let Some(first) = nodes.first() else {
            return match has_left {
                true => print("the node was removed and has no sessions\n"),
                false => Err("the node is no longer known".into()),
            };
        };
        has_left = tables::has_left(first);
        // Another process may have its name now. The node is empty when both are.
        let is_empty = |draining: &Draining| draining.empty;
        let busy = nodes.iter().find(|node| !node.draining.as_ref().is_some_and(is_empty));
        let node = match &first.draining {
            None => first,
            Some(_) => busy.unwrap_or(first),
        };
        let sentence = printable(&tables::draining(&begun.upstream, node));
        let is_over = node.draining.is_none() || busy.is_none();
        let figures = Some((node.tunnels, node.exchanges));
        if is_terminal {
            print(&format!("\r\x1b[K{sentence}{}", if is_over { "\n" } else { "" }))?;
        } else if is_over || figures != shown {
            print(&format!("{sentence}\n"))?;
        }
        if node.draining.is_none() {
            return Err("another command has ended the drain".into());
        }
        if is_over {
            return Ok(());
        }
        shown = figures;
        sleep(EVERY);
    }
}

fn print(text: &str) -> Outcome {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    Ok(stdout.flush()?)
}

/// The time between two requests.
const EVERY: Duration = Duration::from_secs(1);
