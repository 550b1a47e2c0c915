//! The largest messages that pass, in both directions and by both transports.
//!
//! A CONNECT to a namespace that is not there carries the bytes: the server answers it without asking the
//! application, and repeats the name of the namespace, so a long name comes back.
//!
//! Runs at start, at reload, or on a timer.

use std::time::Duration;

use super::ask::Answer;
use super::measured::{Limit, Payload};
use super::packets::{self, Open};
use super::road::{Failure, Road};
use super::session::Session;
use super::socket::End;
use super::trace::{NOWHERE, answered, awaited, open_alone};

/// Looks for the limits up to `bytes_max`, or to what the open packet announces if that is less; without
/// polling by WebSocket alone.
pub(super) async fn payload(
    road: &Road,
    eio: u8,
    (bytes_max, (has_polling, open)): (u64, (bool, Option<&Open>)),
) -> Payload {
    let announced = open.and_then(|open| open.payload_bytes_max);
    let mut payload = Payload { announced, ..Payload::default() };
    let tried = bytes_max.min(payload.announced.unwrap_or(bytes_max)).max(BYTES_MIN);
    payload.tried = tried;
    // Version 3 has no place for them in a CONNECT but the name.
    let up_max = if eio == 3 { tried.min(DOWN_BYTES_MAX) } else { tried };
    if has_polling {
        payload.up_polling = search(up_max, async |bytes| post(road, eio, bytes).await).await;
    }
    let limit = search(up_max, async |bytes| message(road, eio, Padding::auth(eio, bytes)).await);
    payload.up_websocket = limit.await;
    let passed = |limit: &Option<Limit>| limit.as_ref().map_or(0, |limit| limit.passed);
    // What does not come up cannot come down.
    let down = |limit: &Option<Limit>| tried.min(DOWN_BYTES_MAX).min(passed(limit)) / 2;
    let (polling, websocket) = (down(&payload.up_polling), down(&payload.up_websocket));
    if polling >= BYTES_MIN {
        payload.down_polling = search(polling, async |bytes| poll(road, eio, bytes).await).await;
    }
    if websocket >= BYTES_MIN {
        let limit = search(websocket, async |bytes| message(road, eio, Padding::name(bytes)).await);
        payload.down_websocket = limit.await;
    }
    payload
}

/// Tries `bytes_max`, and then halves until something passes. `None` if messages fail for other reasons than
/// their size.
async fn search(bytes_max: u64, passes: impl AsyncFn(u64) -> Result<(), Refusal>) -> Option<Limit> {
    let mut limit = Limit::default();
    let mut bytes = bytes_max;
    while bytes >= BYTES_MIN {
        match passes(bytes).await {
            Ok(()) => {
                limit.passed = bytes;
                break;
            }
            Err(Refusal::Size(how)) => {
                limit.refused = Some(bytes);
                limit.how = how;
            }
            Err(Refusal::Other) => return None,
        }
        bytes /= 2;
    }
    match limit.refused {
        // What passes now was refused by accident.
        Some(refused) if limit.passed > 0 => match passes(refused).await {
            Err(Refusal::Size(_)) => Some(limit),
            Ok(()) | Err(Refusal::Other) => None,
        },
        _ => Some(limit),
    }
}

/// Why a message does not pass.
enum Refusal {
    /// Its size may be the reason, with what came instead.
    Size(String),
    /// Its size is not the reason: there is no session, or the proxy limits requests.
    Other,
}

/// What makes a message long.
struct Padding {
    namespace: String,
    auth: Option<String>,
}

impl Padding {
    /// A message of about `bytes`, and a short answer.
    fn auth(eio: u8, bytes: u64) -> Self {
        if eio == 3 {
            return Self::name(bytes);
        }
        let auth = format!("{{\"doctor\":\"{}\"}}", letters(bytes));
        Self { namespace: NOWHERE.to_owned(), auth: Some(auth) }
    }

