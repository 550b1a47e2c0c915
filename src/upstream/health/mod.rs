//! Whether a node is well: what it is asked, and what follows from its answers.
//!
//! Runs at start, at reload, or on a timer.

pub mod settings;
