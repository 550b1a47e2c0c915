//! What we know of Engine.IO, and no more.
//!
//! Runs for every request.

mod timings;
pub use timings::{Learned, Timings};
