//! `sockeye status`, `nodes` and `reload`: what a running process says by its admin listener.
//!
//! Runs at start, at reload, or on a timer.

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::Args;
use http::Method;
use serde_json::Value;

use super::Outcome;
use crate::admin::{client, tables};
use crate::config;

/// Whom to ask, and how to show the answer.
#[derive(Debug, Args)]
pub(super) struct Asked {
    /// The admin listener; by default that of the configuration file, else 127.0.0.1:9090
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<SocketAddr>,
    /// The configuration file that names the admin listener, if there is one
    #[arg(long, short, value_name = "FILE", default_value = "sockeye.yaml")]
    config: PathBuf,
    /// Print the answer as it came
    #[arg(long)]
    json: bool,
}

impl Asked {
    /// Whether the answer is to be printed as it came.
    pub(super) fn is_json(&self) -> bool {
        self.json
    }
}

/// What the endpoint at `path` answers, if it is not a refusal.
pub(super) fn succeed(asked: &Asked, method: Method, path: &str) -> Result<Value, Box<dyn Error>> {
    let (status, answer) = client::ask(address(asked)?, method, path)?;
    if status.is_success() { Ok(answer) } else { Err(refusal(&answer)) }
}

/// How the process is; fails if it is not ready, unless it is merely full.
pub(super) fn status(asked: &Asked) -> Outcome {
    ask(asked, (Method::GET, "/status"), tables::status)
}

/// Its nodes and what they have to do.
pub(super) fn nodes(asked: &Asked) -> Outcome {
    ask(asked, (Method::GET, "/nodes"), tables::nodes)
}

/// Lets it read its file anew.
pub(super) fn reload(asked: &Asked) -> Outcome {
    ask(asked, (Method::POST, "/reload"), tables::reload)
}

#[expect(clippy::print_stdout, reason = "this is what the command is for")]
fn ask(asked: &Asked, (method, path): (Method, &str), table: fn(&Value) -> String) -> Outcome {
    let (status, answer) = client::ask(address(asked)?, method, path)?;
    if asked.json {
        println!("{answer:#}");
    } else if status.is_success() {
        print!("{}", table(&answer));
    }
    if !status.is_success() {
        return Err(refusal(&answer));
    }
    if answer["healthy"] == false {
        return Err("it is not ready for new clients".into());
    }
    Ok(())
}

fn refusal(answer: &Value) -> Box<dyn Error> {
    answer["error"].as_str().unwrap_or("it gave no reason").into()
}

fn address(asked: &Asked) -> Result<SocketAddr, Box<dyn Error>> {
    let file = &asked.config;
    match asked.admin {
        Some(address) => Ok(address),
        None if file.exists() => config::load(file)?.admin.ok_or_else(|| {
            let file = file.display();
            let what = "it has no admin listener: write admin: { bind: 127.0.0.1:9090 }";
            format!("{file}: {what}, and restart").into()
        }),
        None => Ok(ADMIN_DEFAULT),
    }
}

/// Where the admin listener is expected if nothing says where.
const ADMIN_DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9090);
