//! The nodes, the cores, and one run on them.

use std::env;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use super::Options;
use super::peer::{Peer, Program, Site};
use super::process::Process;
use super::ready::wait_ready;
use crate::account::foreign_seconds;
use crate::load::Measurement;
use crate::report::{FOREIGN_CORES_MAX, Placement};
use crate::scenario::Scenario;
use crate::{Outcome, clock, machine};

/// What all runs share.
pub(super) struct Bench<'a> {
    options: &'a Options,
    placement: Placement,
    /// The processes, and the addresses of each.
    nodes: Vec<(Process, Vec<SocketAddr>)>,
    directory: PathBuf,
}

impl<'a> Bench<'a> {
    /// Starts the nodes.
    pub(super) fn start(options: &'a Options) -> Outcome<Self> {
        let placement = Placement::new(&machine::cores()?, options.pin_proxy)?;
        let directory = options.output.join("work");
        fs::create_dir_all(&directory)?;
        let directory = directory.canonicalize()?;
        let mut nodes = Vec::new();
        for number in 0..NODES {
            let mut command = own("node")?;
            command.args(["--listen", "127.0.0.1:0", "--end-with-parent"]);
            command.arg(format!("--more-ports={}", Scenario::Nodes.nodes().div_ceil(NODES)));
            let log = directory.join(format!("node{number}.log"));
            nodes.push(Process::start_printing(command, &placement.load, &log)?);
        }
        Ok(Self { options, placement, nodes, directory })
    }

    /// Which cores are whose.
    pub(super) fn placement(&self) -> &Placement {
        &self.placement
    }

    /// Starts the proxy, puts the load on it, and ends it.
    pub(super) fn run(&self, program: &Program, scenario: Scenario) -> Outcome<Measurement> {
        self.wait_quiet();
        let nodes = self.nodes(scenario.nodes());
        let (proxy, targets) = match program.peer {
            Peer::Direct => (None, nodes),
            Peer::Relay => {
                let mut command = own("relay")?;
                command.args(["--listen", "127.0.0.1:0", "--end-with-parent"]);
                command.args(nodes.iter().map(|node| format!("--node={node}")));
                let log = self.directory.join("relay.log");
                let (relay, addresses) =
                    Process::start_printing(command, &self.placement.proxy, &log)?;
                (Some(relay), addresses)
            }
            Peer::Sockeye | Peer::Nginx | Peer::Haproxy => {
                let (proxy, address) = self.start_proxy(program, &nodes, scenario.routes())?;
                (Some(proxy), vec![address])
            }
        };
        self.load(scenario, &targets, proxy.as_ref().map(Process::id))
    }

    /// So many addresses of nodes, of each process in turn.
    fn nodes(&self, count: usize) -> Vec<SocketAddr> {
        let of_each = count.div_ceil(self.nodes.len());
        let turns = (0..of_each).flat_map(|turn| {
            self.nodes.iter().filter_map(move |(_, addresses)| addresses.get(turn).copied())
        });
        turns.take(count).collect()
    }

    /// Starts a proxy on a port that is free. Another program may take the port before the proxy
    /// does; then it is tried again.
    fn start_proxy(
        &self,
        program: &Program,
        nodes: &[SocketAddr],
        routes: usize,
    ) -> Outcome<(Process, SocketAddr)> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            match self.try_start(program, nodes, routes) {
                Err(_) if attempts < ATTEMPTS_MAX => (),
                outcome => return outcome,
            }
        }
    }

    fn try_start(
        &self,
        program: &Program,
        nodes: &[SocketAddr],
        routes: usize,
    ) -> Outcome<(Process, SocketAddr)> {
        let listen = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let (directory, workers) = (&*self.directory, self.placement.proxy.len());
        let site = Site { listen, nodes, routes, directory, workers };
        let log = self.directory.join(format!("{}.log", program.peer.name()));
        let mut proxy =
            Process::start(program.command(&site)?, &self.placement.proxy, &log, Stdio::null())?;
        wait_ready(&mut proxy, listen)
            .map_err(|error| format!("{error}; see {}", log.display()))?;
        Ok((proxy, listen))
    }

    fn load(
        &self,
        scenario: Scenario,
        targets: &[SocketAddr],
        proxy: Option<u32>,
    ) -> Outcome<Measurement> {
        let mut command = own("load")?;
        command.arg(scenario.name());
        command.arg(format!("--seconds={}", self.options.seconds.as_secs_f64()));
        command.arg(format!("--ours={}", process::id()));
        command.args(targets.iter().map(|target| format!("--target={target}")));
        command.args(proxy.map(|proxy| format!("--proxy={proxy}")));
        command.args(self.nodes.iter().map(|(node, _)| format!("--node={}", node.id())));
        command.args(self.options.connections.map(|count| format!("--connections={count}")));
        let output = machine::on_cores(&self.placement.load, || command.output())??;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).trim().into());
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// Waits, within bounds, until other processes leave the machine alone: foreign load makes
    /// each message dearer, and so waiting is better than marking.
    fn wait_quiet(&self) {
        let until = clock::now() + self.options.wait_quiet * 1_000_000_000;
        let ours = [process::id()];
        while clock::now() < until {
            let before = foreign_seconds(&ours);
            sleep(SAMPLE);
            let cores = (foreign_seconds(&ours) - before) / SAMPLE.as_secs_f64();
            if cores < FOREIGN_CORES_MAX {
                return;
            }
        }
    }
}

/// A part of this program.
fn own(part: &str) -> Outcome<Command> {
    let mut command = Command::new(env::current_exe()?);
    command.arg(part);
    Ok(command)
}

/// Where the release build of the workspace lies, next to this program's own profile.
pub(super) fn release_directory() -> Outcome<PathBuf> {
    let program = env::current_exe()?;
    let target = program.parent().and_then(Path::parent).ok_or("this program lies nowhere")?;
    Ok(target.join("release"))
}

const NODES: usize = 3;
const ATTEMPTS_MAX: usize = 3;
const SAMPLE: Duration = Duration::from_millis(500);
