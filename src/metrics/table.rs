//! Every metric: its name, its labels, what it tells.
//!
//! `docs/metrics.md` has the same rows with when to worry; a test compares the two.
//!
//! Pure. Runs at start, at reload, or on a timer.

pub(crate) use super::metric::Kind;
pub use super::metric::Metric;
use super::metric::{counter, gauge};

/// All of them, in the order of the exposition.
pub const ALL: [Metric; 63] = [
    CONNECTIONS,
    CONNECTIONS_OPEN,
    CONNECTIONS_MAX,
    CONNECTIONS_REFUSED,
    CONNECTION_ENDS,
    ACCEPT_PAUSES,
    TLS_HANDSHAKES,
    TLS_HANDSHAKES_FAILED,
    TLS_HANDSHAKES_OPEN,
    TLS_HANDSHAKES_WAITING,
    CERTIFICATE_EXPIRY,
    EXCHANGES,
    EXCHANGE_ERRORS,
    AFFINITY,
    HANDSHAKES_HELD,
    HANDSHAKES_HELD_OPEN,
    UPGRADES_TRIED,
    UPGRADES,
    FOREIGN_ORIGINS,
    AUTH_REQUESTS,
    AUTH_REMEMBERED,
    PASSWORD_CHECKS,
    POLLING_SESSIONS,
    POLLING_SESSIONS_OPEN,
    POLLING_SESSIONS_STUCK,
    UPGRADE_DURATION,
    TUNNELS,
    TUNNELS_OPEN,
    TUNNEL_ENDS,
    TUNNEL_BYTES,
    TUNNEL_MESSAGES,
    IDLE_CONTRADICTIONS,
    UPSTREAM_NODES_OPEN,
    UPSTREAM_BACKUPS_IN_USE,
    NODE_ANSWERS,
    NODE_HANDSHAKES,
    NODE_CONNECTS_FAILED,
    NODE_REACHABLE,
    NODE_STATE,
    NODE_CHECKS,
    NODE_EJECTIONS,
    NODE_END_CAUSES,
    NODE_EXCHANGES_OPEN,
    NODE_TUNNELS_OPEN,
    NODE_TUNNEL_ENDS,
    NODE_LOAD,
    NODE_LAG,
    DISCOVERY,
    CERTIFICATE_ORDERS,
    CERTIFICATE_ORDER_FAILURES,
    CERTIFICATE_NEXT_ORDER,
    WORKER_CONNECTIONS,
    RELOADS,
    RELOAD_FAILED,
    STOPPING,
    LOG_LINES_LOST,
    SPANS,
    PANICS,
    BUILD,
    START_TIME,
    MEMORY,
    DESCRIPTORS,
    DESCRIPTORS_MAX,
];

/// See [`Connections`](super::Connections).
pub(crate) const CONNECTIONS: Metric =
    counter("sockeye_connections_total", &[], "Connections that clients opened");
/// See [`Connections::open`](super::Connections::open).
pub(crate) const CONNECTIONS_OPEN: Metric =
    gauge("sockeye_connections_open", &[], "Connections on which clients speak HTTP");
/// The limit for clients' connections.
pub(crate) const CONNECTIONS_MAX: Metric =
    gauge("sockeye_connections_max", &[], "Maximum number of client connections and WebSockets");
/// Those above the limit of their network.
pub(crate) const CONNECTIONS_REFUSED: Metric = counter(
    "sockeye_connections_refused_total",
    &[],
    "Connections that were closed since their client network had too many",
);
/// See [`Connections::ends`](super::Connections::ends).
pub(crate) const CONNECTION_ENDS: Metric =
    counter("sockeye_connection_ends_total", &["reason"], "Connections by how they ended");
/// See [`Connections::accept_pauses`](super::Connections::accept_pauses).
pub(crate) const ACCEPT_PAUSES: Metric = counter(
    "sockeye_accept_pauses_total",
    &["reason"],
    "How often a listener began to let new clients wait",
);
/// See [`TlsHandshakes::done`](super::TlsHandshakes::done).
pub(crate) const TLS_HANDSHAKES: Metric = counter(
    "sockeye_tls_handshakes_total",
    &["version", "kind"],
    "Complete TLS handshakes of clients",
);
/// See [`TlsHandshakes::failed`](super::TlsHandshakes::failed).
pub(crate) const TLS_HANDSHAKES_FAILED: Metric =
    counter("sockeye_tls_handshakes_failed_total", &["reason"], "Failed TLS handshakes of clients");
