//! Traces: which one a request belongs to, and the spans of what we did, for a collector of OpenTelemetry.
//!
//! Runs for every request.

#[cfg(feature = "otlp")]
mod otlp;
mod request_trace;
mod settings;
mod span;
mod trace_context;

use std::sync::Arc;

#[cfg(feature = "otlp")]
pub(crate) use otlp::export;
pub(crate) use request_trace::RequestTrace;
pub(crate) use settings::{Collector, Sample, Settings};
pub(crate) use span::SpanQueue;

/// What is done for the traces of requests.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tracing {
    /// Which of the traces that begin here are sampled; `None`: none begin here.
    pub(crate) sample: Option<Sample>,
    /// Where the spans of sampled traces go; `None`: nowhere.
    pub(crate) spans: Option<Arc<SpanQueue>>,
}
