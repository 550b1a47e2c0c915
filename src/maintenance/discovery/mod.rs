//! Looks up by DNS which nodes an upstream has.
//!
//! [`Lookups`] runs a task for each upstream with `discover`. What it found is kept in the upstream's
//! [`Discovery`], and a changed answer is sent to the server to be put in force.
//!
//! A failed lookup changes nothing: after no answer, an empty one or an error the nodes stay as they
//! are.
//!
//! Runs at start, at reload, or on a timer.

mod answer;
mod changes;
mod dns;
mod lookups;
mod services;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::sleep_until;
use tracing::{debug, info, warn};

use self::answer::{DnsAnswer, NODES_MAX, wait_after_answer, wait_after_failure};
use self::dns::LookupError;
use crate::upstream::discovery::{Cause, Discovery, Found, Stage};
use crate::upstream::settings::NodeSettings;
pub(crate) use changes::NodeChanges;
pub(crate) use lookups::Lookups;

/// Looks up whenever it is due, and sends changed answers to the receiver that puts them in force.
/// Returns when there is no receiver.
async fn run(discovery: &Arc<Discovery>, changed: mpsc::Sender<Found>) {
    let mut last = discovery.nodes();
    let mut cause = Cause::Time;
    loop {
        discovery.enter(Stage::Asking);
        let every = discovery.discover().every;
        let wait = match dns::look_up(discovery.discover(), &last).await {
            Ok(answer) => {
                let wait = wait_after_answer(answer.ttl, every);
                if !apply(discovery, answer, &mut last, &changed).await {
                    return;
                }
                wait
            }
            Err(error) => wait_after_failure(note_failure(discovery, &error), every),
        };
        cause = rest(discovery, cause, wait).await;
    }
}

/// Has `answer` put in force, if it differs from the `last`. Whether there is a receiver.
async fn apply(
    discovery: &Arc<Discovery>,
    answer: DnsAnswer,
    last: &mut Arc<Vec<NodeSettings>>,
    changed: &mpsc::Sender<Found>,
) -> bool {
    let upstream = discovery.upstream();
    let is_first = !discovery.has_answered();
    if answer.nodes == **last {
        discovery.counts().unchanged.inc();
    } else {
        discovery.counts().changed.inc();
        if answer.nodes.len() == NODES_MAX {
            warn!(%upstream, "DNS returned {NODES_MAX} nodes or more: the rest is ignored");
        }
        *last = Arc::new(answer.nodes.clone());
        let (found, in_force) = Found::new(discovery.clone(), answer.nodes);
        if changed.send(found).await.is_err() {
            return false;
        }
        // Always an error: the sender is dropped when the answer is in force.
        let _ = in_force.await;
    }
    let failures = discovery.history().failures;
    if failures > 0 {
        info!(%upstream, failures, "DNS lookup succeeds again");
    } else if is_first {
        debug!(%upstream, nodes = last.len(), "DNS lookup succeeded");
    }
    discovery.note_answer();
    true
}

/// Notes a failure, and warns the operator of the first. How many failed since the last good answer.
fn note_failure(discovery: &Discovery, error: &LookupError) -> u32 {
    discovery.counts().failed.inc();
    let failures = discovery.note_failure(error.to_string().into());
    let (upstream, source) = (discovery.upstream(), discovery.discover().source.name());
    let nodes = discovery.nodes().len();
    if failures == 1 {
        warn!(%upstream, source, %error, nodes, "DNS lookup failed, keeping the known nodes");
    } else {
        debug!(%upstream, source, %error, failures, "DNS lookup failed again");
    }
    failures
}

/// Rests after a lookup: for `wait`, or until a request causes the next. Why the next one is made.
async fn rest(discovery: &Discovery, cause: Cause, wait: Duration) -> Cause {
    let end = discovery.settle(cause);
    tokio::select! {
        () = sleep_until(end + wait) => Cause::Time,
        () = discovery.requested() => Cause::Request,
    }
}
