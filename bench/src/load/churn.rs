//! Tunnels that are opened by the thousand and all closed, again and again: what of the proxy's memory
//! does not come back?

use std::io;
use std::sync::Arc;

use tokio::task::JoinSet;
use tokio::time::sleep;

use super::client::open_all;
use super::idle::{SETTLING_MAX, affordable};
use super::window::Meter;
use super::{Measurement, Memory, Options};
use crate::account::pss_bytes;

/// Compares the proxy's memory after the last of [`ROUNDS`] with that after the first.
pub(super) async fn repeat(options: Arc<Options>) -> io::Result<Measurement> {
    let options =
        Arc::new(Options { connections: Some(affordable(&options)), ..(*options).clone() });
    let roots: Vec<u32> = options.proxy.into_iter().collect();
    let meter = Meter::start(&options);
    let mut memory = Vec::new();
    let mut errors = 0;
    let mut first_error = None;
    for _ in 0..ROUNDS {
        let mut closing = JoinSet::new();
        for socket in open_all(&options, "").await? {
            closing.spawn(socket.close());
        }
        for error in closing.join_all().await.into_iter().filter_map(Result::err) {
            errors += 1;
            first_error.get_or_insert_with(|| error.to_string());
        }
        sleep(options.seconds.min(SETTLING_MAX)).await;
        memory.push(pss_bytes(&roots) as f64);
    }
    let growth = |first: &f64, last: &f64| (last / first - 1.0) * 100.0;
    let figure = memory.first().zip(memory.last()).map(|(first, last)| growth(first, last));
    let memory = figure.filter(|_| !roots.is_empty()).map(|figure| Memory { figure, used: None });
    let units = (options.connections() * ROUNDS) as u64;
    Ok(Measurement { units, errors, first_error, memory, ..meter.stop() })
}

const ROUNDS: usize = 10;
