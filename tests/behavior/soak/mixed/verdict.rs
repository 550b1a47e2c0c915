//! What is printed of the run, and what is asked of it.

use serde_json::Value;

use super::memory::{bound_kib, judged, periods};
use super::stage::Stage;
use crate::support::Exposition;
use crate::support::crowd::Outcome;

/// What was seen of the crowd and of the proxy.
pub struct Figures {
    pub outcome: Outcome,
    /// When all load had ended.
    pub metrics: Exposition,
    /// The log's lines that warn.
    pub warnings: Vec<String>,
    pub cpu_seconds: f64,
    /// Resident memory at the start, and when all load had ended.
    pub memory_kib: [usize; 2],
    /// The median of each window.
    pub windows_kib: Vec<usize>,
    /// At the start, at most, and when all load had ended.
    pub descriptors: [usize; 3],
}

impl Figures {
    pub fn print(&self, stage: &Stage) {
        let Self { outcome, metrics, windows_kib, .. } = self;
        println!("{} clients of Socket.IO, and in addition:", outcome.result["clients"]);
        println!("{:#?}", stage.counts());
        println!(
            "they were cut off {} times by {} drains and were back {} times",
            outcome.result["gone"],
            stage.counted("drains"),
            outcome.of("back").count(),
        );
        println!(
            "the slowest echo took {} ms, of {}",
            outcome.result["slowest_echo_ms"], outcome.result["echoes"]
        );
        for name in TOLD {
            let series = metrics.with(name);
            let told: Vec<_> = series.iter().filter(|series| !series.ends_with(" 0")).collect();
            println!("{told:#?}");
        }
        println!("processor time of the proxy: {:.1} s", self.cpu_seconds);
        let [start, end] = self.memory_kib;
        println!("resident memory in KiB: {start} at the start, {end} without clients");
        println!("its median in each tenth of the time: {:?}", periods(windows_kib));
        println!("and in each sixth of these: {windows_kib:?}");
        let [start, most, end] = self.descriptors;
        println!("descriptors: {start} at the start, {most} at most, {end} without clients");
        println!("the proxy warned {} times", self.warnings.len());
        println!("faults: {:#?}", stage.faults());
    }

    pub fn judge(&self, stage: &Stage) {
        let Self { outcome, metrics, warnings, .. } = self;
        assert!(stage.faults().is_empty(), "{} faults", stage.faults().len());
        assert_eq!(unexplained(outcome, stage), Vec::<Value>::new(), "cut off without a drain");
        assert_eq!(outcome.result["held"], true, "{:#}", outcome.result);
        let slowest = outcome.result["slowest_echo_ms"].as_u64().unwrap();
        assert!(slowest < ECHO_WITHIN_MS, "an echo was lost, or took {slowest} ms");
        let errors = metrics.with("sockeye_exchange_errors_total");
        assert!(!errors.iter().any(|series| series.contains("blame=\"node\"")), "{errors:#?}");
        assert!(!warnings.iter().any(|line| line.contains(" ERROR ")), "{warnings:#?}");
        let ends = metrics.sum("sockeye_tunnel_ends_total");
        assert_eq!(metrics.sum("sockeye_tunnels_total"), ends, "each tunnel ended once");
        assert!(still_open(metrics).is_empty(), "{:?}", still_open(metrics));
        let [start, _, end] = self.descriptors;
        assert!(end <= start, "{end} descriptors and not {start}");
        let periods = periods(&self.windows_kib);
        let most = bound_kib(&periods);
        assert!(judged(&periods).iter().all(|kib| *kib <= most), "above {most}: {periods:?}");
    }
}

/// The gauges of things that should have ended and have not.
pub fn still_open(metrics: &Exposition) -> Vec<String> {
    let all = OPEN.iter().flat_map(|name| metrics.with(name));
    all.filter(|series| !series.ends_with(" 0")).collect()
}

/// The crowd's losses that no drain of their node explains.
fn unexplained(outcome: &Outcome, stage: &Stage) -> Vec<Value> {
    let drains = stage.drains.lock().unwrap();
    let told = |event: &&Value| {
        let at = event["at"].as_u64().unwrap();
        drains.iter().any(|(name, drained, undrained)| {
            event["node"] == *name && (*drained..undrained + NOTICED_MS).contains(&at)
        })
    };
    outcome.of("gone").filter(|event| !told(event)).cloned().collect()
}

/// Gauges that are 0 without clients.
const OPEN: [&str; 6] = [
    "sockeye_tunnels_open",
    "sockeye_handshakes_held_open",
    "sockeye_polling_sessions_open",
    "sockeye_polling_sessions_stuck",
    "sockeye_node_exchanges_open",
    "sockeye_node_tunnels_open",
];

/// Counters that say what the load was.
const TOLD: [&str; 5] = [
    "sockeye_connection_ends_total",
    "sockeye_exchange_errors_total",
    "sockeye_tunnel_ends_total",
    "sockeye_polling_sessions_total",
    "sockeye_affinity_total",
];

/// Less than a client would need to take its session for lost.
const ECHO_WITHIN_MS: u64 = 10_000;

/// For a client to learn what was done to it.
const NOTICED_MS: u64 = 1_000;
