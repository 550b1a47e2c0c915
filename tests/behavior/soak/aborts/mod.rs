//! Clients and nodes that leave at every phase of every kind of exchange.

mod client;
mod node;
mod plan;
mod verdict;
mod wire;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval};

use self::verdict::{Figures, still_open};
use super::bystander::Prepared;
use super::cluster::until_ready;
use super::figures::{
    descriptors, print_descriptor_limit, quiet_descriptors, resident_kib, settled_kib,
    until_descriptors,
};
use crate::support::websocket::{close, open, text};
use crate::support::{Exposition, ProxyProcess, get};

/// What an answer of a node has in it.
const BODY: &str = "0123456789 This body is long enough to be sent in several pieces. 0123456789";

/// Clients and nodes leave by FIN and by RST, at every phase, some thousand times: descriptors, leases,
/// gauges and memory are what they were, and each tunnel has ended once.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
#[ignore = "takes five minutes: cargo xtask soak aborts"]
async fn a_client_that_leaves_at_any_moment_leaves_nothing_behind() {
    let counts = Arc::new(Counts::default());
    let (mut nodes, mut addresses) = (JoinSet::new(), Vec::new());
    for _ in 0..2 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        addresses.push(listener.local_addr().unwrap());
        nodes.spawn(node::serve(listener, counts.clone()));
    }
    let prepared = Prepared::new().await;
    let mut proxy = ProxyProcess::start(&configuration(&addresses, prepared.node)).await;
    let line = proxy.until_log("admin listener").await;
    let admin = line.rsplit_once("address=").unwrap().1.trim_matches('"').parse().unwrap();
    let log = proxy.pass_log();
    until_ready(admin).await;
    let (pid, address) = (proxy.pid(), proxy.address);
    let descriptors_before = quiet_descriptors(pid).await;
    print_descriptor_limit(pid);
    let bystander = prepared.begin(address);

    let run = repeat(address, pid, &counts).await;
    serves_on(address).await;
    let waits = bystander.finish();
    let metrics = quiet_metrics(admin).await;
    let memory_after_kib = settled_kib(pid).await;
    // Idle connections are the node's to close.
    nodes.shutdown().await;
    let descriptors_after = until_descriptors(pid, descriptors_before).await;
    drop(proxy);
    let warnings = log.await.unwrap();
    let figures = Figures {
        run,
        waits,
        metrics,
        errors: warnings.into_iter().filter(|line| line.contains(" ERROR ")).collect(),
        memory_after_kib,
        descriptors: [descriptors_before, descriptors_after],
        faults: counts.faults(),
    };
    println!("{:#?}", counts.all());
    figures.print();
    figures.judge();
}

/// What was done, and what was seen of the process meanwhile.
pub struct Run {
    exchanges: usize,
    rounds: usize,
    memory_kib: Vec<usize>,
    descriptors_most: usize,
}

/// Round after round of all cases, some at a time, until the time is over. Memory counts behind the
/// first third: sessions are followed for a minute, and tables fill.
async fn repeat(proxy: SocketAddr, pid: u32, counts: &Arc<Counts>) -> Run {
    let (cases, total) = (plan::cases(), total());
    let mut run = Run { exchanges: 0, rounds: 0, memory_kib: Vec::new(), descriptors_most: 0 };
    let (began, mut looked, mut under_way) = (Instant::now(), Instant::now(), JoinSet::new());
    while began.elapsed() < total {
        for place in 0..cases.len() {
            if under_way.len() >= AT_ONCE {
                under_way.join_next().await;
            }
            // Neighbours are of one kind, and all kinds are to meet.
            let (case, counts, number) =
                (cases[place * STRIDE % cases.len()], counts.clone(), run.exchanges);
            under_way.spawn(async move { client::exchange(proxy, case, number, &counts).await });
            run.exchanges += 1;
            if looked.elapsed() >= LOOK {
                looked = Instant::now();
                run.descriptors_most = run.descriptors_most.max(descriptors(pid));
                if began.elapsed() > total / WARM_UP {
                    run.memory_kib.push(resident_kib(pid));
                }
            }
        }
        run.rounds += 1;
    }
    under_way.join_all().await;
    run
}

/// Behind all of it the proxy serves as it did.
async fn serves_on(proxy: SocketAddr) {
    assert!(get(proxy, "/raw").await.text().contains(BODY));
    let mut tunnel = open(proxy, &format!("/raw?do={}", plan::echoes())).await;
    tunnel.send(text("still there")).await;
    assert_eq!(tunnel.frame().await.map(|(opcode, _)| opcode), Some(2));
    tunnel.send(close(1000)).await;
    tunnel.until_end().await;
}

/// The metrics once all that is open has ended, or after as long as that may take.
async fn quiet_metrics(admin: SocketAddr) -> Exposition {
    let mut look = interval(Duration::from_secs(1));
    for _ in 0..QUIET_WITHIN_SECONDS {
        look.tick().await;
        if still_open(&Exposition::scrape(admin).await).is_empty() {
            break;
        }
    }
    Exposition::scrape(admin).await
}

/// What happened how often, and what should not have happened.
#[derive(Default)]
pub struct Counts {
    counts: Mutex<BTreeMap<String, usize>>,
    faults: Mutex<Vec<String>>,
    sessions: AtomicUsize,
}

impl Counts {
    pub fn count(&self, what: String) {
        *self.counts.lock().unwrap().entry(what).or_default() += 1;
    }

    pub fn fault(&self, what: String) {
        self.faults.lock().unwrap().push(what);
    }

    /// A name for a session that nobody else has.
    pub fn sid(&self) -> String {
        format!("session{}", self.sessions.fetch_add(1, Relaxed))
    }

    fn all(&self) -> BTreeMap<String, usize> {
        self.counts.lock().unwrap().clone()
    }

    fn faults(&self) -> Vec<String> {
        self.faults.lock().unwrap().clone()
    }
}

/// How long the load lasts: three minutes, or as the environment says.
fn total() -> Duration {
    Duration::from_secs(
        std::env::var(SECONDS).map_or(180, |seconds| seconds.parse().expect(SECONDS)),
    )
}

fn configuration(nodes: &[SocketAddr], bystander: SocketAddr) -> String {
    let nodes = format!("['{}', '{}']", nodes[0], nodes[1]);
    format!(
        "listeners: [{{ bind: '127.0.0.1:0' }}]\n\
         admin: {{ bind: '127.0.0.1:0' }}\n\
         upstreams:\n  \
         raw: {{ nodes: {nodes}, health: off, admission: {{ hold: off }} }}\n  \
         paced: {{ nodes: {nodes}, health: off, \
         admission: {{ handshakes_per_second: 20, burst: 2, hold: 1s }} }}\n  \
         other: {{ nodes: ['{bystander}'] }}\n\
         routes:\n  \
         - {{ path: /, upstream: raw }}\n  \
         - {{ path: /paced/, upstream: paced }}\n  \
         - {{ path: /bystander, upstream: other }}\n"
    )
}

/// How many exchanges are under way.
const AT_ONCE: usize = 64;

/// A prime, so that every case has its turn in each round.
const STRIDE: usize = 7_919;

/// The part of the time in which memory does not count yet.
const WARM_UP: u32 = 3;

const LOOK: Duration = Duration::from_secs(1);

/// Longer than a session's ping and timeout, and what the proxy allows in addition.
const QUIET_WITHIN_SECONDS: usize = 90;

/// How long the load lasts, in seconds: for who works on it.
const SECONDS: &str = "SOAK_SECONDS";
