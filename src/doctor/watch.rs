//! Sessions that are left alone but for their heartbeat, until something ends them; and how fast a server
//! answers meanwhile.
//!
//! Runs at start, at reload, or on a timer.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::ask::Answer;
use super::measured::{Cut, Delays, Idle, Watch};
use super::packets;
use super::road::{Failure, FailureKind, Road, millis};
use super::session::{Session, pace};
use super::socket::End;
use super::trace::{NOWHERE, echo, open_alone};
use crate::Instant;

/// Watches one session of each transport for `patience`.
pub(super) async fn idle(road: &Road, eio: u8, patience: Duration) -> Idle {
    let (polling, websocket) =
        tokio::join!(watch_polling(road, eio, patience), watch_socket(road, eio, patience));
    Idle { patience_ms: millis(patience), polling, websocket }
}

/// Polls, one poll after the other. `None` if there is no session.
async fn watch_polling(road: &Road, eio: u8, patience: Duration) -> Option<Watch> {
    let (session, _) = Session::open(road, eio).await.ok()?;
    let begun = Instant::now();
    if eio != 3 {
        session.post(&packets::connect(eio, "/", None)).await.ok().filter(|a| a.status == 200)?;
    }
    let mut watch = Watch::default();
    let mut heartbeat = Heartbeat::new(session.open.ping_interval_ms, begun);
    while let Some(left) = patience.checked_sub(begun.elapsed()).filter(|left| !left.is_zero()) {
        let asked = Instant::now();
        let polled = match eio {
            // The client sends the heartbeat in this version.
            3 => poll_with_heartbeat(&session, heartbeat.every, left).await,
            _ => session.poll(left).await,
        };
        match polled {
            Ok(poll) if poll.status == 200 => {
                let found = packets::unwrap(eio, &poll.body);
                if found.iter().any(|packet| packet == "1") {
                    let detail = "the server closed the session".to_owned();
                    let in_order = true;
                    watch.cut = Some(Cut { detail, in_order, status: Some(200), ..cut(asked) });
                    break;
                }
                if eio == 3 && found.iter().any(|packet| packet == "3") {
                    heartbeat.came(&mut watch);
                }
                if eio != 3 && found.iter().any(|packet| packet == "2") {
                    heartbeat.came(&mut watch);
                    if session.post("3").await.is_err() {
                        break;
                    }
                }
                pace(asked).await;
            }
            Ok(poll) => {
                let detail = format!("a poll was answered with {}", poll.status);
                watch.cut = Some(Cut { status: Some(poll.status), detail, ..cut(asked) });
                break;
            }
            Err(Failure { kind: FailureKind::TimedOut, .. }) => break,
            Err(failure) => {
                watch.cut = Some(Cut { detail: failure.detail, ..cut(asked) });
                break;
            }
        }
    }
    watch.lived_ms = millis(begun.elapsed());
    heartbeat.missed(&mut watch);
    if watch.cut.is_none() {
        session.end().await;
    }
    Some(watch)
}

/// Polls, and sends the heartbeat meanwhile.
async fn poll_with_heartbeat(
    session: &Session<'_>,
    every: Duration,
    within: Duration,
) -> Result<Answer, Failure> {
    let heartbeats = async {
        loop {
            sleep(every).await;
            // The poll shows what became of the session.
            let _ = session.post("2").await;
        }
    };
    tokio::select! {
        polled = session.poll(within) => polled,
        never = heartbeats => never,
    }
}

/// A WebSocket. `None` if there is none.
async fn watch_socket(road: &Road, eio: u8, patience: Duration) -> Option<Watch> {
    let (_, opened) = open_alone(road, eio).await;
    let (mut socket, open) = opened?;
    if eio != 3 {
        socket.send(&packets::connect(eio, "/", None)).await.ok()?;
    }
    let begun = Instant::now();
    let (mut watch, mut spoke) = (Watch::default(), begun);
    let mut heartbeat = Heartbeat::new(open.ping_interval_ms, begun);
    while let Some(left) = patience.checked_sub(begun.elapsed()).filter(|left| !left.is_zero()) {
        let within = if eio == 3 { left.min(heartbeat.left()) } else { left };
        let sent = match socket.receive(within).await {
            Ok(message) if message == b"2" => {
                heartbeat.came(&mut watch);
                spoke = Instant::now();
                socket.send("3").await
            }
            Ok(_) => Ok(()),
            Err(End::Silent) if eio == 3 && within < left => {
                heartbeat.came(&mut watch);
                spoke = Instant::now();
                socket.send("2").await
            }
            Err(End::Silent) => break,
            Err(end) => Err(end),
        };
        if let Err(end) = sent {
            let (in_order, close_code) = match end {
                End::Closed { code } => (true, code),
                End::Dropped { .. } | End::Malformed { .. } | End::Silent => (false, None),
            };
            let detail = end.to_string();
            watch.cut = Some(Cut { in_order, close_code, detail, ..cut(spoke.max(socket.heard)) });
            break;
        }
    }
    watch.lived_ms = millis(begun.elapsed());
    heartbeat.missed(&mut watch);
    socket.close().await;
    Some(watch)
}