    /// A message of about `bytes`, and an answer as long.
    fn name(bytes: u64) -> Self {
        Self { namespace: format!("{NOWHERE}-{}", letters(bytes)), auth: None }
    }

    fn packet(&self, eio: u8) -> String {
        packets::connect(eio, &self.namespace, self.auth.as_deref())
    }
}

/// A body of `bytes`.
async fn post(road: &Road, eio: u8, bytes: u64) -> Result<(), Refusal> {
    let (session, _) = Session::open(road, eio).await.map_err(|_| Refusal::Other)?;
    let posted = session.post(&Padding::auth(eio, bytes).packet(eio)).await;
    session.end().await;
    passed(posted).map(|_| ())
}

/// A response of about `bytes`.
async fn poll(road: &Road, eio: u8, bytes: u64) -> Result<(), Refusal> {
    let (session, _) = Session::open(road, eio).await.map_err(|_| Refusal::Other)?;
    let padding = Padding::name(bytes);
    passed(session.post(&padding.packet(eio)).await)?;
    for _ in 0..POLLS_MAX {
        let answer = passed(session.poll(WITHIN).await)?;
        let found = packets::unwrap(eio, &answer.body);
        let namespace = &padding.namespace;
        if found.iter().any(|packet| packets::connected(packet, namespace).is_some()) {
            session.end().await;
            return Ok(());
        }
    }
    Err(Refusal::Size("the answer did not come".to_owned()))
}

/// `Content-Encoding` of a response that is long enough to be compressed.
pub(super) async fn encoding(road: &Road, eio: u8) -> Option<String> {
    let (session, _) = Session::open(road, eio).await.ok()?;
    passed(session.post(&Padding::name(COMPRESSED_BYTES).packet(eio)).await).ok()?;
    let mut encoding = None;
    for _ in 0..POLLS_MAX {
        let answer = passed(session.poll(WITHIN).await).ok()?;
        encoding = answer.field("content-encoding");
        // A compressed body shows no packets.
        if encoding.is_some() || answer.body.len() > 1_024 {
            break;
        }
    }
    session.end().await;
    encoding
}

/// A message by WebSocket, and its answer.
async fn message(road: &Road, eio: u8, padding: Padding) -> Result<(), Refusal> {
    let (_, opened) = open_alone(road, eio).await;
    let (mut socket, _) = opened.ok_or(Refusal::Other)?;
    let exchanged = async {
        socket.send(&padding.packet(eio)).await?;
        awaited(&mut socket, &padding.namespace, WITHIN).await
    };
    exchanged.await.map_err(|end: End| Refusal::Size(end.to_string()))?;
    socket.close().await;
    Ok(())
}

fn passed(answer: Result<Answer, Failure>) -> Result<Answer, Refusal> {
    match answer {
        Ok(answer) if answer.status == 200 => Ok(answer),
        Ok(answer) => {
            let seen = answered(&answer);
            // Another node does not know the session, or it is not the client's turn.
            let is_other = seen.code == Some(1) || matches!(seen.status, 401 | 403 | 429 | 503);
            Err(if is_other { Refusal::Other } else { Refusal::Size(seen.to_string()) })
        }
        Err(failure) => Err(Refusal::Size(failure.detail)),
    }
}

/// So many, less what else is in a message.
fn letters(bytes: u64) -> String {
    "x".repeat(usize::try_from(bytes.saturating_sub(OTHER_BYTES)).unwrap_or(0))
}

/// The packet without its padding, with some to spare.
const OTHER_BYTES: u64 = 128;

/// Less is not looked for.
const BYTES_MIN: u64 = 1_024;

/// Names are not as long as messages can be.
const DOWN_BYTES_MAX: u64 = 256 * 1024;

/// Something else may come first.
const POLLS_MAX: usize = 4;

/// Servers compress what is longer than 1 KiB.
const COMPRESSED_BYTES: u64 = 8 * 1024;

const WITHIN: Duration = Duration::from_secs(10);
