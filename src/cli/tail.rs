//! `sockeye tail`: ends and handshakes as they come.
//!
//! Runs at start, at reload, or on a timer.

use clap::Args;

use super::Outcome;
use super::query::{self, QueryArguments};
use super::sessions::encoded;
use crate::admin::session_tables;

/// What to show.
#[derive(Debug, Args)]
pub(super) struct TailArguments {
    /// What to show: ends, abnormal (ends whose cause is known), handshakes, or several with commas
    #[arg(long, default_value = "ends,handshakes")]
    what: String,
    /// Only of this node, by its name
    #[arg(long)]
    node: Option<String>,
    /// Only of the client with this address
    #[arg(long, value_name = "ADDRESS")]
    client: Option<String>,
    /// Only of routes, or paths of handshakes, with this part
    #[arg(long)]
    route: Option<String>,
    #[command(flatten)]
    query: QueryArguments,
}

/// Shows what happens until the process stops, or until the output is closed.
pub(super) fn tail(arguments: &TailArguments) -> Outcome {
    let given =
        [("node", &arguments.node), ("client", &arguments.client), ("route", &arguments.route)];
    let mut path = format!("/tail?what={}", arguments.what);
    for (name, value) in given {
        if let Some(value) = value {
            path.push_str(&format!("&{name}={}", encoded(value)));
        }
    }
    query::follow(&arguments.query, &path, session_tables::event)
}
