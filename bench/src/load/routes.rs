//! What a proxy with very many routes costs while nobody asks for anything.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::window::Meter;
use super::{Measurement, Memory, Options};
use crate::account::pss_bytes;
use crate::scenario::ROUTES;

/// Waits until the proxy has given back what it needed to start, and reads its memory and CPU time.
pub(super) async fn rest(options: Arc<Options>) -> io::Result<Measurement> {
    let roots: Vec<u32> = options.proxy.into_iter().collect();
    sleep((options.seconds * LONGER).min(SETTLING_MAX)).await;
    let meter = Meter::start(&options);
    sleep(options.seconds * LONGER).await;
    let spent = meter.stop();
    let figure = pss_bytes(&roots) as f64 / ROUTES as f64;
    Ok(Measurement {
        units: ROUTES as u64,
        memory: (!roots.is_empty()).then_some(Memory { figure, used: None }),
        ..spent
    })
}

/// What runs every ten seconds is to be in each measurement as often as it should.
const LONGER: u32 = 10;

/// Allocators give memory back to the system about ten seconds after its last use.
const SETTLING_MAX: Duration = Duration::from_secs(15);
