//! Sockeye, a reverse proxy for Socket.IO clusters and WebSockets.

// THE PATH OF A REQUEST
pub mod listener;
pub mod exchange;
pub mod tunnel;
pub mod websocket;

// WHOM THE EXCHANGE ASKS
pub mod route;
pub mod affinity;
pub mod engineio;
pub mod pool;
pub mod upstream;
pub mod maintenance;
mod http1;
pub mod insight;

// WHAT THE OPERATOR SAYS
pub mod config;
mod yaml;
pub mod admin;
pub mod cli;

// WHAT KEEPS IT RUNNING
pub mod server;
pub mod workers;
pub mod reload;
pub mod snapshot;
pub mod shutdown;
pub mod tasks;
pub mod readiness;
pub mod descriptors;
pub mod systemd;

// WHAT THE OPERATOR SEES
pub mod metrics;
pub mod net;
mod clock;
mod rate;
pub mod logging;

pub use exchange::Proxy;
pub use server::Server;

/// Doors to private parts, for our own benchmarks and fuzz targets: nothing here is stable.
#[doc(hidden)]
pub mod internal {
    pub use crate::http1::{
        BodyDecoder, BodyFault, BodyFraming, CHUNK_END, Coding, Decoded, Head, HeadFault,
        HeadLimits, HeadParser, LAST_CHUNK, Parsed, Persistence, RequestFraming, write_chunk_head,
        write_head,
    };
    pub use crate::websocket::internal::{Facts, client_facts, node_facts, scan_client_frames};
}

#[cfg(test)]
mod tests;

/// The clock of the whole crate; tests can pause it.
pub(crate) use tokio::time::Instant;
