//! `sockeye drain` and `undrain`: orders that concern one node, and how far the drain is.
//!
//! Runs at start, at reload, or on a timer.

use std::io::{self, IsTerminal, Write};
use std::thread::sleep;
use std::time::Duration;

use clap::Args;
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::Outcome;
use super::ask::{self, Asked};
use crate::admin::tables;

/// Which node, and of which process.
#[derive(Debug, Args)]
pub(super) struct Named {
    /// The node: its name, or UPSTREAM/NAME
    #[arg(value_name = "NODE")]
    node: String,
    #[command(flatten)]
    asked: Asked,
}

/// What to do while a node drains.
#[derive(Debug, Args)]
pub(super) struct Drained {
    #[command(flatten)]
    named: Named,
    /// Do not wait until the node is empty; nor does --json
    #[arg(long)]
    no_wait: bool,
}

/// Drains a node, and shows how far it is until it is empty.
pub(super) fn drain(drained: &Drained) -> Outcome {
    let named = &drained.named;
    let answer = order(named, "drain")?;
    if named.asked.is_json() {
        return show(&format!("{answer:#}\n"));
    }
    if drained.no_wait {
        return show(&format!("{}\n", tables::draining(&answer["upstream"], &answer["node"])));
    }
    wait(named, &answer["upstream"], &answer["node"]["name"])
}

/// Drains a node no longer; fails if it drains for another reason too.
pub(super) fn undrain(named: &Named) -> Outcome {
    let answer = order(named, "undrain")?;
    if named.asked.is_json() {
        return show(&format!("{answer:#}\n"));
    }
    let sentence = tables::draining(&answer["upstream"], &answer["node"]);
    match &answer["node"]["draining"] {
        Value::Null => show(&format!("{sentence}\n")),
        _ => Err(format!("it drains for another reason too: {sentence}").into()),
    }
}

fn order(named: &Named, what: &str) -> Result<Value, Box<dyn std::error::Error>> {
    let node = utf8_percent_encode(&named.node, NON_ALPHANUMERIC);
    ask::succeed(&named.asked, Method::POST, &format!("/nodes/{node}/{what}"))
}

/// Shows how far the node is once a second, on a terminal always on the same line, else only what
/// is new.
fn wait(named: &Named, upstream: &Value, name: &Value) -> Outcome {
    let is_terminal = io::stdout().is_terminal();
    let (mut shown, mut has_left) = (Value::Null, false);
    loop {
        let answer = ask::succeed(&named.asked, Method::GET, "/nodes")?;
        let nodes = tables::find_nodes(&answer, upstream, name);
        let Some(first) = nodes.first() else {
            return match has_left {
                true => show("it has left, and has nothing to do any more\n"),
                false => Err("it is not known any more".into()),
            };
        };
        has_left = tables::has_left(first);
        // Another process may have its name now, and it is empty when both are.
        let busy = nodes.iter().find(|node| node["draining"]["empty"] != true);
        let node = match first["draining"].is_null() {
            true => first,
            false => busy.unwrap_or(first),
        };
        let sentence = tables::draining(upstream, node);
        let is_over = node["draining"].is_null() || busy.is_none();
        let figures =
            Value::from([&node["tunnels"], &node["exchanges"]].map(Value::clone).to_vec());
        if is_terminal {
            show(&format!("\r\x1b[K{sentence}{}", if is_over { "\n" } else { "" }))?;
        } else if is_over || figures != shown {
            show(&format!("{sentence}\n"))?;
        }
        if node["draining"].is_null() {
            return Err("somebody else has called the drain off".into());
        }
        if is_over {
            return Ok(());
        }
        shown = figures;
        sleep(EVERY);
    }
}

fn show(text: &str) -> Outcome {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    Ok(stdout.flush()?)
}

/// How often the process is asked.
const EVERY: Duration = Duration::from_secs(1);
