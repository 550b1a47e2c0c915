//! Clients that behave: all that they say comes back once, whole and in order, however many others
//! break off.

use std::sync::Arc;
use std::time::Duration;

use super::stage::Stage;
use crate::support::websocket::{close, frame, open, text};
use crate::support::{Client, request};

/// Sends messages of all sizes through one tunnel and hears each once, until it is over.
pub async fn echo(stage: Arc<Stage>, number: usize) {
    let mut client = open(stage.proxy, "/raw").await;
    let mut turns = stage.turns(ECHO_PACE);
    while let Some(turn) = turns.next().await {
        let lengths = LENGTHS[(turn + number) % LENGTHS.len()];
        if !hears_all(&stage, &mut client, number * 1_000_000 + turn * 10, lengths).await {
            return;
        }
    }
    client.send(close(1000)).await;
    let last = client.frame().await;
    let good_bye = Some((8, 1000_u16.to_be_bytes().to_vec()));
    stage.expect("echo tunnels to the end", last == good_bye, || brief(last.as_ref()));
}

/// Opens a tunnel at each turn, uses it, and leaves, each time in another way.
pub async fn churn(stage: Arc<Stage>, number: usize) {
    let mut turns = stage.turns(CHURN_PACE);
    while let Some(turn) = turns.next().await {
        let mut client = open(stage.proxy, "/raw").await;
        let lengths = LENGTHS[(turn / LEAVES + number) % LENGTHS.len()];
        if !hears_all(&stage, &mut client, turn * 10, lengths).await {
            continue;
        }
        leave(&stage, client, turn + number).await;
    }
}

/// The same with sessions of Engine.IO that begin as WebSockets.
pub async fn churn_sessions(stage: Arc<Stage>, number: usize) {
    let mut turns = stage.turns(CHURN_PACE);
    while let Some(turn) = turns.next().await {
        let mut client = open(stage.proxy, "/socket.io/?EIO=4&transport=websocket").await;
        let opened = client.frame().await;
        client.send(text("40")).await;
        let connected = client.frame().await;
        client.send(text(&format!("420[\"echo\",{turn}]"))).await;
        let heard = client.frame().await;
        let holds = heard == Some((1, format!("430[{turn}]").into_bytes()));
        stage.expect("sessions by WebSocket", holds, || {
            format!(
                "{} {} {}",
                brief(opened.as_ref()),
                brief(connected.as_ref()),
                brief(heard.as_ref())
            )
        });
        if holds {
            leave(&stage, client, turn + number).await;
        }
    }
}

/// Opens a session of this version by polling at each turn and speaks; one in three says good-bye, the
/// others break off a poll that pends.
pub async fn poll(stage: Arc<Stage>, version: usize) {
    let mut turns = stage.turns(POLL_PACE);
    // Broken off at the next turn, when it pends at the node.
    let mut pending: Option<Client> = None;
    while let Some(turn) = turns.next().await {
        if let Some(client) = pending.take() {
            stage.count("polls broken off", 1);
            let reset = turn % 2 == 0 && client.stream.set_zero_linger().is_ok();
            stage.count(if reset { "resets" } else { "closed without a word" }, 1);
        }
        let mut client = Client::connect(stage.proxy).await;
        let target = match speak_by_polling(&mut client, version, turn).await {
            Ok(target) => target,
            Err(saw) => {
                stage.fault(format!("session by polling, EIO={version}: {saw}"));
                continue;
            }
        };
        stage.count("sessions by polling", 1);
        if turn % 3 == 0 {
            let good_bye = post(&mut client, version, &target, "1").await;
            stage.expect("good-byes by POST", good_bye == "ok", || good_bye.clone());
        } else {
            client.send(request("GET", &target, &[], "")).await;
            pending = Some(client);
        }
    }
}

