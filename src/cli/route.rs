//! `sockeye route`: what would become of a request, by a configuration file or a running process.
//!
//! Exit codes: 0 the request goes to a node or the proxy answers it, 1 it is refused or has no route, 2
//! wrong use or a wrong configuration.
//!
//! Runs at start, at reload, or on a timer.

use std::error::Error;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::admin_target::KeyArguments;
use super::{print_failure, printable, route_text};
use crate::Instant;
use crate::admin::client::{self, AdminTarget};
use crate::admin::explain;
use crate::admin::model::Refusal;
use crate::config;
use crate::exchange::preview::{Described, Preview};

/// The request, and who is asked.
#[derive(Debug, Args)]
pub(super) struct RouteArguments {
    /// The method, such as GET
    #[arg(value_name = "METHOD")]
    method: String,
    /// The URL, of http, https, ws or wss; or a path alone
    #[arg(value_name = "URL")]
    url: String,
    /// A header field of the request; may be repeated
    #[arg(long, value_name = "NAME:VALUE")]
    header: Vec<String>,
    /// The address of the client
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    client: IpAddr,
    /// The configuration file, - for standard input
    #[arg(long, short, value_name = "FILE", default_value = "sockeye.yaml")]
    config: PathBuf,
    /// Ask the running process with this admin listener instead, which knows the states of its nodes
    #[arg(long, value_name = "ADDRESS", conflicts_with = "config")]
    admin: Option<SocketAddr>,
    #[command(flatten)]
    key: KeyArguments,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Prints what would become of the request.
pub(super) fn route(arguments: &RouteArguments) -> ExitCode {
    let shown = match arguments.admin {
        Some(address) => ask(arguments, address),
        None => read(arguments, &arguments.config),
    };
    let printed = shown.and_then(|shown| {
        let text = match arguments.json {
            true => format!("{:#}\n", serde_json::to_value(&shown)?),
            false => printable(&route_text::text(&shown)),
        };
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        stdout.flush()?;
        Ok(shown)
    });
    match printed {
        Ok(shown) if shown.is_refused() => ExitCode::FAILURE,
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            print_failure(&*error);
            ExitCode::from(WRONG_USE)
        }
    }
}

fn read(arguments: &RouteArguments, file: &Path) -> Result<Preview, Box<dyn Error>> {
    let RouteArguments { method, url, header, client, .. } = arguments;
    let described = Described::new((method, url), header, *client)?;
    let config = config::load(file)?;
    let snapshot = config.snapshot(None)?;
    // As a process would: nodes drain that the file drains.
    snapshot.enact(Instant::now());
    Ok(explain(&snapshot, &config.listeners, &described))
}

fn ask(arguments: &RouteArguments, address: SocketAddr) -> Result<Preview, Box<dyn Error>> {
    let encoded = |name: &str, value: &str| {
        format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC))
    };
    let client = arguments.client.to_string();
    let mut parameters = vec![
        encoded("method", &arguments.method),
        encoded("url", &arguments.url),
        encoded("client", &client),
    ];
    parameters.extend(arguments.header.iter().map(|field| encoded("header", field)));
    let path = format!("/route?{}", parameters.join("&"));
    let (status, answer) =
        client::request(&AdminTarget::plain(address, arguments.key.read()?), Method::GET, &path)?;
    if status.is_success() {
        return Ok(serde_json::from_value(answer)?);
    }
    let refusal: Refusal = serde_json::from_value(answer).unwrap_or_default();
    Err(refusal.error.into())
}

/// As clap has it.
const WRONG_USE: u8 = 2;
