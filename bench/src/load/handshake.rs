//! Connections that come and go: connect, upgrade, one echo, close.

use std::io;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::client::Socket;
use super::tally::Tally;
use super::{Measurement, Options, message, window};
use crate::clock;
use crate::wire::invalid;

/// So many at a time. A connection's time counts until its echo is there.
pub(super) async fn repeat(options: Arc<Options>) -> io::Result<Measurement> {
    let tally = Arc::new(Tally::new());
    let mut clients = JoinSet::new();
    for first in 0..options.connections() {
        clients.spawn(come_and_go(options.clone(), first, tally.clone()));
    }
    Ok(window::measure(&options, &tally, clients).await)
}

/// A failure ends this client, not the others: a proxy that refuses is not asked in a tight loop.
async fn come_and_go(options: Arc<Options>, first: usize, tally: Arc<Tally>) -> io::Result<()> {
    let mut index = first;
    while !tally.is_over() {
        let began = clock::now();
        let mut socket = Socket::open(&options, index, "").await?;
        let asked = message(began, MESSAGE_BYTES);
        if socket.ask(&asked).await? != asked[..] {
            return Err(invalid("an echo of something else"));
        }
        let took = clock::now() - began;
        socket.close().await?;
        tally.complete(took);
        index += options.connections();
    }
    Ok(())
}

const MESSAGE_BYTES: usize = 64;
