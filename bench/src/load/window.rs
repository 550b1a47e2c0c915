//! The part of a load that is measured: units, CPU time and memory over the same stretch of time.

use std::io;
use std::process;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::tally::{Phase, Tally};
use super::{Latency, Measurement, Options};
use crate::account::{Cpu, foreign_seconds};
use crate::clock;

/// Warms up, measures for as long as the options say, and waits for `clients` to end.
pub(super) async fn measure(
    options: &Options,
    tally: &Tally,
    clients: JoinSet<io::Result<()>>,
) -> Measurement {
    sleep(options.seconds.min(WARM_UP_MAX)).await;
    let meter = Meter::start(options);
    tally.enter(Phase::Measuring);
    sleep(options.seconds).await;
    tally.enter(Phase::Over);
    let spent = meter.stop();
    settle(tally, clients).await;

    let (errors, first_error) = tally.errors();
    let latencies = tally.latencies();
    let units = latencies.len() as u64;
    Measurement { units, errors, first_error, latency: Latency::of(latencies), ..spent }
}

/// Waits for clients to get their last answers; one that does not is an error.
async fn settle(tally: &Tally, mut clients: JoinSet<io::Result<()>>) {
    let ended = async {
        while let Some(client) = clients.join_next().await {
            match client {
                Ok(Ok(())) => (),
                Ok(Err(error)) => tally.fail(error),
                Err(error) => tally.fail(error),
            }
        }
    };
    if timeout(SETTLE_TIMEOUT, ended).await.is_err() {
        for _ in 0..clients.len() {
            tally.fail("no answer until long after the end");
        }
    }
}

/// Reads accounts at the beginning and at the end.
#[derive(Debug)]
pub(super) struct Meter<'a> {
    options: &'a Options,
    ours: Vec<u32>,
    foreign: (u64, f64),
    began: u64,
    proxy: Option<Cpu>,
    nodes: Cpu,
    load: Cpu,
}

impl<'a> Meter<'a> {
    /// What takes long to read, and need not be exact, is read outside of the window.
    pub(super) fn start(options: &'a Options) -> Self {
        let mut ours = vec![process::id()];
        ours.extend(options.proxy.iter().chain(&options.nodes).chain(&options.ours));
        Self {
            foreign: (clock::now(), foreign_seconds(&ours)),
            ours,
            options,
            nodes: Cpu::of(&options.nodes),
            load: Cpu::of(&[process::id()]),
            proxy: options.proxy.map(|proxy| Cpu::of(&[proxy])),
            began: clock::now(),
        }
    }

    /// What was spent, as a measurement of nothing.
    pub(super) fn stop(self) -> Measurement {
        let seconds = seconds_since(self.began);
        let proxy = self.options.proxy.map(|proxy| Cpu::of(&[proxy]));
        let nodes = Cpu::of(&self.options.nodes).since(&self.nodes);
        let load = Cpu::of(&[process::id()]).since(&self.load);
        let (foreign_began, foreign) = self.foreign;
        let foreign = (foreign_seconds(&self.ours) - foreign).max(0.0);
        Measurement {
            seconds,
            units: 0,
            errors: 0,
            first_error: None,
            latency: None,
            memory: None,
            proxy: proxy.zip(self.proxy).map(|(now, before)| now.since(&before)),
            nodes,
            load,
            foreign_seconds: foreign * seconds / seconds_since(foreign_began).max(seconds),
        }
    }
}

fn seconds_since(began: u64) -> f64 {
    clock::now().saturating_sub(began) as f64 / 1e9
}

/// Connections, caches and clock rates get to what they are under load.
const WARM_UP_MAX: Duration = Duration::from_millis(500);

/// No proxy that works takes as long for an answer.
pub(super) const SETTLE_TIMEOUT: Duration = Duration::from_secs(3);
