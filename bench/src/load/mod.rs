//! One load on one address, and what it measures.
//!
//! A single thread: it can be the bottleneck, and then the report says so. Each answer is compared
//! with what was sent; one that is wrong, late beyond [`window::SETTLE_TIMEOUT`] or missing is an
//! error, and a figure with errors is none.

mod churn;
mod client;
mod echo;
mod fan_out;
mod handshake;
mod held;
mod http2;
mod idle;
mod measurement;
mod polling;
mod routes;
mod stream;
mod tally;
mod tls;
mod window;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::runtime::Builder;

use crate::Outcome;
use crate::scenario::Scenario;
pub(crate) use measurement::{Latency, Measurement, Memory};
pub(crate) use polling::Client as PollingClient;

#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// What to do
    #[arg(value_enum)]
    pub(crate) scenario: Scenario,
    /// Whom to connect to; several in turn
    #[arg(long = "target", value_name = "ADDRESS", required = true)]
    pub(crate) targets: Vec<SocketAddr>,
    /// How many connections at a time [default: the scenario's]
    #[arg(long, value_name = "COUNT")]
    pub(crate) connections: Option<usize>,
    /// Messages each second in all, of echo64
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) rate: u32,
    /// Speak TLS to the target
    #[arg(long)]
    pub(crate) tls: bool,
    /// Open WebSockets as streams of HTTP/2, so many on each connection
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=100))]
    pub(crate) http2_streams: Option<u16>,
    /// How long to measure, after warming up
    #[arg(long, default_value = "3", value_parser = seconds)]
    pub(crate) seconds: Duration,
    /// The proxy's process, whose tree is accounted
    #[arg(long, value_name = "PID")]
    pub(crate) proxy: Option<u32>,
    /// A node's process
    #[arg(long = "node", value_name = "PID")]
    pub(crate) nodes: Vec<u32>,
    /// A process that belongs to the measurement and does not disturb it
    #[arg(long = "ours", value_name = "PID")]
    pub(crate) ours: Vec<u32>,
}

impl Options {
    fn connections(&self) -> usize {
        self.connections.unwrap_or_else(|| self.scenario.connections()).max(1)
    }
}

/// Runs the load and prints the [`Measurement`].
pub(crate) fn load(options: &Options) -> Outcome {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let options = Arc::new(options.clone());
    let measured = runtime.block_on(async {
        match options.scenario {
            Scenario::Echo64 => echo::at_a_rate(options).await,
            Scenario::Echo16k => echo::in_turn(options).await,
            Scenario::Fanout128 => fan_out::receive(options).await,
            Scenario::Handshake | Scenario::Nodes => handshake::repeat(options).await,
            Scenario::Polling => polling::repeat(options).await,
            Scenario::Idle => idle::hold(options).await,
            Scenario::Held => held::hold(options).await,
            Scenario::Churn => churn::repeat(options).await,
            Scenario::Routes => routes::rest(options).await,
        }
    });
    println!("{}", serde_json::to_string(&measured?)?);
    Ok(())
}

/// An Engine.IO message that carries `mark`, padded to `bytes`.
pub(crate) fn message(mark: u64, bytes: usize) -> Vec<u8> {
    let mut message = format!("4{mark:016x}").into_bytes();
    message.resize(bytes.max(MARK_END), b'x');
    message
}

/// The mark of a [`message`].
fn mark_of(message: &[u8]) -> Option<u64> {
    let digits = message.strip_prefix(b"4")?.get(..MARK_END - 1)?;
    u64::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()
}

/// Seconds as people type them, between a tenth and a minute.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    let duration = Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())?;
    let range = Duration::from_millis(100)..=Duration::from_secs(60);
    range.contains(&duration).then_some(duration).ok_or_else(|| "not within 0.1 to 60".to_owned())
}

/// Where the mark ends: behind the packet's type and 16 digits.
const MARK_END: usize = 17;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_carries_its_mark_and_has_its_length() {
        for mark in [0, 1, u64::MAX] {
            assert_eq!(mark_of(&message(mark, 64)), Some(mark));
            assert_eq!(message(mark, 64).len(), 64);
        }
        assert_eq!(mark_of(b"4123"), None);
        assert_eq!(mark_of(b"0{}"), None);
    }

    #[test]
    fn seconds_are_bounded() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for text in ["", "x", "-1", "0", "61", "inf", "nan"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
