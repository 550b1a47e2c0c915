//! `sockeye watch`: the frames of one session as they pass.
//!
//! Runs at start, at reload, or on a timer.

use std::io::{Write, stdout};
use std::ops::ControlFlow;

use clap::Args;

use super::query::{self, QueryArguments};
use super::sessions::encoded;
use super::{Outcome, printable};
use crate::admin::session_tables;

/// The session, and what to show of it.
#[derive(Debug, Args)]
pub(super) struct WatchArguments {
    /// The id that sockeye sessions shows
    #[arg(value_name = "ID")]
    id: String,
    /// Show the payloads of texts, too, without the values of fields whose name sounds like a secret; with
    /// admin.auth, this needs a key of the role operate
    #[arg(long)]
    payload: bool,
    #[command(flatten)]
    query: QueryArguments,
}

/// Shows the frames until the session ends, or until the output is closed.
pub(super) fn watch(arguments: &WatchArguments) -> Outcome {
    let payload = if arguments.payload { "?payload=1" } else { "" };
    let path = format!("/sessions/{}/watch{payload}", encoded(&arguments.id));
    let is_json = arguments.query.is_json();
    query::follow(&arguments.query, &path, |name, data| {
        let line = match is_json {
            true => serde_json::json!({ "event": name, "data": data }).to_string(),
            false => session_tables::frame(name, data),
        };
        match writeln!(stdout(), "{}", printable(&line)).and_then(|()| stdout().flush()) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    })
}
