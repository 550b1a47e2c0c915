//! `sockeye init`: writes a configuration for what runs on this machine.
//!
//! Exit codes: 0 written, 1 nothing was found or the file exists, 2 wrong use.
//!
//! Runs at start, at reload, or on a timer.

use std::error::Error;
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::Value;
use tokio::runtime::Builder;

use super::Outcome;
use super::deployment::trusting_nobody;
use crate::config;
use crate::doctor::{DEFAULT_PATH, LocalNode, USUAL_PORTS, listening, local_nodes};

/// What to write, and where.
#[derive(Debug, Args)]
pub(super) struct InitArguments {
    /// The nodes, separated by commas; by default the ports of this machine that answer a handshake of
    /// Engine.IO
    #[arg(long, value_name = "ADDRESSES", value_delimiter = ',')]
    nodes: Vec<String>,
    /// The file to write; it must not exist
    #[arg(long, short, value_name = "FILE", default_value = "sockeye.yaml")]
    output: PathBuf,
}

/// Writes the file, and says what was found.
#[expect(clippy::print_stdout, reason = "this is what the command is for")]
pub(super) fn init(arguments: &InitArguments) -> Outcome {
    let output = &arguments.output;
    if output.exists() {
        return Err(format!("{} exists, and is not overwritten", output.display()).into());
    }
    let ports = listening();
    let package = Package::read(Path::new("package.json"));
    let found = match arguments.nodes.is_empty() {
        true => find(ports.as_deref().unwrap_or(&USUAL_PORTS), package.as_ref())?,
        false => Found { nodes: arguments.nodes.clone(), ..Found::default() },
    };
    let text = write(&found, package.as_ref(), &ports.unwrap_or_default());
    // What is wrong with an address that was named, the configuration says better.
    config::parse(&output.display().to_string(), &text)?;
    let mut file = OpenOptions::new().write(true).create_new(true).open(output).map_err(
        |error| match error.kind() {
            io::ErrorKind::AlreadyExists => {
                format!("{} exists, and is not overwritten", output.display())
            }
            _ => format!("{}: {error}", output.display()),
        },
    )?;
    file.write_all(text.as_bytes())?;
    let nodes = found.nodes.join(", ");
    let origin = if found.is_guess { "a guess, since nothing answers yet" } else { "as found" };
    let origin = if arguments.nodes.is_empty() { origin } else { "as you say" };
    println!("{} is written, for {nodes} ({origin}). Now:\n", output.display());
    let named = match output.as_path() == Path::new("sockeye.yaml") {
        true => (String::new(), String::new()),
        false => (format!(" {}", output.display()), format!(" --config {}", output.display())),
    };
    println!("  sockeye check{}\n  sockeye run{}", named.0, named.1);
    println!("  sockeye doctor http://localhost:{}{}", found.listen(&text), found.path());
    Ok(())
}

/// What a configuration is written for.
#[derive(Debug, Default)]
struct Found {
    nodes: Vec<String>,
    path: Option<String>,
    is_guess: bool,
}

impl Found {
    fn path(&self) -> &str {
        self.path.as_deref().unwrap_or(DEFAULT_PATH)
    }

    /// The port of clients in the `text` that was written.
    fn listen<'t>(&self, text: &'t str) -> &'t str {
        let bind = text.split_once("bind: \":").map(|(_, rest)| rest);
        bind.and_then(|rest| rest.split('"').next()).unwrap_or("8080")
    }
}

/// Asks the ports of this machine; if none answers, guesses by the package.
fn find(ports: &[u16], package: Option<&Package>) -> Result<Found, Box<dyn Error>> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let tls = std::sync::Arc::new(trusting_nobody());
    let nodes: Vec<LocalNode> = runtime.block_on(local_nodes(ports, &tls));
    let (proxies, nodes): (Vec<_>, Vec<_>) = nodes.into_iter().partition(|node| node.is_proxy);
    if let Some(first) = nodes.first() {
        let alike = nodes.iter().filter(|node| node.path == first.path);
        let addresses = alike.map(|node| node.address.clone()).collect();
        return Ok(Found { nodes: addresses, path: Some(first.path.clone()), is_guess: false });
    }
    if package.is_some() {
        let nodes = vec!["127.0.0.1:3000".to_owned()];
        return Ok(Found { nodes, path: None, is_guess: true });
    }
    if let Some(proxy) = proxies.first() {
        let what = format!("only a proxy answers a handshake of Engine.IO, at {}", proxy.address);
        return Err(
            format!("{what}: name its nodes with --nodes 10.0.0.1:3000,10.0.0.2:3000").into()
        );
    }
    let what = "no port of this machine answers a handshake of Engine.IO at /socket.io/, and there is no \
                package.json with socket.io here";
    Err(format!("{what}: start the nodes, or name them with --nodes 10.0.0.1:3000,10.0.0.2:3000")
        .into())
}