fn cut(quiet_since: Instant) -> Cut {
    Cut {
        silent_ms: millis(quiet_since.elapsed()),
        status: None,
        close_code: None,
        in_order: false,
        detail: String::new(),
    }
}

/// When the next heartbeat is expected.
struct Heartbeat {
    every: Duration,
    last: Instant,
}

impl Heartbeat {
    fn new(every_ms: Option<u64>, begun: Instant) -> Self {
        // No server has none, or one of more than a day.
        let every = every_ms.unwrap_or(25_000).clamp(100, 86_400_000);
        Self { every: Duration::from_millis(every), last: begun }
    }

    fn left(&self) -> Duration {
        self.every.saturating_sub(self.last.elapsed())
    }

    fn came(&mut self, watch: &mut Watch) {
        watch.heartbeats += 1;
        self.late(watch);
        self.last = Instant::now();
    }

    /// At the end: one that should have come long ago.
    fn missed(&self, watch: &mut Watch) {
        if watch.cut.is_none() {
            self.late(watch);
        }
    }

    fn late(&self, watch: &mut Watch) {
        let late = millis(self.last.elapsed().saturating_sub(self.every));
        watch.heartbeat_late_ms = watch.heartbeat_late_ms.max(late);
    }
}

/// Asks for an echo again and again for `patience`. `None` if there is no WebSocket.
pub(super) async fn delays(road: &Road, eio: u8, patience: Duration) -> Option<Delays> {
    let (begun, mut taken) = (Instant::now(), Vec::new());
    let mut late_ms = 0;
    let asking = async {
        while begun.elapsed() < patience {
            let Some((mut socket, _)) = open_alone(road, eio).await.1 else { break };
            // Servers end a session that is in no namespace after 45 s.
            let until = patience.min(begun.elapsed() + SESSION);
            while begun.elapsed() < until {
                match with_own_delays(echo(&mut socket, eio, NOWHERE)).await {
                    // What this process itself was late is not the server's doing.
                    (Ok(took), late) => {
                        taken.push(millis(took.saturating_sub(late)));
                        late_ms = late_ms.max(millis(late));
                    }
                    (Err(_), _) => return,
                }
                sleep(EVERY).await;
            }
            socket.close().await;
        }
    };
    // An echo that has begun may end after the patience.
    let _ = timeout(patience + GRACE, asking).await;
    taken.sort_unstable();
    let longest_ms = *taken.last()?;
    let median_ms = taken.get(taken.len() / 2).copied().unwrap_or_default();
    let stall_ms = stall_ms(median_ms, late_ms);
    Some(Delays {
        samples: u32::try_from(taken.len()).unwrap_or(u32::MAX),
        median_ms,
        longest_ms,
        stalls: u32::try_from(taken.iter().filter(|took| **took >= stall_ms).count()).unwrap_or(0),
    })
}

/// What comes of `asked`, and for how long this process did not run meanwhile, as far as it was more than a
/// moment: on a machine with more work than it can do, the server is not to blame.
async fn with_own_delays<T>(asked: impl Future<Output = T>) -> (T, Duration) {
    let mut asked = std::pin::pin!(asked);
    let mut late = Duration::ZERO;
    loop {
        let since = Instant::now();
        tokio::select! {
            biased;
            () = sleep(TICK) => late += since.elapsed().saturating_sub(TICK + MOMENT),
            done = &mut asked => return (done, late),
        }
    }
}

/// From which time on an answer is a stall. On a way, or on a machine, that is slow all the time, it is longer.
fn stall_ms(median_ms: u64, late_ms: u64) -> u64 {
    STALL_MS + median_ms.saturating_mul(8).saturating_add(late_ms.saturating_mul(4))
}

/// How often it is looked whether this process runs.
const TICK: Duration = Duration::from_millis(20);
const MOMENT: Duration = Duration::from_millis(30);

/// How often an echo is asked for: so often that one meets the begin of a stall.
const EVERY: Duration = Duration::from_millis(100);

/// How long one session serves.
const SESSION: Duration = Duration::from_secs(30);

/// An answer that takes as long is not the network's doing. An event loop that stands still for a second shows
/// less than that, since echoes are asked for with pauses.
pub(super) const STALL_MS: u64 = 800;

/// Added to a deadline for what is under way.
const GRACE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stall_is_longer_where_all_is_slow() {
        assert_eq!(stall_ms(1, 0), 808);
        assert_eq!(stall_ms(150, 0), 2_000);
        assert_eq!(stall_ms(30, 200), 1_840);
    }

    #[tokio::test(start_paused = true)]
    async fn what_this_process_was_late_is_told_apart() {
        let (took, late) = with_own_delays(async {
            sleep(Duration::from_millis(500)).await;
            3
        })
        .await;
        assert_eq!((took, late), (3, Duration::ZERO));
        let (_, late) = with_own_delays(async {
            tokio::task::yield_now().await;
            tokio::time::advance(Duration::from_secs(2)).await;
        })
        .await;
        assert!(late > Duration::from_secs(1), "{late:?}");
    }
}
