//! A process that we started, and end.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::account::process_tree;
use crate::{Outcome, machine};

/// Ends with this value, and what it started with it.
#[derive(Debug)]
pub(super) struct Process(Child);

impl Process {
    /// Starts it on `cores`; what it says of itself goes to `log`.
    pub(super) fn start(
        mut command: Command,
        cores: &[usize],
        log: &Path,
        stdout: Stdio,
    ) -> Outcome<Self> {
        command.stdin(Stdio::null()).stdout(stdout).stderr(File::create(log)?);
        let child = machine::on_cores(cores, || command.spawn())?;
        let program = command.get_program().to_string_lossy();
        Ok(Self(child.map_err(|error| format!("cannot start {program}: {error}"))?))
    }

    /// Starts a part of our own, which prints the addresses that it listens on.
    pub(super) fn start_printing(
        command: Command,
        cores: &[usize],
        log: &Path,
    ) -> Outcome<(Self, Vec<SocketAddr>)> {
        let mut process = Self::start(command, cores, log, Stdio::piped())?;
        let stdout = process.0.stdout.take().ok_or("its output is not ours")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let addresses: Result<Vec<_>, _> = line.split_whitespace().map(str::parse).collect();
        let addresses = addresses.ok().filter(|addresses| !addresses.is_empty());
        let addresses =
            addresses.ok_or_else(|| format!("no address came; see {}", log.display()))?;
        Ok((process, addresses))
    }

    pub(super) fn id(&self) -> u32 {
        self.0.id()
    }

    /// How it ended, if it has.
    pub(super) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.0.try_wait()
    }

    /// Asks it to end, and ends it if it does not.
    fn stop(&mut self) -> io::Result<()> {
        if self.ended()?.is_some() {
            return Ok(());
        }
        let tree = process_tree(&[self.id()]);
        send(self.id(), Signal::TERM);
        for _ in 0..GRACE_STEPS {
            sleep(GRACE_STEP);
            if self.ended()?.is_some() {
                return Ok(());
            }
        }
        for process in tree {
            send(process, Signal::KILL);
        }
        self.0.wait().map(drop)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            eprintln!("process {} was not ended: {error}", self.id());
        }
    }
}

/// A process that has ended meanwhile needs no signal.
fn send(process: u32, signal: Signal) {
    if let Some(process) = i32::try_from(process).ok().and_then(Pid::from_raw) {
        let _ = kill_process(process, signal);
    }
}

const GRACE_STEP: Duration = Duration::from_millis(20);
const GRACE_STEPS: usize = 150;
