//! A connection's life.
//!
//! Runs for every request.

pub mod settings;
pub use settings::Settings;
