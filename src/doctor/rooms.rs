//! Messages to a room, sent on each node and compared on all.
//!
//! The application answers `sockeye:join` and `sockeye:say` in a namespace of its own, by ten lines that
//! docs/doctor.md shows.
//!
//! Runs at start, at reload, or on a timer.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::measured::{Arrival, Arrived, RoomPair, Rooms};
use super::packets::{self, Connected};
use super::road::{Road, STEP, millis};
use super::socket::{End, Socket};
use super::trace::open_alone;
use crate::Instant;

/// A client in the room.
struct Member {
    node: String,
    socket: Box<Socket>,
    fields: Value,
}

/// Compares what members on all nodes receive. Nodes past the proxy are each joined; without them those
/// that the URL leads to.
pub(super) async fn rooms(
    road: &Road,
    nodes: &[(String, Road)],
    (eio, namespace): (u8, &str),
) -> (Rooms, Option<Arrival>) {
    let room = format!("sockeye-doctor-{:016x}", fastrand::u64(..));
    let mut members = Vec::<Member>::new();
    let failed = |failed: String| (Rooms { failed: Some(failed), ..Rooms::default() }, None);
    let first = match join(road, eio, (namespace, &room)).await {
        Ok(first) => first,
        Err(why) => return failed(why),
    };
    let arrival = arrival(road, &first);
    if nodes.is_empty() {
        members.push(first);
        for _ in 0..JOINS_MAX {
            match join(road, eio, (namespace, &room)).await {
                Ok(member) if members.iter().all(|found| found.node != member.node) => {
                    members.push(member)
                }
                Ok(member) => member.socket.close().await,
                Err(why) => return failed(why),
            }
        }
    } else {
        first.socket.close().await;
        for (name, road) in nodes {
            match join(road, eio, (namespace, &room)).await {
                // Two addresses may be one process, so the address is the name.
                Ok(member) => members.push(Member { node: name.clone(), ..member }),
                Err(why) => return failed(format!("{name}: {why}")),
            }
        }
    }
    let names = members.iter().map(|member| member.node.clone()).collect();
    let pairs = exchange(road, members, (namespace, &room)).await;
    (Rooms { failed: None, nodes: names, pairs }, arrival)
}

async fn join(road: &Road, eio: u8, (namespace, room): (&str, &str)) -> Result<Member, String> {
    let (outcome, opened) = open_alone(road, eio).await;
    let (mut socket, _) = opened.ok_or_else(|| outcome.to_string())?;
    let joined = async {
        socket.send(&packets::connect(eio, namespace, None)).await?;
        loop {
            let message = next(&mut socket, STEP).await?;
            match packets::connected(&message, namespace) {
                Some(Connected::Yes) => break,
                Some(Connected::Refused(why)) => return Ok(Err(why)),
                None => (),
            }
        }
        socket.send(&format!("42{namespace},1{}", json!(["sockeye:join", room]))).await?;
        let answer = format!("43{namespace},1");
        loop {
            let message = next(&mut socket, STEP).await?;
            if let Some(answer) = message.strip_prefix(&answer) {
                return Ok(Ok(serde_json::from_str::<Value>(answer).unwrap_or_default()));
            }
        }
    };
    let answered: Result<Result<Value, String>, End> = match timeout(STEP, joined).await {
        Ok(answered) => answered,
        Err(_elapsed) => Err(End::Silent),
    };
    match answered {
        Ok(Ok(answer)) => {
            let told = answer.get(0).cloned().unwrap_or_default();
            let node = told.get("node").and_then(Value::as_str).unwrap_or("unnamed");
            let node = node.chars().filter(|c| !c.is_control()).take(NAME_CHARS).collect();
            let fields = told.get("fields").cloned().unwrap_or_default();
            Ok(Member { node, socket, fields })
        }
        Ok(Err(why)) => Err(format!(
            "the application does not have the namespace {namespace} ({why}): add the ten lines of \
             docs/doctor.md"
        )),
        Err(end) => {
            Err(format!("no answer to sockeye:join ({end}): add the ten lines of docs/doctor.md"))
        }
    }
}

async fn next(socket: &mut Socket, within: Duration) -> Result<String, End> {
    let message = String::from_utf8_lossy(&socket.receive(within).await?).into_owned();
    if message == "2" {
        socket.send("3").await?;
    }
    Ok(message)
}

/// Each member sends, and all listen.
async fn exchange(
    road: &Road,
    members: Vec<Member>,
    (namespace, room): (&str, &str),
) -> Vec<RoomPair> {
    let (count, begun) = (members.len(), Instant::now());
    let mut reports = Vec::new();
    for (index, member) in members.into_iter().enumerate() {
        let (tell, told) = oneshot::channel();
        let (namespace, room) = (namespace.to_owned(), room.to_owned());
        road.tasks.spawn(async move {
            // Who waits for it is there until the deadline.
            let member = (index, count, member.socket);
            let _ = tell.send(speak_and_listen(member, (&namespace, &room), begun).await);
        });
        reports.push(told);
    }
    let mut heard = Vec::new();
    for report in reports {
        heard.push(report.await.unwrap_or_default());
    }
    let sent: HashMap<(usize, u32), Duration> = heard
        .iter()
        .enumerate()
        .flat_map(|(from, report)| {
            report.sent.iter().map(move |(number, at)| ((from, *number), *at))
        })
        .collect();
    let pairs = (0..count).flat_map(|from| (0..count).map(move |to| (from, to)));
    pairs.map(|(from, to)| pair((from, to), &sent, &heard)).collect()
}

