//! What is printed of the run, and what is asked of it.

use super::super::bystander::Waits;
use super::super::figures::has_grown;
use super::{Run, plan};
use crate::support::Exposition;

/// What was seen of the run and of the proxy.
pub struct Figures {
    pub run: Run,
    pub waits: Waits,
    /// When all load had ended.
    pub metrics: Exposition,
    /// The log's lines of the level `error`.
    pub errors: Vec<String>,
    pub memory_after_kib: usize,
    /// At the start, and when all load had ended.
    pub descriptors: [usize; 2],
    /// What a client or node saw that it should not have seen.
    pub faults: Vec<String>,
}

impl Figures {
    pub fn print(&self) {
        let Self { run, waits, metrics, faults, .. } = self;
        let cases = plan::cases().len();
        println!("{} exchanges in {} rounds of {cases} cases", run.exchanges, run.rounds);
        for name in FIGURES {
            let series = metrics.with(name).into_iter().filter(|line| !line.ends_with(" 0"));
            println!("{:#?}", series.collect::<Vec<_>>());
        }
        println!("bystander: {} answers, the longest wait was {:?}", waits.answers, waits.longest);
        println!("resident memory during the run, in KiB: {:?}", run.memory_kib);
        println!("and without clients: {}", self.memory_after_kib);
        let ([start, end], most) = (self.descriptors, run.descriptors_most);
        println!("descriptors: {start} at the start, {most} at most, {end} without clients");
        let (opened, ended) = self.tunnels();
        println!("{opened} tunnels were opened and {ended} ended");
        println!("gauges that are not 0: {:?}", still_open(metrics));
        println!("faults: {}, {:#?}", faults.len(), &faults[..faults.len().min(FAULTS_SHOWN)]);
    }

    pub fn judge(&self) {
        let [start, end] = self.descriptors;
        let (opened, ended) = self.tunnels();
        assert!(self.run.rounds >= 2, "each case has its turn more than once");
        assert_eq!(opened, ended, "each tunnel ended once");
        assert_eq!(still_open(&self.metrics), Vec::<String>::new());
        assert!(end <= start, "{end} descriptors and not {start}");
        assert!(!has_grown(&self.run.memory_kib), "{:?}", self.run.memory_kib);
        assert_eq!(self.errors, Vec::<String>::new());
        assert!(self.faults.is_empty(), "{} faults", self.faults.len());
    }

    /// How many were opened, and how many ended.
    fn tunnels(&self) -> (f64, f64) {
        (self.metrics.sum("sockeye_tunnels_total"), self.metrics.sum(ENDS))
    }
}

/// The gauges of things that should have ended and have not.
pub fn still_open(metrics: &Exposition) -> Vec<String> {
    let all = OPEN.iter().flat_map(|name| metrics.with(name));
    let connections =
        format!("sockeye_connections_open {}", metrics.value("sockeye_connections_open"));
    all.chain([connections]).filter(|series| !series.ends_with(" 0")).collect()
}

/// Gauges that are 0 without clients.
const OPEN: [&str; 5] = [
    "sockeye_tunnels_open",
    "sockeye_handshakes_held_open",
    "sockeye_polling_sessions_open",
    "sockeye_node_exchanges_open",
    "sockeye_node_tunnels_open",
];

/// Counters that say what the load was.
const FIGURES: [&str; 4] = [
    "sockeye_connection_ends_total",
    "sockeye_exchange_errors_total",
    "sockeye_handshakes_held_total",
    ENDS,
];

const ENDS: &str = "sockeye_tunnel_ends_total";

/// More say no more.
const FAULTS_SHOWN: usize = 20;
