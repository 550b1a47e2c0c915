//! Tunnels that are open and silent, and what they cost.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::client::open_all;
use super::window::Meter;
use super::{Measurement, Memory, Options, message};
use crate::account::pss_bytes;
use crate::machine;
use crate::wire::invalid;

/// Opens the tunnels and reads the proxy's memory before, then, and after each carried a message.
pub(super) async fn hold(options: Arc<Options>) -> io::Result<Measurement> {
    let options =
        Arc::new(Options { connections: Some(affordable(&options)), ..(*options).clone() });
    let count = options.connections();
    let settling = options.seconds.min(SETTLING_MAX);
    let roots: Vec<u32> = options.proxy.into_iter().collect();
    let before = pss_bytes(&roots);
    let meter = Meter::start(&options);
    let mut sockets = open_all(&options, "").await?;
    let spent = meter.stop();

    sleep(settling).await;
    let silent = pss_bytes(&roots);
    let mut errors = 0;
    for (mark, socket) in (0..).zip(&mut sockets) {
        let asked = message(mark, MESSAGE_BYTES);
        let is_echo = socket.ask(&asked).await.is_ok_and(|answer| answer == asked[..]);
        errors += u64::from(!is_echo);
    }
    sleep(settling).await;
    let used = pss_bytes(&roots);
    for socket in sockets {
        errors += u64::from(socket.close().await.is_err());
    }

    let per_tunnel = |bytes: u64| (bytes as f64 - before as f64) / count as f64;
    let memory = Memory { figure: per_tunnel(silent), used: Some(per_tunnel(used)) };
    Ok(Measurement {
        units: count as u64,
        errors,
        first_error: (errors > 0).then(|| invalid("a silent tunnel was dead").to_string()),
        memory: (!roots.is_empty()).then_some(memory),
        ..spent
    })
}

/// Each tunnel takes two descriptors of a proxy, which needs some more.
pub(super) fn affordable(options: &Options) -> usize {
    options.connections().min(machine::file_limit() / 20 * 9)
}

/// After this long proxies have given back what they lent for the handshake.
pub(super) const SETTLING_MAX: Duration = Duration::from_secs(1);

const MESSAGE_BYTES: usize = 64;
