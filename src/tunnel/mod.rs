//! A WebSocket's life.
//!
//! Runs for every byte.

mod limits;
pub use limits::{IdleTimeout, Limits};
