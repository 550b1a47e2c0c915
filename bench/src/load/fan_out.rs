//! Messages from the nodes to all tunnels at the same instants.

use std::io;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::client::{close_all, open_all};
use super::stream::{ReadHalf, WriteHalf};
use super::tally::Tally;
use super::{Measurement, Options, mark_of, message, window};
use crate::clock;
use crate::wire::{Frame, FrameReader, Opcode, invalid};

/// Takes what is pushed. A message's time counts from the moment when its push was due at the
/// node.
pub(super) async fn receive(options: Arc<Options>) -> io::Result<Measurement> {
    let tally = Arc::new(Tally::new());
    let mut clients = JoinSet::new();
    let mut writers = Vec::new();
    for socket in open_all(&options, PUSHES).await? {
        clients.spawn(check_pushes(socket.reader, tally.clone()));
        writers.push(socket.writer);
    }
    clients.spawn(close_in_the_end(writers, tally.clone()));
    Ok(window::measure(&options, &tally, clients).await)
}

async fn check_pushes(mut reader: FrameReader<ReadHalf>, tally: Arc<Tally>) -> io::Result<()> {
    let mut last_due: Option<u64> = None;
    while let Some(frame) = reader.next().await? {
        match frame {
            Frame { opcode: Opcode::Close, .. } => return Ok(()),
            Frame { opcode: Opcode::Text, payload } => {
                let due = mark_of(&payload).ok_or_else(|| invalid("a push without mark"))?;
                let is_next = last_due.is_none_or(|last| due == last + PERIOD_NANOSECONDS);
                if !is_next || payload != message(due, payload.len())[..] {
                    return Err(invalid("a push is missing or not whole"));
                }
                last_due = Some(due);
                tally.complete(clock::now().saturating_sub(due));
            }
        }
    }
    Err(invalid("closed before the end"))
}

async fn close_in_the_end(writers: Vec<WriteHalf>, tally: Arc<Tally>) -> io::Result<()> {
    tally.over().await;
    close_all(writers).await
}

/// Fifty each second.
const PUSHES: &str = "&push=50";
const PERIOD_NANOSECONDS: u64 = 20_000_000;
