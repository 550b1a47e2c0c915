//! The metrics of TLS.
//!
//! Runs at start, at reload, or on a timer.

use super::metrics_page::{Sample, Value, counts};
use super::state::AdminState;
use crate::metrics::table::{self, Metric};

/// The samples of `metric`; `None` if it is not one of TLS.
pub(super) fn tls_samples(metric: Metric, state: &AdminState) -> Option<Vec<Sample>> {
    let did = &state.control.counts().tls;
    Some(match metric {
        table::TLS_HANDSHAKES => counts([], did.done.iter()),
        table::TLS_HANDSHAKES_FAILED => counts([], did.failed.iter()),
        table::TLS_HANDSHAKES_OPEN => vec![(Vec::new(), Value::Level(did.open.open() as f64))],
        table::TLS_HANDSHAKES_WAITING => {
            vec![(Vec::new(), Value::Level(did.waiting.open() as f64))]
        }
        table::CERTIFICATE_EXPIRY => expiries(state),
        _ => return None,
    })
}

/// By the file that the operator named: several certificates may have the same name.
fn expiries(state: &AdminState) -> Vec<Sample> {
    let in_force = state.config.load();
    let mut samples = Vec::new();
    for listener in &in_force.config.listeners {
        let Some(tls) = &listener.tls else { continue };
        for (chain, certificate) in tls.certificates() {
            let labels = vec![listener.bind.to_string(), chain.display().to_string()];
            samples.push((labels, Value::Level(certificate.expires_at() as f64)));
        }
    }
    samples
}