/// See [`TlsHandshakes::open`](super::TlsHandshakes::open).
pub(crate) const TLS_HANDSHAKES_OPEN: Metric = gauge(
    "sockeye_tls_handshakes_open",
    &[],
    "TLS handshakes in progress, including those that wait for their turn",
);
/// See [`TlsHandshakes::waiting`](super::TlsHandshakes::waiting).
pub(crate) const TLS_HANDSHAKES_WAITING: Metric =
    gauge("sockeye_tls_handshakes_waiting", &[], "TLS handshakes that wait for their turn");
/// When a certificate expires.
pub(crate) const CERTIFICATE_EXPIRY: Metric = gauge(
    "sockeye_certificate_expiry_time_seconds",
    &["listener", "certificate"],
    "When a certificate expires, in seconds since 1970",
);
/// See [`RouteCounts::answers`](super::RouteCounts::answers).
pub(crate) const EXCHANGES: Metric = counter(
    "sockeye_exchanges_total",
    &["route", "protocol", "class"],
    "Requests that got a response",
);
/// See [`RouteCounts::errors`](super::RouteCounts::errors).
pub(crate) const EXCHANGE_ERRORS: Metric = counter(
    "sockeye_exchange_errors_total",
    &["route", "error", "blame"],
    "Requests that the proxy itself responded to with an error",
);
/// See [`RouteCounts::affinity`](super::RouteCounts::affinity).
pub(crate) const AFFINITY: Metric = counter(
    "sockeye_affinity_total",
    &["route", "outcome"],
    "Requests by how the node of their session was found",
);
/// See [`RouteCounts::held`](super::RouteCounts::held).
pub(crate) const HANDSHAKES_HELD: Metric = counter(
    "sockeye_handshakes_held_total",
    &["route"],
    "Handshakes that had to wait for a node or for their turn",
);
/// See [`RouteCounts::held`](super::RouteCounts::held).
pub(crate) const HANDSHAKES_HELD_OPEN: Metric =
    gauge("sockeye_handshakes_held_open", &["route"], "Handshakes that are waiting");
/// See [`RouteCounts::upgrades_tried`](super::RouteCounts::upgrades_tried).
pub(crate) const UPGRADES_TRIED: Metric = counter(
    "sockeye_upgrades_tried_total",
    &["route"],
    "WebSocket handshakes that clients started",
);
/// See [`RouteCounts::upgrades`](super::RouteCounts::upgrades).
pub(crate) const UPGRADES: Metric = counter(
    "sockeye_upgrades_total",
    &["route", "outcome", "cause"],
    "WebSocket handshakes by how they ended",
);
/// See [`RouteCounts::foreign_origins`](super::RouteCounts::foreign_origins).
pub(crate) const FOREIGN_ORIGINS: Metric = counter(
    "sockeye_foreign_origins_total",
    &["route"],
    "WebSocket handshakes with cookies by pages of other hosts, on a route without origins",
);
/// See [`AuthCounts::requests`](super::AuthCounts::requests).
pub(crate) const AUTH_REQUESTS: Metric = counter(
    "sockeye_auth_requests_total",
    &["route", "outcome"],
    "Questions to the authorization service by outcome",
);
/// See [`AuthCounts::remembered`](super::AuthCounts::remembered).
pub(crate) const AUTH_REMEMBERED: Metric = counter(
    "sockeye_auth_remembered_total",
    &["route"],
    "Requests that were let in because the same credentials were right recently",
);
/// See [`AuthCounts::passwords`](super::AuthCounts::passwords).
pub(crate) const PASSWORD_CHECKS: Metric = counter(
    "sockeye_password_checks_total",
    &["route", "outcome"],
    "Passwords that were checked, by outcome",
);
/// The verdicts on sessions that began in polling.
pub(crate) const POLLING_SESSIONS: Metric = counter(
    "sockeye_polling_sessions_total",
    &["route", "outcome", "cause"],
    "Sessions that began in polling, by what became of their upgrade",
);
/// Those that are followed.
pub(crate) const POLLING_SESSIONS_OPEN: Metric = gauge(
    "sockeye_polling_sessions_open",
    &["route"],
    "Sessions that began in polling and are not upgraded",
);
/// Those of them that still poll.
pub(crate) const POLLING_SESSIONS_STUCK: Metric = gauge(
    "sockeye_polling_sessions_stuck",
    &["route"],
    "Sessions that still poll although they should have upgraded",
);
/// From the handshake by polling to the client's `5`.
pub(crate) const UPGRADE_DURATION: Metric = Metric {
    name: "sockeye_upgrade_duration_seconds",
    kind: Kind::Histogram,
    labels: &["route"],
    help: "Time from the handshake of a session to its upgrade",
};
/// See [`TunnelCounts::open`](super::TunnelCounts::open).
pub(crate) const TUNNELS: Metric =
    counter("sockeye_tunnels_total", &["route", "protocol"], "WebSockets that were opened");