fn pair(
    (from, to): (usize, usize),
    sent: &HashMap<(usize, u32), Duration>,
    heard: &[Report],
) -> RoomPair {
    let mut delays = HashMap::<u32, (Duration, u32)>::new();
    let received = heard.get(to).map(|report| report.received.as_slice()).unwrap_or_default();
    for (sender, number, at) in received.iter().filter(|(sender, ..)| *sender == from) {
        if let Some(began) = sent.get(&(*sender, *number)) {
            let delay = at.saturating_sub(*began);
            delays.entry(*number).or_insert((delay, 0)).1 += 1;
        }
    }
    let mut times: Vec<u64> = delays.values().map(|(delay, _)| millis(*delay)).collect();
    times.sort_unstable();
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    RoomPair {
        from,
        to,
        sent: number(sent.keys().filter(|(sender, _)| *sender == from).count()),
        arrived: number(times.len()),
        doubled: number(delays.values().filter(|(_, times)| *times > 1).count()),
        median_ms: times.get(times.len() / 2).copied(),
    }
}

/// What a member has sent and received, each with its time since the begin.
#[derive(Default)]
struct Report {
    sent: Vec<(u32, Duration)>,
    received: Vec<(usize, u32, Duration)>,
}

async fn speak_and_listen(
    (index, members, mut socket): (usize, usize, Box<Socket>),
    (namespace, room): (&str, &str),
    begun: Instant,
) -> Report {
    let (mut report, prefix) = (Report::default(), format!("42{namespace},"));
    let all = usize::try_from(MESSAGES).unwrap_or(usize::MAX).saturating_mul(members);
    let mut number = 0;
    loop {
        let listen = if report.received.len() < all { LISTEN_MAX } else { LISTEN };
        let left = (EVERY * MESSAGES + listen).saturating_sub(begun.elapsed());
        if left.is_zero() || report.received.len() > all.saturating_mul(4) {
            break;
        }
        let due = EVERY * (number + 1);
        let until_due = due.saturating_sub(begun.elapsed());
        if number < MESSAGES && until_due.is_zero() {
            let id = format!("{index} {number}");
            let said = format!("{prefix}{}", json!(["sockeye:say", room, id]));
            report.sent.push((number, begun.elapsed()));
            if socket.send(&said).await.is_err() {
                break;
            }
            number += 1;
            continue;
        }
        let within = if number < MESSAGES { until_due.min(left) } else { left };
        match next(&mut socket, within).await {
            Ok(message) => report.received.extend(said(&message, &prefix, begun.elapsed())),
            Err(End::Silent) => (),
            Err(_) => break,
        }
    }
    socket.close().await;
    report
}

fn said(message: &str, prefix: &str, at: Duration) -> Option<(usize, u32, Duration)> {
    let event: Value = serde_json::from_str(message.strip_prefix(prefix)?).ok()?;
    let id =
        event.get(1).filter(|_| event.get(0).and_then(Value::as_str) == Some("sockeye:said"))?;
    let (sender, number) = id.as_str()?.split_once(' ')?;
    Some((sender.parse().ok()?, number.parse().ok()?, at))
}

/// The fields that the application got, if it tells them.
fn arrival(road: &Road, member: &Member) -> Option<Arrival> {
    let fields = member.fields.as_object()?.iter().take(FIELDS_MAX).filter_map(|(name, value)| {
        let is_secret = matches!(name.as_str(), "authorization" | "cookie");
        let value = if is_secret { "(there)" } else { value.as_str()? };
        Some((name.to_ascii_lowercase(), value.chars().take(200).collect()))
    });
    let target = road.target.engineio(4, "websocket", None);
    let arrived =
        Some(Arrived { version: String::new(), target: target.clone(), fields: fields.collect() });
    Some(Arrival {
        listened: "the application".to_owned(),
        failed: None,
        polling: arrived.clone(),
        websocket: arrived,
        streams: None,
        host_sent: road.target.authority.clone(),
        target_sent: target,
    })
}

/// Through a URL, how often another node is looked for.
const JOINS_MAX: usize = 12;

/// Each member sends so many messages.
const MESSAGES: u32 = 10;

const EVERY: Duration = Duration::from_millis(50);

/// How long all listen after the last message, for messages that come twice.
const LISTEN: Duration = Duration::from_secs(4);

/// How long they listen if messages are missing: those by a slow Redis are late, and not lost.
const LISTEN_MAX: Duration = Duration::from_secs(15);

const NAME_CHARS: usize = 80;

const FIELDS_MAX: usize = 64;
