//! Certificates from an authority: ordered, proven, renewed and kept (RFC 8555).
//!
//! [`Keeper`] is the task. It writes each certificate with its key as one file of the store; the
//! listeners notice the change as they do with any other file. `schedule` says when something is to be
//! done and `retry` how long after a failure, both without a clock. `order` speaks with the authority.
//! Several proxies may share a store: who holds its lock orders, and each answers challenges.
//!
//! Runs at start, at reload, or on a timer.

mod account;
mod certificate;
mod client;
mod failure;
mod keeper;
mod name;
mod nonces;
mod order;
mod record;
mod retry;
mod schedule;
mod settings;
mod status;
mod store;
#[cfg(test)]
mod tests;
mod unix_time;
mod work;

pub(crate) use keeper::{Keeper, Wanted, WantedNames};
pub(crate) use settings::{ChallengeKind, ExternalAccount, Settings};
pub(crate) use status::{NameStatus, Status};