/// Opens a session, and sends an echo until its answer is polled. Gives the session's target.
async fn speak_by_polling(
    client: &mut Client,
    version: usize,
    turn: usize,
) -> Result<String, String> {
    let target = format!("/socket.io/?EIO={version}&transport=polling");
    let opened = client.get(&target).await.text();
    let sid = opened.split('"').nth(3).ok_or_else(|| opened.clone())?;
    let target = format!("{target}&sid={sid}");
    if version == 4 {
        post(client, version, &target, "40").await;
    }
    let posted = post(client, version, &target, &format!("420[\"echo\",{turn}]")).await;
    let answer = format!("430[{turn}]");
    let mut heard = Vec::new();
    for _ in 0..POLLS_MAX {
        let polled = client.get(&target).await.text();
        if polled.contains(&answer) {
            return Ok(target);
        }
        heard.push(polled);
    }
    Err(format!("{opened:?}, {posted:?}, {heard:?}"))
}

/// Posts one packet, written as the version writes it.
async fn post(client: &mut Client, version: usize, target: &str, packet: &str) -> String {
    let body = match version {
        3 => format!("{}:{packet}", packet.len()),
        _ => packet.to_owned(),
    };
    client.send(request("POST", target, &["Content-Type: text/plain"], &body)).await;
    client.response().await.text()
}

/// Sends messages of these lengths, one behind the other, and says whether they came back like that.
async fn hears_all(stage: &Stage, client: &mut Client, seed: usize, lengths: &[usize]) -> bool {
    let messages: Vec<Vec<u8>> =
        lengths.iter().enumerate().map(|(at, length)| message(seed + at, *length)).collect();
    for message in &messages {
        client.send(frame(2, message, Some([7, 17, 27, 37]))).await;
    }
    for said in messages {
        let length = said.len();
        let heard = client.frame().await;
        if heard != Some((2, said)) {
            stage.fault(format!("{length} bytes came back as {}", brief(heard.as_ref())));
            return false;
        }
        stage.count("messages echoed", 1);
        stage.count("bytes echoed", length);
    }
    true
}

/// Ends a tunnel on which nothing is under way.
async fn leave(stage: &Stage, mut client: Client, turn: usize) {
    let unfinished = frame(2, &message(turn, 20_000), Some([9, 8, 7, 6]));
    stage.count("tunnels opened and left", 1);
    match turn % LEAVES {
        0 => {
            client.send(close(1000)).await;
            client.until_end().await;
            stage.count("closed with a Close", 1);
        }
        1 => stage.count("closed without a word", 1),
        2 => {
            client.stream.set_zero_linger().unwrap();
            stage.count("resets", 1);
        }
        3 => {
            client.send(&unfinished[..9_000]).await;
            stage.count("closed within a frame", 1);
        }
        _ => {
            client.send(&unfinished[..3]).await;
            client.stream.set_zero_linger().unwrap();
            stage.count("resets within a frame", 1);
        }
    }
}

/// Bytes that tell which message they are, and are unlike at each place of it.
fn message(seed: usize, length: usize) -> Vec<u8> {
    let mut state = seed as u64 * 2 + 1;
    let words = std::iter::repeat_with(|| {
        // Xorshift (Marsaglia, 2003).
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.take(length / 8 + 1).flatten().take(length).collect()
}

/// A frame as a fault tells it.
fn brief(frame: Option<&(u8, Vec<u8>)>) -> String {
    match frame {
        None => "the end".to_owned(),
        Some((opcode, payload)) => {
            let start = &payload[..payload.len().min(40)];
            format!("{opcode}, {} bytes, {:?}", payload.len(), String::from_utf8_lossy(start))
        }
    }
}

/// What is sent at once: all forms of a frame's length, and messages that fill buffers. One behind the
/// other they fit into the sockets, so that sending before reading is no deadlock.
const LENGTHS: [&[usize]; 8] = [
    &[5, 60, 125],
    &[16_384],
    &[126, 2_000],
    &[300_000],
    &[1, 16_384, 3],
    &[65_535],
    &[65_536, 10],
    &[800],
];

/// In how many ways a client leaves.
const LEAVES: usize = 5;

/// An echo server may tell of a connect, or of a ping, before it answers.
const POLLS_MAX: usize = 4;

const ECHO_PACE: Duration = Duration::from_millis(250);
const CHURN_PACE: Duration = Duration::from_millis(250);
const POLL_PACE: Duration = Duration::from_millis(500);
