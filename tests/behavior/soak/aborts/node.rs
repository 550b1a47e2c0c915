//! A node that does what each request asks of it: `do=N` in the query is a place in [`DOES`].

use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::plan::{DOES, Does, How};
use super::wire::{PATIENCE, PATIENT, Wire};
use super::{BODY, Counts};
use crate::support::websocket::{KEY, accept, frame, switching};
use crate::support::{open_packet, response};

/// Serves until it is dropped.
pub async fn serve(listener: TcpListener, counts: Arc<Counts>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        connections.spawn(connection(stream, counts.clone()));
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(stream: TcpStream, counts: Arc<Counts>) {
    let mut wire = Wire::new(stream);
    // An idle connection is the proxy's to close.
    while wire.until_within(IDLE, |heard| !heard.is_empty()).await {
        let Some(head) = wire.head().await else { return };
        let does = meant(&head);
        counts.count(format!("node: {does:?}"));
        if let Turn::Over(how) = answer(&mut wire, &head, does, &counts).await {
            return wire.leaves(how).await;
        }
    }
}

impl Wire {
    /// Reads the body of a request to its end, in any form.
    async fn takes_upload(&mut self, head: &str) -> bool {
        if head.contains("transfer-encoding: chunked") {
            return self.until_within(PATIENT, |heard| heard.ends_with(b"\r\n0\r\n\r\n")).await;
        }
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
        let length: usize = length.map_or(0, |length| length.trim().parse().unwrap());
        self.until_within(PATIENT, |heard| heard.len() >= length).await
    }
}

/// Whether the connection goes on.
enum Turn {
    Next,
    Over(How),
}

async fn answer(wire: &mut Wire, head: &str, does: Does, counts: &Counts) -> Turn {
    let head = head.to_ascii_lowercase();
    match does {
        Does::LeavesBehindHead(how) => return Turn::Over(how),
        Does::LeavesWithinUpload(how) => {
            wire.until(|heard| heard.len() > 1_000).await;
            return Turn::Over(how);
        }
        Does::RefusesEarly => {
            wire.says(
                b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
            )
            .await;
            return Turn::Over(How::Fin);
        }
        _ if !wire.takes_upload(&head).await => return Turn::Over(How::Close),
        _ => (),
    }
    wire.heard.clear();
    if does.is_tunnel() {
        return Turn::Over(tunnel(wire, does).await);
    }
    let is_handshake = head.contains("eio=4") && !head.contains("sid=");
    let body = if is_handshake { open_packet(&counts.sid()) } else { BODY.to_owned() };
    answer_body(wire, &body, does).await
}

/// The answer to what was read as a whole.
async fn answer_body(wire: &mut Wire, body: &str, does: Does) -> Turn {
    let whole = response("200 OK", body);
    let (first, second) = body.split_at(body.len() / 2);
    let chunk = |part: &str| format!("{:x}\r\n{part}\r\n", part.len());
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned();
    let all_chunks = chunked.clone() + &chunk(first) + &chunk(second) + "0\r\n\r\n";
    let went_on = match does {
        Does::Answers => wire.says(&whole).await,
        Does::AnswersChunked => wire.says(all_chunks.as_bytes()).await,
        Does::AnswersUntilEnd => {
            wire.says(format!("HTTP/1.1 200 OK\r\n\r\n{body}").as_bytes()).await;
            return Turn::Over(How::Fin);
        }
        Does::AnswersLate => wire.listens(LATE).await && wire.says(&whole).await,
        Does::NeverAnswers => {
            // The other side ends it, or this one does as late as a client's patience is over.
            wire.listens(PATIENCE * 4).await;
            return Turn::Over(How::Close);
        }
        Does::DribblesHead => wire.dribbles(&whole, 4, PAUSE).await,
        Does::DribblesLength => {
            wire.says(&whole[..40]).await && wire.dribbles(&whole[40..], 16, PAUSE).await
        }
        Does::DribblesChunked => wire.dribbles(all_chunks.as_bytes(), 20, PAUSE).await,
        Does::Refuses => wire.says(&response("403 Forbidden", "no")).await,
        Does::LeavesWithinAnswerHead(how) => {
            wire.says(&whole[..20]).await;
            return Turn::Over(how);
        }
        Does::LeavesWithinLength(how) => {
            wire.says(&whole[..whole.len() - 10]).await;
            return Turn::Over(how);
        }
        Does::LeavesWithinChunked(how) => {
            wire.says((chunked + &chunk(first)).as_bytes()).await;
            return Turn::Over(how);
        }
        Does::LeavesBehindUpload(how) => return Turn::Over(how),
        Does::LeavesBehindHead(_) | Does::LeavesWithinUpload(_) | Does::RefusesEarly => false,
        Does::Echoes
        | Does::LeavesWithinSwitch(_)
        | Does::LeavesBehindSwitch(_)
        | Does::LeavesWithinFrame(_)
        | Does::LeavesBehindClose(_)
        | Does::ClosesAndWaits
        | Does::LeavesOnClose(_) => false,
    };
    if went_on { Turn::Next } else { Turn::Over(How::Close) }
}

/// An upgrade, and how the node leaves it.
async fn tunnel(wire: &mut Wire, does: Does) -> How {
    let switch = switching(&accept(KEY)).into_bytes();
    let close = frame(8, &1000_u16.to_be_bytes(), None);
    let message = frame(2, &[7; 2_000], None);
    if let Does::LeavesWithinSwitch(how) = does {
        wire.says(&switch[..30]).await;
        return how;
    }
    wire.says(&switch).await;
    match does {
        Does::LeavesBehindSwitch(how) => how,
        Does::LeavesWithinFrame(how) => {
            wire.says(&message[..700]).await;
            how
        }
        Does::LeavesBehindClose(how) => {
            wire.says(&close).await;
            how
        }
        Does::ClosesAndWaits => {
            wire.says(&close).await;
            wire.listens(PATIENCE).await;
            How::Fin
        }
        Does::LeavesOnClose(how) => {
            wire.until(has_close).await;
            how
        }
        _ => {
            while wire.until(|heard| !heard.is_empty()).await {
                let closes = has_close(&wire.heard);
                wire.heard.clear();
                if closes {
                    wire.says(&close).await;
                    return How::Fin;
                }
                wire.says(&message).await;
            }
            How::Close
        }
    }
}

impl Does {
    fn is_tunnel(self) -> bool {
        matches!(
            self,
            Self::Echoes
                | Self::LeavesWithinSwitch(_)
                | Self::LeavesBehindSwitch(_)
                | Self::LeavesWithinFrame(_)
                | Self::LeavesBehindClose(_)
                | Self::ClosesAndWaits
                | Self::LeavesOnClose(_)
        )
    }
}

/// A client sends its Close at the beginning of what it sends at once.
fn has_close(heard: &[u8]) -> bool {
    heard.first() == Some(&0x88)
}

/// What a request asks for; an ordinary answer if it does not say.
fn meant(head: &str) -> Does {
    let number = head.split("do=").nth(1).and_then(|rest| rest.split([' ', '&']).next());
    number
        .and_then(|number| DOES.get(number.parse::<usize>().ok()?))
        .copied()
        .unwrap_or(Does::Answers)
}

const IDLE: Duration = Duration::from_secs(600);
const LATE: Duration = Duration::from_millis(300);
const PAUSE: Duration = Duration::from_millis(8);
