//! Sockeye, a reverse proxy for Socket.IO clusters and WebSockets.
//!
//! Most people run the program `sockeye`. This crate is for those who embed the proxy: as a whole
//! process ([`Server`]), or as a [`tower::Service`] in an HTTP server of their own ([`Proxy`]).
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = sockeye::load("sockeye.yaml".as_ref())?;
//! let server = sockeye::Server::bind(&config)?;
//! server.run(std::future::pending())?;
//! # Ok(())
//! # }
//! ```
//!
//! | to | use |
//! |---|---|
//! | read a configuration | [`load`], [`parse`]; a [`Config`], or all of its [`Problems`] |
//! | run the whole proxy | [`Server::bind`], [`Server::run`] |
//! | reload it while it runs | [`Reloader`] |
//! | mount it in axum, hyper or another tower server | [`Config::proxy`], [`Proxy`], and a [`ClientInfo`] in the extensions of each request |
//! | end it in order | [`Shutdown`], [`ShutdownWatch`] |
//! | tell load balancers whether it takes clients | [`Readiness`] |
//!
//! `examples/embed.rs` is a complete program. ARCHITECTURE.md in the repository shows how the rooms of
//! the crate work together; they are private.

// THE PATH OF A REQUEST
mod listener;
mod exchange;
mod tunnel;
mod site;
mod websocket;

// WHOM THE EXCHANGE ASKS
mod route;
mod access;
mod affinity;
mod engineio;
mod pool;
mod upstream;
mod maintenance;
mod http1;
mod insight;

// WHAT THE OPERATOR SAYS
mod config;
mod form;
mod yaml;
mod nginx;
mod import;
mod admin;
mod doctor;
mod cli;

// WHAT KEEPS IT RUNNING
mod server;
mod workers;
mod reload;
mod acme;
mod snapshot;
mod shutdown;
mod tasks;
mod readiness;
mod descriptors;
mod systemd;

// WHAT THE OPERATOR SEES
mod metrics;
mod net;
mod tls;
mod clock;
mod rate;
mod lag;
mod telemetry;
mod logging;

pub use config::{AdminSettings, Config, Problem, Problems, Span, load, parse};
pub use exchange::{BodyError, Proxy, RequestBody, ResponseBody};
pub use net::{ClientCertificate, ClientInfo, Scheme};
pub use readiness::{Readiness, Stage};
pub use reload::{ReloadError, Reloader};
pub use server::{Server, StartError, Stopped};
pub use shutdown::{Shutdown, ShutdownWatch};
pub use snapshot::{Current, Snapshot, SnapshotError};

/// Doors to private parts, for our own program, tests, benchmarks and fuzz targets: nothing here is
/// stable.
#[doc(hidden)]
pub mod internal {
    pub use crate::cli::main;
    pub use crate::http1::{
        BodyDecoder, BodyFault, BodyFraming, CHUNK_END, Coding, Decoded, Head, HeadFault,
        HeadLimits, HeadParser, LAST_CHUNK, Parsed, Persistence, RequestFraming, write_chunk_head,
        write_head,
    };
    pub use crate::tasks::Tasks;
    pub use crate::websocket::Extensions;
    pub use crate::websocket::internal::{Facts, client_facts, node_facts, scan_client_frames};

    pub mod access {
        pub use crate::access::internal::TokenRules;
    }
    pub mod affinity {
        pub use crate::affinity::settings::{CookieSettings, SidSettings, TagForm};
        pub use crate::affinity::{Affinity, Placement, Remembered, RequestView, Settings};
    }
    pub mod config {
        pub use crate::config::{Changes, keys, load_with_outline, parse_alone};
    }
    pub mod engineio {
        pub use crate::engineio::{
            Call, OpenPacket, Scan, SessionBounds, Sid, Transport, with_sid,
        };
    }
    pub mod exchange {
        pub use crate::exchange::internal::forwarded_fields;
    }
    pub mod insight {
        pub use crate::insight::{Insight, Observation, Settings};
    }
    pub mod head_guard {
        pub use crate::listener::head_guard::{Fault, HeadGuard, Stage, encode};
    }
    pub mod http2 {
        pub use crate::listener::http2::internal::{follow_frames, prepare};
    }
    pub mod nginx {
        pub use crate::import::{Import, import};
        pub use crate::nginx::{
            Directive, Files, Finding, Level, LevelId, Listen, Location, LocationKind, Map, Method,
            Model, Parsed, PathRegex, Position, RULES, Read, ReadError, Rule, Selection, Server,
            ServerName, Settings, Upstream, UpstreamServer, Word, as_json, as_text, findings,
            parse, read, size, time,
        };
    }
    pub mod metrics {
        pub use crate::metrics::table::{ALL, BUILD, Metric, RELOADS};
    }
    pub mod route {
        pub use crate::route::internal::{expression_finds, rewritten, template_value};
    }
    pub mod proxy_header {
        pub use crate::net::proxy_header::{
            Details, Fault, LENGTH_MAX, Origin, Parsed, ProxyHeader, Side, Text, TlsDetails,
            Version, parse,
        };
    }
    pub mod shutdown {
        pub use crate::shutdown::Settings;
    }
    pub mod tunnel {
        pub use crate::tunnel::{Identity, Limits, Protocol, Roster, Setup, run};
    }
    pub mod upstream {
        pub use crate::upstream::settings::{Rate, Settings};
        pub use crate::upstream::{
            AdmissionToken, Endpoint, Lease, Node, NodeAddress, NodePreference, NodeSettings,
            QueueFull, QueuedHandshake, Upstream, Wait,
        };
    }
}

#[cfg(test)]
mod tests;

/// The clock of the whole crate; tests can pause it.
pub(crate) use tokio::time::Instant;
