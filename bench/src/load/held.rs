//! Polls that wait for a message, and what they cost: most clients that poll do so most of the time.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;

use super::idle::{SETTLING_MAX, affordable};
use super::polling::Client;
use super::window::Meter;
use super::{Measurement, Memory, Options};
use crate::account::pss_bytes;
use crate::wire::invalid;

/// Opens sessions, sends a poll of each, and reads the proxy's memory before and while all are
/// pending. Each is answered in the end.
pub(super) async fn hold(options: Arc<Options>) -> io::Result<Measurement> {
    let options =
        Arc::new(Options { connections: Some(affordable(&options)), ..(*options).clone() });
    let count = options.connections();
    let roots: Vec<u32> = options.proxy.into_iter().collect();
    let before = pss_bytes(&roots);
    let meter = Meter::start(&options);
    let settling = options.seconds.min(SETTLING_MAX);
    let clients = poll_all(&options, OPENING_TIME + settling).await?;
    let spent = meter.stop();

    sleep(settling).await;
    let pending = pss_bytes(&roots);
    let mut errors = 0;
    for mut client in clients {
        let is_noop = client.receive().await.is_ok_and(|told| told == b"6"[..]);
        errors += u64::from(!is_noop);
    }

    let figure = (pending as f64 - before as f64) / count as f64;
    Ok(Measurement {
        units: count as u64,
        errors,
        first_error: (errors > 0).then(|| invalid("a pending poll was dead").to_string()),
        memory: (!roots.is_empty()).then_some(Memory { figure, used: None }),
        ..spent
    })
}

/// A pending poll of each client, [`OPENING_MAX`] at a time.
async fn poll_all(options: &Arc<Options>, patience: Duration) -> io::Result<Vec<Client>> {
    let mut opening = JoinSet::new();
    let mut clients = Vec::with_capacity(options.connections());
    for index in 0..options.connections() {
        if opening.len() >= OPENING_MAX
            && let Some(opened) = opening.join_next().await
        {
            clients.push(opened??);
        }
        let options = options.clone();
        opening.spawn(async move {
            let mut client = Client::open(&options, index).await?;
            client.poll(patience).await?;
            io::Result::Ok(client)
        });
    }
    while let Some(opened) = opening.join_next().await {
        clients.push(opened??);
    }
    Ok(clients)
}

/// Above, a node's accept queue would be what is measured.
const OPENING_MAX: usize = 32;

/// Long enough to send all polls and to read the memory before the first is answered.
const OPENING_TIME: Duration = Duration::from_secs(2);
