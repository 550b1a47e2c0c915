//! The program `sockeye`.
//!
//! Runs at start, at reload, or on a timer.

use std::process::ExitCode;

/// glibc's keeps what a reconnect storm took at its height, many times what its tunnels need; this one
/// gives it back within seconds.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    sockeye::internal::main()
}
