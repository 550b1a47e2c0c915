//! `sockeye status`, `nodes` and `reload`: answers of a running process's admin listener.
//!
//! Runs at start, at reload, or on a timer.

use std::error::Error;
use std::io::{Write, stdout};
use std::ops::ControlFlow;

use clap::Args;
use http::Method;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::admin_target::AdminArguments;
use super::{Outcome, printable};
use crate::admin::model::{Refusal, Status};
use crate::admin::{client, event_client, tables};

/// The process, and the form of its answer.
#[derive(Clone, Debug, Args)]
pub(super) struct QueryArguments {
    #[command(flatten)]
    admin: AdminArguments,
    /// Print the response unchanged
    #[arg(long)]
    json: bool,
}

impl QueryArguments {
    /// Whether the answer is to be printed as it came.
    pub(super) fn is_json(&self) -> bool {
        self.json
    }
}

/// Prints the state of the process. Fails if it is not ready, unless it only lacks capacity for more
/// clients.
pub(super) fn status(arguments: &QueryArguments) -> Outcome {
    let answer = query(arguments, (Method::GET, "/status"), tables::status)?;
    match answer {
        Status { healthy: true, .. } => Ok(()),
        Status { healthy: false, .. } => Err("it is not ready for new clients".into()),
    }
}

/// Prints the nodes and their load.
pub(super) fn nodes(arguments: &QueryArguments) -> Outcome {
    query(arguments, (Method::GET, "/nodes"), tables::nodes).map(|_| ())
}

/// Reloads the configuration file.
pub(super) fn reload(arguments: &QueryArguments) -> Outcome {
    query(arguments, (Method::POST, "/reload"), tables::reload).map(|_| ())
}

/// The answer of the endpoint at `path`. Fails if the endpoint refuses.
pub(super) fn request(
    arguments: &QueryArguments,
    method: Method,
    path: &str,
) -> Result<Value, Box<dyn Error>> {
    let (status, answer) = client::request(&arguments.admin.target()?, method, path)?;
    if status.is_success() { Ok(answer) } else { Err(refusal(answer)) }
}

/// Prints the answer of an endpoint, as it came or as a `table`.
#[expect(clippy::print_stdout, reason = "this is what the command is for")]
pub(super) fn query<T: DeserializeOwned>(
    arguments: &QueryArguments,
    (method, path): (Method, &str),
    table: fn(&T) -> String,
) -> Result<T, Box<dyn Error>> {
    let (status, answer) = client::request(&arguments.admin.target()?, method, path)?;
    if arguments.json {
        println!("{answer:#}");
    }
    if !status.is_success() {
        return Err(refusal(answer));
    }
    let answer = serde_json::from_value(answer)?;
    if !arguments.json {
        print!("{}", printable(&table(&answer)));
    }
    Ok(answer)
}

/// Prints the events of the endpoint at `path`, as they came or as a `line` of each, until they end, or until
/// the output is closed. Fails if the endpoint refuses.
pub(super) fn follow(
    arguments: &QueryArguments,
    path: &str,
    line: fn(&str, Value) -> String,
) -> Outcome {
    let on_event = |name: &str, data: Value| {
        let line = match arguments.json {
            true => json!({ "event": name, "data": data }).to_string(),
            false => line(name, data),
        };
        // A reader such as `head` leaves when it has enough.
        match writeln!(stdout(), "{}", printable(&line)).and_then(|()| stdout().flush()) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    };
    match event_client::follow(&arguments.admin.target()?, path, on_event)? {
        None => Ok(()),
        Some((_, answer)) => Err(refusal(answer)),
    }
}

fn refusal(answer: Value) -> Box<dyn Error> {
    match serde_json::from_value(answer) {
        Ok(Refusal { error, .. }) if !error.is_empty() => error.into(),
        Ok(_) | Err(_) => "no reason given".into(),
    }
}
