//! What connections of their own cost: thousands of polling sessions on real Socket.IO nodes, over
//! `connections: shared` and `per_session`.
//!
//! A node that is several processes needs `per_session`. Its price is what is counted here: descriptors of
//! the proxy, sockets of the nodes' ports that the system keeps in TIME_WAIT, and connects to the nodes.

mod crowd;
mod processes;
mod system;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::runtime::Builder;
use tokio::time::{MissedTickBehavior, interval};

use self::processes::{Node, Proxy};
use crate::load::seconds;
use crate::{Outcome, machine};

#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// How many sessions poll
    #[arg(long, value_name = "COUNT", default_value_t = 4000)]
    sessions: usize,
    /// How long to measure, once all sessions poll
    #[arg(long, default_value = "60", value_parser = seconds)]
    seconds: Duration,
    /// How often each session sends a message and hears its echo, where polling is active
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    every: Duration,
    /// The proxy's program
    #[arg(long, value_name = "FILE", default_value = "target/release/sockeye")]
    program: PathBuf,
}

/// What the sessions do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    /// Polls that are held until the node pings, which is 25 s.
    Held,
    /// The same, and messages.
    Active,
}

/// What was seen of one run.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// At most.
    descriptors: usize,
    /// At most.
    time_wait: usize,
    connects_per_second: f64,
    requests_per_second: f64,
    /// Sessions that ended.
    lost: usize,
}

/// Runs both kinds of work over both settings and prints a table.
pub(crate) fn sessions(options: &Options) -> Outcome {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    println!(
        "{} polling sessions, descriptors capped at {}",
        options.sessions,
        machine::file_limit()
    );
    println!("| polls | connections | descriptors | TIME_WAIT | connects/s | requests/s | lost |");
    println!("|---|---|---|---|---|---|---|");
    for work in [Work::Held, Work::Active] {
        for connections in ["shared", "per_session"] {
            let seen = runtime.block_on(run(options, work, connections))?;
            println!(
                "| {} | {connections} | {} | {} | {:.1} | {:.0} | {} |",
                work.label(),
                seen.descriptors,
                seen.time_wait,
                seen.connects_per_second,
                seen.requests_per_second,
                seen.lost
            );
        }
    }
    Ok(())
}

async fn run(options: &Options, work: Work, connections: &str) -> Outcome<Seen> {
    let nodes = [Node::start()?, Node::start()?];
    let proxy = Proxy::start(&options.program, &nodes, connections)?;
    proxy.until_ready().await?;
    let ports = [nodes[0].port, nodes[1].port];
    let clients = Arc::new(crowd::Clients::new(proxy.address, options.sessions, options.every));
    let mut crowd = crowd::enter(&clients, work).await?;

    let (before, requests) = (accepted(&nodes).await?, clients.requests());
    let (mut look, mut seen) = (interval(LOOK), Seen::default());
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let began = tokio::time::Instant::now();
    while began.elapsed() < options.seconds {
        look.tick().await;
        seen.descriptors = seen.descriptors.max(system::descriptors(proxy.id())?);
        seen.time_wait = seen.time_wait.max(system::in_time_wait(&ports)?);
    }
    let passed = began.elapsed().as_secs_f64();
    // Each look at a node's counts is a connection too.
    let accepted = accepted(&nodes).await? - before - nodes.len() as u64;
    seen.connects_per_second = accepted as f64 / passed;
    seen.requests_per_second = (clients.requests() - requests) as f64 / passed;
    while let Some(ended) = crowd.try_join_next() {
        eprintln!("a session ended: {ended:?}");
        seen.lost += 1;
    }
    Ok(seen)
}

/// How many connections the nodes have accepted.
async fn accepted(nodes: &[Node; 2]) -> Outcome<u64> {
    Ok(nodes[0].accepted().await? + nodes[1].accepted().await?)
}

impl Work {
    fn label(self) -> &'static str {
        match self {
            Self::Held => "held for 25 s",
            Self::Active => "with messages",
        }
    }
}

const LOOK: Duration = Duration::from_secs(1);
