//! Sessions as text for people.
//!
//! Pure. Runs at start, at reload, or on a timer.

use serde_json::Value;

use super::model::{
    EndedSession, Frame, Handshake, Session, SessionDetail, SessionEnded, Sessions,
};
use super::tables::{table, text};

/// `/sessions`: one line for each open session, then one for each that ended.
pub(crate) fn sessions(answer: &Sessions) -> String {
    let mut rows = vec![TITLES.map(str::to_owned)];
    rows.extend(answer.sessions.iter().map(row));
    let mut shown = table(&rows);
    if answer.matching > answer.shown {
        shown.push_str(&format!("{} of {} sessions\n", answer.shown, answer.matching));
    }
    let ended: Vec<String> = answer.ended.iter().take(ENDED_MAX).map(end).collect();
    if !ended.is_empty() {
        shown.push_str(&format!("\nended last:\n{}\n", ended.join("\n")));
    }
    shown
}

/// `/sessions/{id}`: the session, its moments, its last frames.
pub(crate) fn detail(answer: &SessionDetail) -> String {
    let mut shown = String::new();
    if let Some(session) = &answer.session {
        shown.push_str(&table(&[TITLES.map(str::to_owned), row(session)]));
    }
    if let Some(ended) = &answer.ended {
        shown.push_str(&format!("{}\n", end(ended)));
    }
    shown.push('\n');
    for moment in &answer.timeline {
        let detail = moment.detail.as_deref().map(|detail| format!(": {}", text(detail)));
        let detail = detail.unwrap_or_default();
        shown.push_str(&format!("{:>10.3} s  {}{detail}\n", moment.seconds, text(&moment.what)));
    }
    if !answer.packets.is_empty() {
        shown.push_str("\nlast frames:\n");
    }
    for packet in &answer.packets {
        let (ago, from) = (packet.seconds_ago, text(&packet.from));
        let (opcode, bytes) = (text(&packet.opcode), packet.bytes);
        shown.push_str(&format!("{ago:>10.3} s ago  {from:6}  {opcode}, {bytes} bytes\n"));
    }
    shown
}

/// `/sessions/{id}/end`.
pub(crate) fn ended(answer: &SessionEnded) -> String {
    format!("session {} was told to end\n", text(&answer.id))
}

/// An event of `/tail`.
pub(crate) fn event(name: &str, data: Value) -> String {
    match name {
        "end" => serde_json::from_value(data).map(|ended| end(&ended)).unwrap_or_default(),
        "handshake" => serde_json::from_value(data).map(|one| handshake(&one)).unwrap_or_default(),
        _ => format!("{}: {}", text(name), text(&data.to_string())),
    }
}

/// An event of `/sessions/{id}/watch`.
pub(crate) fn frame(name: &str, data: Value) -> String {
    let frame: Frame = match name {
        "frame" => serde_json::from_value(data).unwrap_or_default(),
        _ => return format!("{}: {}", text(name), text(&data.to_string())),
    };
    let types = [&frame.engineio, &frame.socketio, &frame.namespace, &frame.event, &frame.payload];
    let types: Vec<String> = types.into_iter().flatten().map(|word| text(word)).collect();
    let compressed = if frame.compressed { " compressed" } else { "" };
    let (from, opcode) = (text(&frame.from), text(&frame.opcode));
    let (seconds, bytes) = (frame.seconds, frame.bytes);
    format!("{seconds:>10.3} s  {from:6}  {opcode}{compressed}, {bytes} bytes  {}", types.join(" "))
}

fn handshake(one: &Handshake) -> String {
    let (client, path, node) = (text(&one.client), text(&one.path), text(&one.node));
    let transport = text(&one.transport);
    format!("handshake {client} {path} {transport} {} {node} {} ms", one.status, one.millis)
}

fn end(ended: &EndedSession) -> String {
    let session = &ended.session;
    let (client, route, node) = (text(&session.client), text(&session.route), text(&session.node));
    let code = ended.code.map(|code| format!(" {code}")).unwrap_or_default();
    let cause = ended.cause.as_deref().map(|cause| {
        let explanation = text(ended.explanation.as_deref().unwrap_or_default());
        format!(" {}: {explanation}", text(cause))
    });
    format!(
        "end {} {client} {route} {node} after {:.1} s: {} by {}{code}{}",
        text(&session.id),
        session.age_seconds,
        text(&ended.end),
        text(&ended.by),
        cause.unwrap_or_default()
    )
}

fn row(session: &Session) -> [String; TITLES.len()] {
    let stuck = session.stuck.as_ref().map(|stuck| format!("stuck: {}", stuck.outcome));
    let waiting = session.waiting.then(|| "bytes wait".to_owned());
    let messages = session.messages_from_client + session.messages_from_node;
    let bytes = session.bytes_from_client + session.bytes_from_node;
    [
        text(&session.id),
        text(&session.client),
        text(session.user.as_deref().unwrap_or("-")),
        text(&session.route),
        format!("{}/{}", text(&session.upstream), text(&session.node)),
        text(&session.transport),
        format!("{:.0} s", session.age_seconds),
        format!("{:.0} s", session.idle_seconds),
        messages.to_string(),
        bytes.to_string(),
        text(&stuck.or(waiting).unwrap_or_default()),
    ]
}

const TITLES: [&str; 11] = [
    "id",
    "client",
    "user",
    "route",
    "node",
    "transport",
    "age",
    "idle",
    "messages",
    "bytes",
    "remark",
];

/// How many ends a list shows.
const ENDED_MAX: usize = 10;
