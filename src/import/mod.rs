//! The importer: makes our YAML of what nginx does.
//!
//! `mapping` says what the room `nginx` has read in our keys. Whatever cannot be said is a finding.
//!
//! Runs at start, at reload, or on a timer.

mod disk;
mod mapping;
mod whole;

pub(crate) use disk::import_from_disk;
pub use whole::{Import, import};
