//! Which node had this session.
//!
//! Runs for every request.

pub mod settings;
pub use settings::Settings;
