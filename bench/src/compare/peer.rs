//! The proxies that are compared, and how each is configured.

use std::env;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::bench::release_directory;
use super::root;
use crate::scenario::Scenario;
use crate::{Outcome, machine};

/// What stands between clients and nodes.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Peer {
    /// Nothing: clients connect to the nodes in turn
    Direct,
    /// The bare relay: it moves bytes and keeps no session
    Relay,
    /// Sockeye
    Sockeye,
    /// nginx, as found on the PATH
    Nginx,
    /// HAProxy, as found on the PATH
    Haproxy,
}

/// A proxy that can be started.
#[derive(Clone, Debug)]
pub(super) struct Program {
    pub(super) peer: Peer,
    pub(super) version: String,
    path: PathBuf,
}

/// Where a proxy is to stand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Site<'a> {
    pub(super) listen: SocketAddr,
    pub(super) nodes: &'a [SocketAddr],
    /// How many hosts it serves besides all others.
    pub(super) routes: usize,
    /// For its files.
    pub(super) directory: &'a Path,
    /// As many as it has cores.
    pub(super) workers: usize,
}

impl Peer {
    /// All, in the order in which they are reported.
    pub(crate) const ALL: [Self; 5] =
        [Self::Direct, Self::Relay, Self::Sockeye, Self::Nginx, Self::Haproxy];

    /// As it is typed, and as its files are named.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Relay => "relay",
            Self::Sockeye => "sockeye",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
        }
    }

    /// Whether it has what `scenario` measures: only a proxy with a configuration has routes.
    pub(super) fn can_run(self, scenario: Scenario) -> bool {
        scenario != Scenario::Routes || !matches!(self, Self::Direct | Self::Relay)
    }

    /// As it is shown.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Relay => "bare relay",
            Self::Sockeye => "Sockeye",
            Self::Nginx => "nginx",
            Self::Haproxy => "HAProxy",
        }
    }

    /// Finds the program, and builds it if it is ours; `None` if it is not installed.
    pub(super) fn program(self, sockeye: Option<&Path>) -> Outcome<Option<Program>> {
        let path = match self {
            Self::Direct | Self::Relay => Some(env::current_exe()?),
            Self::Sockeye => Some(match sockeye {
                Some(path) => path.to_path_buf(),
                None => build()?,
            }),
            Self::Nginx | Self::Haproxy => find(self.name()),
        };
        let Some(path) = path else { return Ok(None) };
        let version = match self {
            Self::Direct | Self::Relay => env!("CARGO_PKG_VERSION").to_owned(),
            Self::Sockeye => printed_version(&path, "--version")?,
            Self::Nginx | Self::Haproxy => printed_version(&path, "-v")?,
        };
        Ok(Some(Program { peer: self, version, path }))
    }
}

impl Program {
    /// What starts it in the foreground, with its configuration written.
    pub(super) fn command(&self, site: &Site<'_>) -> Outcome<Command> {
        let mut command = Command::new(&self.path);
        match self.peer {
            Peer::Direct | Peer::Relay => return Err("it is started without configuration".into()),
            Peer::Sockeye => {
                let nodes: Vec<String> = site.nodes.iter().map(|it| format!("\"{it}\"")).collect();
                let text = include_str!("../../peers/sockeye.yaml");
                let route =
                    |host| format!("  - {{ host: {host}, path: /socket.io/, upstream: chat }}\n");
                let text = text.replace("@NODES@", &nodes.join(", "));
                let text = text.replace("@ROUTES@", &site.hosts().map(route).collect::<String>());
                command.arg("run").arg("--config").arg(site.write("sockeye.yaml", &text)?);
            }
            Peer::Nginx => {
                let nodes = site.nodes.iter().map(|node| format!("        server {node};"));
                let text = include_str!("../../peers/nginx.conf");
                let text = text.replace("@NODES@", &nodes.collect::<Vec<_>>().join("\n"));
                let route = |host| {
                    format!(
                        "    server {{\n        listen @LISTEN@;\n        server_name {host};\n        \
                         location /socket.io/ {{ proxy_pass http://nodes; }}\n    }}\n"
                    )
                };
                let text = text.replace("@ROUTES@", &site.hosts().map(route).collect::<String>());
                command.arg("-p").arg(site.directory);
                command.arg("-c").arg(site.write("nginx.conf", &text)?);
            }
            Peer::Haproxy => {
                let nodes = site.nodes.iter().enumerate().map(|(number, node)| {
                    format!("    server n{number} {node} cookie n{number} check inter 2s")
                });
                let text = include_str!("../../peers/haproxy.cfg");
                let text = text.replace("@NODES@", &nodes.collect::<Vec<_>>().join("\n"));
                let route = |host| format!("{host} nodes\n");
                site.write("hosts.map", &site.hosts().map(route).collect::<String>())?;
                command.arg("-db").arg("-f").arg(site.write("haproxy.cfg", &text)?);
            }
        }
        Ok(command)
    }
}

