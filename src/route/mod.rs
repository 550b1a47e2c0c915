//! Which target.
//!
//! Runs for every request.

pub mod pattern;
pub mod settings;
pub use settings::Settings;