/// See [`TunnelCounts::open`](super::TunnelCounts::open).
pub(crate) const TUNNELS_OPEN: Metric =
    gauge("sockeye_tunnels_open", &["route", "protocol"], "WebSockets that are open");
/// See [`TunnelCounts::ends`](super::TunnelCounts::ends).
pub(crate) const TUNNEL_ENDS: Metric = counter(
    "sockeye_tunnel_ends_total",
    &["route", "end", "by"],
    "WebSockets that ended, by end and by who caused it",
);
/// See [`Traffic::bytes`](super::Traffic::bytes).
pub(crate) const TUNNEL_BYTES: Metric =
    counter("sockeye_tunnel_bytes_total", &["route", "from"], "Bytes of WebSocket frames");
/// See [`Traffic::messages`](super::Traffic::messages).
pub(crate) const TUNNEL_MESSAGES: Metric =
    counter("sockeye_tunnel_messages_total", &["route", "from"], "WebSocket messages");
/// See [`TunnelCounts::idle_contradictions`](super::TunnelCounts::idle_contradictions).
pub(crate) const IDLE_CONTRADICTIONS: Metric = counter(
    "sockeye_idle_contradictions_total",
    &["route"],
    "Sessions whose heartbeat is longer than `tunnel.idle_timeout`",
);
/// The nodes that take new sessions.
pub(crate) const UPSTREAM_NODES_OPEN: Metric =
    gauge("sockeye_upstream_nodes_open", &["upstream"], "Nodes that take new sessions");
/// Whether backups are needed.
pub(crate) const UPSTREAM_BACKUPS_IN_USE: Metric = gauge(
    "sockeye_upstream_backups_in_use",
    &["upstream"],
    "1 while new sessions go to backups because no other node takes any, else 0",
);
/// See [`NodeCounts::answers`](super::NodeCounts::answers).
pub(crate) const NODE_ANSWERS: Metric = counter(
    "sockeye_node_answers_total",
    &["upstream", "node", "class"],
    "Responses of a node that were sent to clients",
);
/// See [`NodeCounts::handshakes_by_polling`](super::NodeCounts::handshakes_by_polling).
pub(crate) const NODE_HANDSHAKES: Metric = counter(
    "sockeye_node_handshakes_total",
    &["upstream", "node", "transport"],
    "Engine.IO sessions that a node opened",
);
/// See [`NodeCounts::connects_failed`](super::NodeCounts::connects_failed).
pub(crate) const NODE_CONNECTS_FAILED: Metric = counter(
    "sockeye_node_connects_failed_total",
    &["upstream", "node"],
    "Failed connects to a node",
);
/// Whether the last connect succeeded.
pub(crate) const NODE_REACHABLE: Metric = gauge(
    "sockeye_node_reachable",
    &["upstream", "node"],
    "1 if the last connect to a node succeeded or there was none, else 0",
);
/// What holds of a node.
pub(crate) const NODE_STATE: Metric = gauge(
    "sockeye_node_state",
    &["upstream", "node", "state"],
    "1 for the state that a node is in, 0 for the others",
);
/// See [`NodeCounts::checks`](super::NodeCounts::checks).
pub(crate) const NODE_CHECKS: Metric = counter(
    "sockeye_node_checks_total",
    &["upstream", "node", "outcome"],
    "Health checks by outcome",
);
/// See [`NodeCounts::ejections`](super::NodeCounts::ejections).
pub(crate) const NODE_EJECTIONS: Metric = counter(
    "sockeye_node_ejections_total",
    &["upstream", "node"],
    "Ejections of a node because its clients' handshakes failed",
);

/// See [`NodeCounts::end_causes`](super::NodeCounts::end_causes).
pub(crate) const NODE_END_CAUSES: Metric = counter(
    "sockeye_node_tunnel_end_causes_total",
    &["upstream", "node", "cause"],
    "Tunnels of the node that ended abnormally, by cause",
);
/// Pending exchanges.
pub(crate) const NODE_EXCHANGES_OPEN: Metric = gauge(
    "sockeye_node_exchanges_open",
    &["upstream", "node"],
    "Requests to a node whose responses are not complete",
);
/// Open tunnels.
pub(crate) const NODE_TUNNELS_OPEN: Metric =
    gauge("sockeye_node_tunnels_open", &["upstream", "node"], "WebSockets to a node that are open");
