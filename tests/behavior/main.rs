//! What an operator and a client see of Sockeye, tested at its sockets.

#![allow(missing_docs, unreachable_pub, reason = "a test's module is nobody's interface")]
#![allow(clippy::disallowed_methods, reason = "a test ends its tasks by ending its runtime")]
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod support;

mod access;
mod admin;
mod admin_auth;
mod admission;
mod affinity;
mod backups;
mod balance;
mod basic_auth;
mod browser;
mod challenges;
mod chat;
mod cli;
mod client_limits;
mod comeback;
mod compression;
mod connections;
mod cors;
mod dashboards;
mod dead_host;
mod discovery;
mod doctor;
mod drain;
mod earlier_rules;
mod edge;
mod ejection;
mod embedding;
mod expectation;
mod fields;
mod forward_auth;
mod forward_auth_tls;
mod forwarding;
mod healing;
mod health;
mod http2;
mod http2_access;
mod http2_independent;
mod hygiene;
mod include;
mod insight;
mod instruments;
mod lag;
mod leaving;
mod log;
mod metrics;
mod names;
mod nginx;
mod other_protocols;
mod overview;
#[cfg(feature = "otlp")]
mod otlp;
mod packaging;
mod page;
mod password_flood;
mod paths;
mod policies;
mod proxy_protocol;
mod refusals;
mod reload;
mod route_query;
mod routing;
mod several_processes;
mod session_bounds;
mod sids;
mod soak;
mod site;
mod socketio;
mod sockjs;
mod stop;
mod systemd;
mod tidy;
mod tls;
mod tls_offer;
mod tls_reload;
mod tls_to_nodes;
mod tokens;
mod traces;
mod tunnel;
mod unix_nodes;
mod upgrade;
mod vnc;
