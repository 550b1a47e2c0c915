//! Sockeye with other people's programs at the edge of the network: `cargo xtask edge`.

mod acme;
mod application;
mod browsers;
mod nginx;
mod pebble;
