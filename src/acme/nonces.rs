//! Requests are repeated while the authority does not accept their nonces.
//!
//! A nonce that it gave may be one of another of its servers (RFC 8555, section 6.5). The library tries
//! three of them; an authority with a fault accepts even fewer.
//!
//! Runs at start, at reload, or on a timer.

use std::time::Duration;

use instant_acme::Error;
use tokio::time::sleep;

use super::failure::is_bad_nonce;

/// Repeats a request while its nonce is the only thing that is wrong, for a while. A macro, since a
/// future that a closure made of borrowed values cannot be shown to be `Send`.
macro_rules! repeat {
    ($request:expr) => {{
        let mut nonces = $crate::acme::nonces::Nonces::default();
        loop {
            match $request.await {
                Err(error) if nonces.may_repeat(&error) => nonces.pause().await,
                answer => break answer,
            }
        }
    }};
}
pub(super) use repeat;

/// Counts the nonces of a request.
#[derive(Debug, Default)]
pub(super) struct Nonces {
    refused: u32,
}

impl Nonces {
    /// Whether the request is to be repeated after this `error`.
    pub(super) fn may_repeat(&mut self, error: &Error) -> bool {
        self.refused += 1;
        is_bad_nonce(error) && self.refused < REFUSED_MAX
    }

    /// Waits a little longer each time.
    pub(super) async fn pause(&self) {
        sleep(PAUSE * self.refused).await;
    }
}

const REFUSED_MAX: u32 = 10;

/// The first pause; each further one is longer by as much.
const PAUSE: Duration = Duration::from_millis(100);
