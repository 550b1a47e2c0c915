//! Long runs that print their figures: `cargo xtask soak`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "figures are for who runs it")]

mod bystander;
mod cluster;
pub mod figures;

mod aborts;
mod crash;
mod handshakes;
mod hostile;
mod mixed;
mod overload;
mod reload;
mod rolling;
mod storm;
mod timeline;
