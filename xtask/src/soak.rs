//! `cargo xtask soak`: long runs that print their figures.

use clap::ValueEnum;

use crate::command::{Failure, cargo, run};

/// What is run.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Soak {
    /// A hundred reloads under load: no tunnel, session or message is lost
    Reload,
    /// A client that reads 20 kB a second of a megabyte for two minutes: it is not cut off
    SlowReader,
    /// The host of a client and that of a node disappear: found within a minute. Needs root and iproute2
    DeadHost,
    /// Four thousand WebSockets drop and return at once, ten times: nothing is left behind. SOAK_STORMS=2
    /// makes it shorter
    Storm,
    /// Twenty thousand clients connect by TLS at once: all come in, and no echo of others waits for a second
    Handshakes,
    /// One of three Socket.IO nodes is killed: its clients return at the pace of the admission
    Crash,
    /// One of three Socket.IO nodes stands still for 20 s: it keeps its sessions, new ones go elsewhere
    Overload,
    /// Three Socket.IO nodes are drained and replaced under 1,000 clients: nothing that recovery covers is lost
    Rolling,
    /// Clients and nodes leave by FIN and RST at every phase of every exchange: nothing is left behind.
    /// SOAK_SECONDS=30 makes it shorter
    Aborts,
    /// Strangers who mean harm, one kind after the other: nobody else's echo stalls, and memory and
    /// descriptors come back. SOAK_SECONDS=3 makes it shorter
    Hostile,
    /// Everything at once for ten minutes: memory stays flat. SOAK_SECONDS=60 makes it shorter
    Mixed,
}

/// Runs one; its test is ignored by `cargo test` for its length. What is built is what is released:
/// figures of anything else would say little.
pub(crate) fn soak(soak: Soak) -> Result<(), Failure> {
    let name = match soak {
        Soak::Reload => "soak::reload::",
        Soak::SlowReader => "policies::a_client_that_reads_slowly_for_two_minutes_is_not_cut_off",
        Soak::DeadHost => "dead_host::",
        Soak::Storm => "soak::storm::",
        Soak::Handshakes => "soak::handshakes::",
        Soak::Crash => "soak::crash::",
        Soak::Overload => "soak::overload::",
        Soak::Rolling => "soak::rolling::",
        Soak::Aborts => "soak::aborts::",
        Soak::Hostile => "soak::hostile::",
        Soak::Mixed => "soak::mixed::",
    };
    let mut test = cargo();
    test.args(["test", "--release", "--locked", "--test", "behavior"]);
    run(test.args(["--", "--ignored", "--nocapture", name]))
}
