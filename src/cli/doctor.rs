//! `sockeye doctor`: what is wrong with a running set-up.
//!
//! Exit codes: 0 sound, 1 something breaks, 2 wrong use, 3 something that was to be seen was not.
//!
//! Runs at start, at reload, or on a timer.

use std::error::Error;
use std::io::{self, IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio::runtime::Builder;

use super::admin_target::KeyArguments;
use super::{deployment, print_failure};
use crate::Instant;
use crate::admin::client::{self, AdminTarget};
use crate::admin::model::Status;
use crate::config;
use crate::doctor::{self, Colours, Memory, NodeTarget, Product, Report, Settings, Target};
use crate::tls::roots;

/// Whom to look at, and how closely.
#[derive(Debug, Args)]
pub(super) struct DoctorArguments {
    /// The URL of clients, such as https://chat.example.com/socket.io/, with a query if clients have one
    #[arg(value_name = "URL", required_unless_present = "config")]
    url: Option<String>,
    /// A node to ask past the proxy: HOST:PORT, or a URL if its path is another one; may be repeated
    #[arg(long, value_name = "ADDRESS")]
    node: Vec<String>,
    /// Ask the nodes of this configuration file too
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Listen here as a node, to which the proxy sends this URL, and show what arrives
    #[arg(long, value_name = "ADDRESS")]
    as_node: Option<SocketAddr>,
    /// Compare messages to a room between all nodes; the application needs ten lines for it, which
    /// docs/doctor.md shows
    #[arg(long)]
    rooms: bool,
    /// The namespace of these lines
    #[arg(long, value_name = "NAMESPACE", default_value = "/sockeye-doctor", requires = "rooms")]
    namespace: String,
    /// How many seconds idle sessions are watched
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    patience: u64,
    /// The protocol of clients: 4, or 3 for Socket.IO 1 and 2
    #[arg(long, value_name = "VERSION", default_value_t = 4, value_parser = clap::value_parser!(u8).range(3..=4))]
    eio: u8,
    /// The origin of the pages that connect, such as https://app.example.com
    #[arg(long, value_name = "ORIGIN")]
    origin: Option<String>,
    /// A header field of each request, such as a cookie or a token; may be repeated
    #[arg(long, value_name = "NAME:VALUE")]
    header: Vec<String>,
    /// The proxy, if it does not show itself
    #[arg(long, value_name = "PROXY")]
    proxy: Option<Product>,
    /// The largest message to send, in bytes; not more than the server allows is sent
    #[arg(long, value_name = "BYTES", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1_024..=3_000_000))]
    payload: u64,
    /// Look at the memory of the Sockeye with this admin listener
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<SocketAddr>,
    #[command(flatten)]
    key: KeyArguments,
    /// Trust the certificate authorities of this file, in PEM, instead of those of the system
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Looks, and prints the report.
pub(super) fn doctor(arguments: &DoctorArguments) -> ExitCode {
    let looked = settings(arguments).and_then(|settings| {
        let key = arguments.key.read()?;
        let admin = arguments.admin.map(|address| AdminTarget::plain(address, key));
        let report = look(&settings, admin)?;
        print(&report, arguments.json)?;
        Ok(report.exit_code())
    });
    match looked {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            print_failure(&*error);
            ExitCode::from(WRONG_USE)
        }
    }
}

fn look(settings: &Settings, admin: Option<AdminTarget>) -> Result<Report, Box<dyn Error>> {
    let begun = Instant::now();
    let memory = admin.as_ref().map(|target| Memory::first(memory(target)));
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let mut observations = runtime.block_on(doctor::observe(settings));
    // A lookup of a name that hangs in the system is not waited for.
    runtime.shutdown_background();
    observations.memory = admin.zip(memory).map(|(target, mut first)| {
        let between_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        first.second(self::memory(&target), between_ms);
        first
    });
    Ok(Report::new(observations))
}

/// Memory in use in bytes, and tunnels, of the Sockeye with this admin listener.
fn memory(target: &AdminTarget) -> Result<(Option<u64>, u64), String> {
    let (_, answer) =
        client::request(target, Method::GET, "/status").map_err(|error| error.to_string())?;
    let status: Status = serde_json::from_value(answer).map_err(|error| error.to_string())?;
    Ok((status.memory_bytes, status.tunnels))
}

fn print(report: &Report, as_json: bool) -> Result<(), Box<dyn Error>> {
    let mut stdout = io::stdout().lock();
    let is_plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let colours = match stdout.is_terminal() && !is_plain {
        true => Colours::On,
        false => Colours::Off,
    };
    let text = match as_json {
        true => doctor::escaped(&format!("{:#}\n", serde_json::to_value(report)?)),
        false => doctor::text(report, colours),
    };
    stdout.write_all(text.as_bytes())?;
    Ok(stdout.flush()?)
}

fn settings(arguments: &DoctorArguments) -> Result<Settings, Box<dyn Error>> {
    let target = arguments.url.as_deref().map(Target::parse).transpose()?;
    let tls = Arc::new(trusting(arguments.ca.as_deref())?);
    let mut nodes = Vec::new();
    for address in &arguments.node {
        let node = match &target {
            Some(target) => target.node(address)?,
            None => Target::parse(address)?,
        };
        nodes.push(NodeTarget { name: address.clone(), target: node, tls: tls.clone() });
    }
    if let Some(file) = &arguments.config {
        nodes.extend(deployment::nodes(&config::load(file)?));
    }
    if target.is_none() && (arguments.rooms || arguments.as_node.is_some()) {
        return Err("--rooms and --as-node need the URL of clients".into());
    }
    Ok(Settings {
        target,
        nodes,
        eio: arguments.eio,
        origin: arguments.origin.clone(),
        patience: Duration::from_secs(arguments.patience),
        payload_bytes_max: arguments.payload,
        product: arguments.proxy,
        fields: fields(&arguments.header)?,
        as_node: arguments.as_node,
        rooms: arguments.rooms.then(|| arguments.namespace.clone()),
        tls,
    })
}

fn fields(lines: &[String]) -> Result<HeaderMap<HeaderValue>, Box<dyn Error>> {
    let mut fields = HeaderMap::new();
    for line in lines {
        let invalid = || format!("`{line}` is no header field: write NAME: VALUE");
        let (name, value) = line.split_once(':').ok_or_else(invalid)?;
        let name: HeaderName = name.trim().parse().map_err(|_| invalid())?;
        let value = HeaderValue::from_str(value.trim()).map_err(|_| invalid())?;
        fields.append(name, value);
    }
    Ok(fields)
}

/// What trusts the authorities in the file `ca`, or those of the system.
fn trusting(ca: Option<&Path>) -> Result<ClientConfig, Box<dyn Error>> {
    let certificates = match ca {
        Some(file) => {
            let failed = |error| format!("{}: {error}", file.display());
            let read = CertificateDer::pem_file_iter(file).map_err(failed)?;
            read.collect::<Result<Vec<_>, _>>().map_err(failed)?
        }
        // Without any, only TLS fails, and says so.
        None => roots::of_system().unwrap_or_default(),
    };
    let roots: RootCertStore = roots::store(certificates);
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// As clap has it.
const WRONG_USE: u8 = 2;