/// What a `package.json` says of Socket.IO.
#[derive(Debug, PartialEq, Eq)]
struct Package {
    version: String,
    has_adapter: bool,
}

impl Package {
    /// `None` if there is no file, or no Socket.IO in it.
    fn read(path: &Path) -> Option<Self> {
        let is_small =
            fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() <= PACKAGE_BYTES_MAX);
        let text = is_small.then(|| fs::read_to_string(path).ok()).flatten()?;
        Self::parse(&text)
    }

    fn parse(text: &str) -> Option<Self> {
        // npm takes a file with a mark of its encoding too.
        let text = text.trim_start_matches('\u{feff}');
        let package: Value = serde_json::from_str(text).ok()?;
        let dependencies = package.get("dependencies")?.as_object()?;
        let version =
            dependencies.get("socket.io")?.as_str()?.chars().filter(|c| !c.is_control()).take(30);
        let is_adapter =
            |name: &String| name.contains("adapter") || name.starts_with("socket.io-redis");
        Some(Self { version: version.collect(), has_adapter: dependencies.keys().any(is_adapter) })
    }
}

/// The configuration. `ports` are taken.
fn write(found: &Found, package: Option<&Package>, ports: &[u16]) -> String {
    let free = |wanted: [u16; 4]| {
        wanted.into_iter().find(|port| !ports.contains(port)).unwrap_or(wanted[0])
    };
    let mut text = String::from("# Written by `sockeye init`. All keys: docs/configuration.md.\n");
    if let Some(package) = package {
        let _ = writeln!(text, "# package.json has socket.io {}.", package.version);
        if found.nodes.len() > 1 && !package.has_adapter {
            text += "# It has no adapter: messages to rooms do not leave a node without one, such as\n\
                     # @socket.io/redis-adapter. `sockeye doctor --rooms` looks.\n";
        }
    }
    if found.is_guess {
        text += "# Nothing answers yet, so the port of the node is a guess.\n";
    }
    let _ = writeln!(text, "listeners:\n  - bind: \":{}\"", free([8080, 8081, 8088, 8888]));
    let _ = writeln!(text, "admin: {{ bind: \"127.0.0.1:{}\" }}", free([9090, 9091, 9092, 9099]));
    text += "upstreams:\n  chat:\n    nodes:\n";
    for node in &found.nodes {
        let _ = writeln!(text, "      - {}", Value::from(node.as_str()));
    }
    let _ = writeln!(text, "routes:\n  - {{ path: {}, upstream: chat }}", found.path());
    text
}

/// Longer ones are not written by people.
const PACKAGE_BYTES_MAX: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn found(nodes: &[&str]) -> Found {
        let nodes = nodes.iter().map(|node| (*node).to_owned()).collect();
        Found { nodes, ..Found::default() }
    }

    #[test]
    fn a_package_tells_its_socket_io() {
        let check = |text: &str, expected: Option<(&str, bool)>| {
            let package = Package::parse(text);
            let package = package.as_ref().map(|package| (&*package.version, package.has_adapter));
            assert_eq!(package, expected, "{text}");
        };
        check(r#"{"dependencies":{"socket.io":"^4.8.0"}}"#, Some(("^4.8.0", false)));
        let adapter = r#"{"dependencies":{"socket.io":"4","@socket.io/redis-adapter":"8"}}"#;
        check(adapter, Some(("4", true)));
        check(r#"{"dependencies":{"express":"4"}}"#, None);
        check(r#"{"devDependencies":{"socket.io":"4"}}"#, None);
        check("\u{feff}{\"dependencies\":{\"socket.io\":\"4\"}}", Some(("4", false)));
        check("[]", None);
        check("{", None);
    }

    #[test]
    fn what_is_written_loads_and_takes_no_port_that_is_taken() {
        let package = Package { version: "^4".to_owned(), has_adapter: false };
        let nodes = found(&["127.0.0.1:3000", "[::1]:3001"]);
        let text = write(&nodes, Some(&package), &[8080, 9090]);
        let config = config::parse("sockeye.yaml", &text).unwrap();
        assert_eq!(config.upstreams[0].upstream.nodes.len(), 2);
        for part in ["8081", "9091", "no adapter"] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        assert_eq!(nodes.listen(&text), "8081");
        let single = write(&found(&["a:3000"]), Some(&package), &[]);
        assert!(single.contains("8080") && !single.contains("adapter"), "{single}");
    }

    #[test]
    fn an_address_that_is_none_is_refused_by_the_configuration() {
        let text = write(&found(&["nowhere\"}"]), None, &[]);
        assert!(config::parse("sockeye.yaml", &text).is_err());
    }
}
