//! `sockeye watch`: the frames of one session as they pass.
//!
//! Runs at start, at reload, or on a timer.

use clap::Args;

use super::Outcome;
use super::query::{self, QueryArguments};
use super::sessions::encoded;
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
    query::follow(&arguments.query, &path, session_tables::frame)
}