/// See [`NodeCounts::ends`](super::NodeCounts::ends).
pub(crate) const NODE_TUNNEL_ENDS: Metric = counter(
    "sockeye_node_tunnel_ends_total",
    &["upstream", "node", "end", "by"],
    "WebSockets to a node that ended, by end and by who caused it",
);
/// What balancing goes by.
pub(crate) const NODE_LOAD: Metric = gauge(
    "sockeye_node_load",
    &["upstream", "node"],
    "Open WebSockets, open requests and handshakes of the last seconds, before the weight",
);
/// See [`NodeLag`](crate::lag::NodeLag).
pub(crate) const NODE_LAG: Metric = gauge(
    "sockeye_node_lag_seconds",
    &["upstream", "node", "quantile"],
    "How late a node answered in the last 24 s what its event loop answers by itself",
);
/// See [`DiscoveryCounts`](super::DiscoveryCounts).
pub(crate) const DISCOVERY: Metric = counter(
    "sockeye_discovery_total",
    &["upstream", "outcome"],
    "DNS lookups of an upstream's nodes by outcome",
);
/// See [`Status`](crate::acme::Status).
pub(crate) const CERTIFICATE_ORDERS: Metric = counter(
    "sockeye_certificate_orders_total",
    &["outcome"],
    "Certificates that this process ordered from the authority",
);
/// Consecutive failures.
pub(crate) const CERTIFICATE_ORDER_FAILURES: Metric = gauge(
    "sockeye_certificate_order_failures",
    &["name"],
    "Orders of a name's certificate that failed since the last one that succeeded",
);
/// When the next order is.
pub(crate) const CERTIFICATE_NEXT_ORDER: Metric = gauge(
    "sockeye_certificate_next_order_seconds",
    &["name"],
    "When a name's certificate is ordered next, in seconds since 1970",
);
/// Connections and tunnels of a worker.
pub(crate) const WORKER_CONNECTIONS: Metric = gauge(
    "sockeye_worker_connections",
    &["worker"],
    "Client connections and WebSockets of a worker",
);
/// Reloads of the configuration.
pub const RELOADS: Metric =
    counter("sockeye_reloads_total", &["outcome"], "Reloads of the configuration");
/// Whether the last reload failed.
pub(crate) const RELOAD_FAILED: Metric = gauge(
    "sockeye_reload_failed",
    &[],
    "1 if the last reload failed and the older configuration is still in force, else 0",
);
/// Whether the stop has begun.
pub(crate) const STOPPING: Metric =
    gauge("sockeye_stopping", &[], "1 once the shutdown has begun, else 0");
/// See [`lost_lines`](crate::logging::lost_lines).
pub(crate) const LOG_LINES_LOST: Metric = counter(
    "sockeye_log_lines_lost_total",
    &[],
    "Log lines that were dropped because standard error was not read fast enough",
);
/// See [`SpanQueue`](crate::telemetry::SpanQueue).
pub(crate) const SPANS: Metric =
    counter("sockeye_spans_total", &["outcome"], "Spans for a collector of OpenTelemetry");
/// Counted by [`count_panic`](super::count_panic).
pub(crate) const PANICS: Metric =
    counter("sockeye_panics_total", &[], "Faults of Sockeye that ended an exchange or a task");
/// The version, as a label.
pub const BUILD: Metric = gauge("sockeye_build_info", &["version"], "Always 1");
/// When the process began.
pub(crate) const START_TIME: Metric = gauge(
    "sockeye_start_time_seconds",
    &[],
    "When the proxy began to serve, in seconds since 1970",
);
/// See [`Process::memory_bytes`](super::Process::memory_bytes).
pub(crate) const MEMORY: Metric =
    gauge("sockeye_memory_bytes", &[], "Memory of the process that is in use now");
/// See [`Process::descriptors`](super::Process::descriptors).
pub(crate) const DESCRIPTORS: Metric =
    gauge("sockeye_descriptors_open", &[], "Open files and sockets of the process");
/// See [`Process::descriptors_max`](super::Process::descriptors_max).
pub(crate) const DESCRIPTORS_MAX: Metric =
    gauge("sockeye_descriptors_max", &[], "Maximum number of open files and sockets");

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_follow_prometheus() {
        for metric in ALL {
            let is_total = metric.name.ends_with("_total");
            assert_eq!(is_total, metric.kind == Kind::Counter, "{}", metric.name);
            assert!(metric.name.starts_with("sockeye_"), "{}", metric.name);
            assert!(!metric.help.ends_with('.'), "{}", metric.name);
        }
        let names: BTreeSet<&str> = ALL.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), ALL.len());
    }
}
