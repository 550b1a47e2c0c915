//! Messages that come back.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::client::{Socket, close_all, open_all, send};
use super::stream::{ReadHalf, WriteHalf};
use super::tally::Tally;
use super::{Measurement, Options, mark_of, message, window};
use crate::clock::{self, Ticks};
use crate::wire::{Frame, FrameReader, Opcode, invalid};

/// An open loop: so many messages each second, whatever comes back. A message's time counts from
/// the moment when it was due, so a proxy that stalls cannot make its own load lighter.
pub(super) async fn at_a_rate(options: Arc<Options>) -> io::Result<Measurement> {
    let tally = Arc::new(Tally::new());
    let mut clients = JoinSet::new();
    let mut writers = Vec::new();
    for socket in open_all(&options, "").await? {
        clients.spawn(check_echoes(socket.reader, tally.clone()));
        writers.push(socket.writer);
    }
    clients.spawn(send_at_rate(writers, options.rate, tally.clone()));
    Ok(window::measure(&options, &tally, clients).await)
}

/// A closed loop: one message under way on each tunnel.
pub(super) async fn in_turn(options: Arc<Options>) -> io::Result<Measurement> {
    let tally = Arc::new(Tally::new());
    let mut clients = JoinSet::new();
    for socket in open_all(&options, "").await? {
        clients.spawn(echo_in_turn(socket, tally.clone()));
    }
    Ok(window::measure(&options, &tally, clients).await)
}

/// At each tick some messages, on the tunnels in turn. Ends with a Close on each of them.
async fn send_at_rate(mut writers: Vec<WriteHalf>, rate: u32, tally: Arc<Tally>) -> io::Result<()> {
    let mut ticks = Ticks::new(clock::now(), TICK)?;
    let mut turn = (0..writers.len()).cycle();
    let mut owed = 0.0;
    while !tally.is_over() {
        let due = ticks.next().await?;
        owed += f64::from(rate) * TICK.as_secs_f64();
        while owed >= 1.0 {
            owed -= 1.0;
            let writer = turn.next().and_then(|turn| writers.get_mut(turn));
            let writer = writer.ok_or_else(|| invalid("no connection"))?;
            send(writer, Opcode::Text, &message(due, SMALL_BYTES)).await?;
        }
    }
    close_all(writers).await
}

/// Reads echoes until the node has answered our Close: what did not come before it never will.
async fn check_echoes(mut reader: FrameReader<ReadHalf>, tally: Arc<Tally>) -> io::Result<()> {
    let mut last_due = 0;
    while let Some(frame) = reader.next().await? {
        match frame {
            Frame { opcode: Opcode::Close, .. } => return Ok(()),
            Frame { opcode: Opcode::Text, payload } => {
                let due = mark_of(&payload).ok_or_else(|| invalid("an echo without mark"))?;
                if payload != message(due, SMALL_BYTES)[..] || due < last_due {
                    return Err(invalid("an echo of something else"));
                }
                last_due = due;
                tally.complete(clock::now().saturating_sub(due));
            }
        }
    }
    Err(invalid("closed before the end"))
}

async fn echo_in_turn(mut socket: Socket, tally: Arc<Tally>) -> io::Result<()> {
    while !tally.is_over() {
        let began = clock::now();
        let asked = message(began, LARGE_BYTES);
        if socket.ask(&asked).await? != asked[..] {
            return Err(invalid("an echo of something else"));
        }
        tally.complete(clock::now() - began);
    }
    socket.close().await
}

const SMALL_BYTES: usize = 64;
const LARGE_BYTES: usize = 16 * 1024;

/// Messages come in bunches of a thousandth of the rate.
const TICK: Duration = Duration::from_millis(1);
