//! Tunnels that are opened by the thousand and all closed, again and again: what of the proxy's memory
//! does not come back?

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;

use super::client::open_all;
use super::idle::affordable;
use super::window::Meter;
use super::{Measurement, Memory, Options};
use crate::account::pss_bytes;

/// Compares the proxy's memory after the last of [`ROUNDS`] with that after the first: what is left
/// when it had time to give back.
pub(super) async fn repeat(options: Arc<Options>) -> io::Result<Measurement> {
    let options =
        Arc::new(Options { connections: Some(affordable(&options)), ..(*options).clone() });
    let roots: Vec<u32> = options.proxy.into_iter().collect();
    let meter = Meter::start(&options);
    let mut memory = Vec::new();
    let mut errors = 0;
    let mut first_error = None;
    for round in 1..=ROUNDS {
        let mut closing = JoinSet::new();
        for socket in open_all(&options, "").await? {
            closing.spawn(socket.close());
        }
        for error in closing.join_all().await.into_iter().filter_map(Result::err) {
            errors += 1;
            first_error.get_or_insert_with(|| error.to_string());
        }
        if [1, ROUNDS].contains(&round) {
            memory.push(settled_bytes(&roots).await);
        }
    }
    let growth = |first: &f64, last: &f64| (last / first - 1.0) * 100.0;
    let figure = memory.first().zip(memory.last()).map(|(first, last)| growth(first, last));
    let memory = figure.filter(|_| !roots.is_empty()).map(|figure| Memory { figure, used: None });
    let units = (options.connections() * ROUNDS) as u64;
    Ok(Measurement { units, errors, first_error, memory, ..meter.stop() })
}

/// The least of the memory within [`SETTLING_TIME`].
async fn settled_bytes(roots: &[u32]) -> f64 {
    let mut least = pss_bytes(roots);
    for _ in 0..SETTLING_TIME.as_secs() {
        sleep(Duration::from_secs(1)).await;
        least = least.min(pss_bytes(roots));
    }
    least as f64
}

const ROUNDS: usize = 10;

/// jemalloc gives back within ten seconds what nobody uses, in steps, and a thread of its own that
/// sleeps meanwhile does it: the last step was seen after 16 s.
const SETTLING_TIME: Duration = Duration::from_secs(20);
