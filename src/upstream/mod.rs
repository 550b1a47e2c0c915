//! Which node now, and a connection to it.
//!
//! Runs for every request.

pub mod settings;
pub use settings::Settings;