impl Site<'_> {
    fn hosts(&self) -> impl Iterator<Item = String> {
        (0..self.routes).map(|number| format!("host{number}.example.com"))
    }

    /// Fills in what is the same for all and writes the file.
    fn write(&self, name: &str, text: &str) -> Outcome<PathBuf> {
        let files = machine::file_limit();
        // As root it would else work as `nobody`, who may not enter our directory; as anyone else
        // it would refuse the word.
        let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
        let directory = self.directory.to_str().ok_or("the directory's name is no text")?;
        let text = text
            .replace("@LISTEN@", &self.listen.to_string())
            .replace("@DIRECTORY@", directory)
            .replace("@WORKERS@", &self.workers.to_string())
            .replace("@FILES@", &files.to_string())
            // Each tunnel takes two, and some are for other things.
            .replace("@TUNNELS@", &(files / 20 * 9).to_string())
            .replace("@USER@", user);
        let path = self.directory.join(name);
        fs::write(&path, text)?;
        Ok(path)
    }
}

/// The release build of this workspace's Sockeye.
fn build() -> Outcome<PathBuf> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root()).args(["build", "--release", "--package", "sockeye"]);
    if !command.status()?.success() {
        return Err("Sockeye was not built".into());
    }
    Ok(release_directory()?.join("sockeye"))
}

/// Looks where programs of the system are, which are not all on everyone's PATH.
fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let of_system = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    let found = env::split_paths(&path).chain(of_system).map(|directory| directory.join(name));
    found.into_iter().find(|program| program.is_file())
}

fn printed_version(program: &Path, flag: &str) -> Outcome<String> {
    let output = Command::new(program).arg(flag).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{}: {error}", program.display()))?;
    let printed = [output.stdout, output.stderr].concat();
    Ok(version_in(&String::from_utf8_lossy(&printed)).to_owned())
}

/// The first word that looks like one.
fn version_in(printed: &str) -> &str {
    let mut words = printed.split(|c: char| c.is_whitespace() || c == '/');
    let looks = |word: &&str| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.');
    words.find(looks).unwrap_or("of unknown version")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_found_in_what_programs_print() {
        assert_eq!(version_in("nginx version: nginx/1.22.1\n"), "1.22.1");
        assert_eq!(version_in("HAProxy version 2.6.12-1 2026/10/17 - https://x/\n"), "2.6.12-1");
        assert_eq!(version_in("sockeye 0.1.0\n"), "0.1.0");
        assert_eq!(version_in(""), "of unknown version");
    }

    #[test]
    fn a_configuration_has_no_gap() {
        let directory = tempfile::tempdir().unwrap();
        let nodes = ["127.0.0.1:1", "127.0.0.1:2"].map(|node| node.parse().unwrap());
        let listen = "127.0.0.1:3".parse().unwrap();
        let site =
            Site { listen, nodes: &nodes, routes: 2, directory: directory.path(), workers: 1 };
        for peer in [Peer::Sockeye, Peer::Nginx, Peer::Haproxy] {
            let program = Program { peer, version: String::new(), path: "proxy".into() };
            let command = program.command(&site).unwrap();
            let file = command.get_args().last().unwrap();
            let text = fs::read_to_string(file).unwrap();
            assert!(!text.contains('@'), "{text}");
            assert!(text.contains("127.0.0.1:2") && text.contains("127.0.0.1:3"), "{text}");
        }
    }
}
