//! `sockeye sessions`: finds sessions of a running process, shows one, or ends one.
//!
//! Runs at start, at reload, or on a timer.

use clap::{Args, Subcommand};
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::Outcome;
use super::query::{self, QueryArguments};
use crate::admin::session_tables;

/// Which sessions, and what to do with them.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct SessionsArguments {
    #[command(subcommand)]
    command: Option<SessionCommand>,
    #[command(flatten)]
    filter: FilterArguments,
    #[command(flatten)]
    query: QueryArguments,
}

#[derive(Debug, Subcommand)]
enum SessionCommand {
    /// Show what happened in a session, and its last frames
    Show(OneArguments),
    /// End the WebSocket of a session: both sides get a Close frame with 1001
    End(OneArguments),
}

/// One session.
#[derive(Debug, Args)]
struct OneArguments {
    /// The id that the list shows
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    query: QueryArguments,
}

/// Which sessions.
#[derive(Debug, Args)]
struct FilterArguments {
    /// The client's address, or a network such as 10.0.0.0/8
    #[arg(long, value_name = "ADDRESS")]
    client: Option<String>,
    /// A part of who the client is, by the first field that the rules of the route pass to the node
    #[arg(long)]
    user: Option<String>,
    /// A part of the route's host and path
    #[arg(long)]
    route: Option<String>,
    /// The node: its name, or UPSTREAM/NAME
    #[arg(long)]
    node: Option<String>,
    /// websocket, polling or upgrade
    #[arg(long)]
    transport: Option<String>,
    /// The least age in seconds
    #[arg(long, value_name = "SECONDS")]
    min_age: Option<f64>,
    /// The greatest age in seconds
    #[arg(long, value_name = "SECONDS")]
    max_age: Option<f64>,
    /// The least messages a second, since the session began
    #[arg(long, value_name = "MESSAGES")]
    min_rate: Option<f64>,
    /// What comes first: age, idle, bytes, messages, rate or waiting
    #[arg(long, default_value = "age")]
    sort: String,
    /// How many sessions to show
    #[arg(long, default_value = "100")]
    limit: u32,
}

/// Lists sessions, shows one or ends one.
pub(super) fn sessions(arguments: &SessionsArguments) -> Outcome {
    match &arguments.command {
        None => {
            let path = format!("/sessions?{}", arguments.filter.query());
            query::query(&arguments.query, (Method::GET, &path), session_tables::sessions).map(drop)
        }
        Some(SessionCommand::Show(one)) => {
            let path = format!("/sessions/{}", encoded(&one.id));
            query::query(&one.query, (Method::GET, &path), session_tables::detail).map(drop)
        }
        Some(SessionCommand::End(one)) => {
            let path = format!("/sessions/{}/end", encoded(&one.id));
            query::query(&one.query, (Method::POST, &path), session_tables::ended).map(drop)
        }
    }
}

impl FilterArguments {
    fn query(&self) -> String {
        let number = |number: Option<f64>| number.map(|number| number.to_string());
        let parameters = [
            ("client", self.client.clone()),
            ("user", self.user.clone()),
            ("route", self.route.clone()),
            ("node", self.node.clone()),
            ("transport", self.transport.clone()),
            ("min_age_seconds", number(self.min_age)),
            ("max_age_seconds", number(self.max_age)),
            ("min_rate", number(self.min_rate)),
            ("sort", Some(self.sort.clone())),
            ("limit", Some(self.limit.to_string())),
        ];
        let written = parameters.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let pairs = written.map(|(name, value)| format!("{name}={}", encoded(&value)));
        pairs.collect::<Vec<_>>().join("&")
    }
}

/// `text` as a part of a path or of a query.
pub(super) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}
