//! The way of a client step by step: name, connection, handshake, CONNECT, upgrade, and a WebSocket alone.
//!
//! Runs at start, at reload, or on a timer.

use std::cell::Cell;
use std::time::Duration;

use http::header::{HeaderMap, SET_COOKIE};
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::ask::{Answer, Line, Switch, switch};
use super::observations::{Answered, Greeting, Handshake, SocketOutcome, Step, Trace};
use super::packets::{self, Connected, Open};
use super::road::{Failure, Road, STEP, millis};
use super::session::{Refused, Session, pace};
use super::socket::{End, Socket};
use crate::Instant;

/// A namespace that no application has. The server answers a CONNECT to it without asking the application,
/// so it does for an echo.
pub(super) const NOWHERE: &str = "/sockeye-doctor-nowhere";

/// Takes the way once. What fails ends it, except that a WebSocket alone is tried anyway where polling is refused.
pub(super) async fn trace(road: &Road, eio: u8, begin: Trace) -> Trace {
    let mut trace = begin;
    trace.addresses = road.addresses().iter().map(ToString::to_string).collect();
    let begun = Instant::now();
    let mut line = match Line::open(road).await {
        Ok(line) => line,
        Err(failure) => {
            let name = if road.target.tls { "connect and TLS" } else { "connect" };
            trace.fail(name, &failure);
            trace.handshake = Some(Handshake::Failed(failure));
            return trace;
        }
    };
    trace.done("connect", line.tcp, road.target.address());
    if let Some(tls) = line.tls.clone() {
        let alpn = tls.alpn.as_deref().unwrap_or("no ALPN");
        let detail = format!("{}, {alpn}", tls.version);
        trace.done("TLS", Duration::from_millis(tls.took_ms), detail);
        trace.tls = Some(tls);
    }
    debug_assert!(begun.elapsed() <= 3 * STEP, "connecting has deadlines");
    let session = handshake(&mut trace, &mut line, (road, eio)).await;
    if trace.is_too_old(eio) {
        return trace;
    }
    if let Some(session) = session {
        greet(&mut trace, &session).await;
        upgrade(&mut trace, &session).await;
    }
    if is_engineio(&trace) {
        alone(&mut trace, road, eio).await;
    }
    trace
}

/// Whether Engine.IO answered, even with a refusal. Other servers drop the connection of a WebSocket that they
/// do not expect, and nginx then takes the node for failed, for all clients.
fn is_engineio(trace: &Trace) -> bool {
    match &trace.handshake {
        Some(Handshake::Opened { .. }) => true,
        Some(Handshake::Answered(answered)) => answered.code.is_some(),
        Some(Handshake::Failed(_)) | None => false,
    }
}

async fn handshake<'a>(
    trace: &mut Trace,
    line: &mut Line<'_>,
    (road, eio): (&'a Road, u8),
) -> Option<Session<'a>> {
    const NAME: &str = "polling handshake";
    match Session::open_on(line, road, eio).await {
        Ok((session, answer)) => {
            trace.done(NAME, Duration::from_millis(answer.took_ms), describe(&session.open));
            let cookie = answer.fields.get_all(SET_COOKIE).iter().next();
            let cookie =
                cookie.and_then(|cookie| Some(cookie.to_str().ok()?.split('=').next()?.trim()));
            let cookie = cookie.map(|name| name.chars().take(64).collect());
            trace.handshake = Some(Handshake::Opened { open: session.open.clone(), cookie });
            Some(session)
        }
        Err(Refused::Answered(answer)) => {
            let seen = answered(&answer);
            trace.refuse(NAME, answer.took_ms, &seen);
            trace.handshake = Some(Handshake::Answered(seen));
            None
        }
        Err(Refused::Failed(failure)) => {
            trace.fail(NAME, &failure);
            trace.handshake = Some(Handshake::Failed(failure));
            None
        }
    }
}

/// Connects to the main namespace.
async fn greet(trace: &mut Trace, session: &Session<'_>) {
    const NAME: &str = "first event";
    let begun = Instant::now();
    if session.is_connected {
        trace.done(NAME, begun.elapsed(), "connected to / by the handshake");
        trace.connected = Some(Greeting::Connected);
        return;
    }
    // Servers of version 3 connect by themselves.
    let posted = match session.eio {
        3 => Ok(()),
        eio => match session.post(&packets::connect(eio, "/", None)).await {
            Ok(answer) if answer.status == 200 => Ok(()),
            Ok(answer) => Err((answer.took_ms, answered(&answer))),
            Err(failure) => return trace.fail(NAME, &failure),
        },
    };
    if let Err((took_ms, seen)) = posted {
        return trace.refuse(NAME, took_ms, &seen);
    }
    let greeting = match session.connected("/", STEP).await {
        Some(Connected::Yes) => Greeting::Connected,
        Some(Connected::Refused(message)) => Greeting::Refused { message },
        None => {
            let step = Step::new(NAME, begun.elapsed(), "no answer to the CONNECT");
            return trace.steps.push(Step { ok: false, ..step });
        }
    };
    let detail = match &greeting {
        Greeting::Connected => "connected to /".to_owned(),
        Greeting::Refused { message } => format!("the application refuses: {message}"),
    };
    trace.done(NAME, begun.elapsed(), detail);
    trace.connected = Some(greeting);
}

/// The upgrade as clients do it: the probe while a poll is pending, then the change.
async fn upgrade(trace: &mut Trace, session: &Session<'_>) {
    if !session.open.offers_websocket {
        trace.upgrade = Some(SocketOutcome::NotOffered);
        let step = Step::new("probe", Duration::ZERO, "the server offers no WebSocket");
        return trace.steps.push(Step { took_ms: None, ..step });
    }
    let (stop, begun) = (Cell::new(false), Instant::now());
    let (tell, told) = oneshot::channel();
    let polling = async {
        while !stop.get() {
            let asked = Instant::now();
            if !session.poll(POLL_WITHIN).await.is_ok_and(|poll| poll.status == 200) {
                break;
            }
            if !stop.get() {
                pace(asked).await;
            }
        }
        let _ = tell.send(());
        std::future::pending::<SocketOutcome>().await
    };
    let outcome = tokio::select! {
        outcome = dance(trace, session, (&stop, told)) => outcome,
        outcome = polling => outcome,
    };
    if outcome != SocketOutcome::Works {
        trace.socket_step("upgrade", begun, &outcome);
    }
    trace.upgrade = Some(outcome);
}

async fn dance(
    trace: &mut Trace,
    session: &Session<'_>,
    (stop, told): (&Cell<bool>, oneshot::Receiver<()>),
) -> SocketOutcome {
    let begun = Instant::now();
    let mut socket = match session.upgrade().await {
        Switch::Open(socket, _) => socket,
        Switch::Answered(answer) => return SocketOutcome::Answered(answered(&answer)),
        Switch::Failed(failure) => return SocketOutcome::Failed(failure),
    };
    let probe = async {
        socket.send("2probe").await?;
        while socket.receive(STEP).await? != b"3probe" {}
        Ok(())
    };
    if let Err(end) = timeout(STEP, probe).await.unwrap_or(Err(End::Silent)) {
        return SocketOutcome::Mute { awaited: "the answer to the probe", end };
    }
    trace.done("probe", begun.elapsed(), "101, 3probe");
    let begun = Instant::now();
    stop.set(true);
    let ended = timeout(STEP, told).await.is_ok();
    trace.noop_ms = Some(millis(begun.elapsed()));
    if !ended {
        return SocketOutcome::Mute { awaited: "the end of the pending poll", end: End::Silent };
    }
    let changed = async {
        socket.send("5").await?;
        echo(&mut socket, session.eio, NOWHERE).await
    };
    match changed.await {
        Ok(_) => trace.done("upgrade", begun.elapsed(), "messages pass"),
        Err(end) => return SocketOutcome::Mute { awaited: "a message after the upgrade", end },
    }
    socket.close().await;
    SocketOutcome::Works
}

async fn alone(trace: &mut Trace, road: &Road, eio: u8) {
    let begun = Instant::now();
    let (outcome, socket) = open_alone(road, eio).await;
    if let Some((socket, open)) = socket {
        socket.close().await;
        trace.alone_open = Some(open);
    }
    trace.socket_step("WebSocket alone", begun, &outcome);
    trace.alone = Some(outcome);
}

/// A WebSocket without polling, up to the first exchange of messages.
pub(super) async fn open_alone(
    road: &Road,
    eio: u8,
) -> (SocketOutcome, Option<(Box<Socket>, Open)>) {
    let target = road.target.engineio(eio, "websocket", None);
    let mut socket = match switch(road, target, HeaderMap::new()).await {
        Switch::Open(socket, _) => socket,
        Switch::Answered(answer) => return (SocketOutcome::Answered(answered(&answer)), None),
        Switch::Failed(failure) => return (SocketOutcome::Failed(failure), None),
    };
    let mute = |awaited, end| (SocketOutcome::Mute { awaited, end }, None);
    let open = match socket.receive(STEP).await {
        Ok(frame) => Open::in_frame(&frame),
        Err(end) => return mute("the open packet", end),
    };
    let Some(open) = open else {
        let detail = "the first message is no open packet".to_owned();
        return mute("the open packet", End::Malformed { detail });
    };
    match echo(&mut socket, eio, NOWHERE).await {
        Ok(_) => (SocketOutcome::Works, Some((socket, open))),
        Err(end) => mute("a message", end),
    }
}

/// Sends a CONNECT to a namespace that is not there, and waits for the answer. Gives the time between.
/// Answers heartbeats on the way.
pub(super) async fn echo(socket: &mut Socket, eio: u8, namespace: &str) -> Result<Duration, End> {
    let begun = Instant::now();
    socket.send(&packets::connect(eio, namespace, None)).await?;
    awaited(socket, namespace, STEP).await?;
    Ok(begun.elapsed())
}

/// Waits for the answer to a CONNECT to `namespace`.
pub(super) async fn awaited(
    socket: &mut Socket,
    namespace: &str,
    within: Duration,
) -> Result<(), End> {
    let answered = async {
        loop {
            let message = socket.receive(within).await?;
            let text = String::from_utf8_lossy(&message);
            if text == "2" {
                socket.send("3").await?;
            } else if packets::connected(&text, namespace).is_some() {
                return Ok(());
            }
        }
    };
    timeout(within, answered).await.unwrap_or(Err(End::Silent))
}

/// What matters of an unexpected answer.
pub(super) fn answered(answer: &Answer) -> Answered {
    let json: Option<Value> = serde_json::from_slice(&answer.body).ok();
    let code = json.as_ref().and_then(|json| json.get("code"));
    let code = code.and_then(|code| code.as_u64().or_else(|| code.as_str()?.parse().ok()));
    let is_unknown = crate::engineio::is_unknown_sid(answer.status, &answer.body);
    Answered {
        status: answer.status,
        location: answer.field("location").map(|location| location.chars().take(200).collect()),
        code: if is_unknown { Some(1) } else { code },
        body: answer.excerpt(),
    }
}

fn describe(open: &Open) -> String {
    let upgrades = if open.offers_websocket { "websocket" } else { "none" };
    let number =
        |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    format!(
        "pingInterval {}, pingTimeout {}, maxPayload {}, upgrades: {upgrades}",
        number(open.ping_interval_ms),
        number(open.ping_timeout_ms),
        number(open.payload_bytes_max)
    )
}

impl Step {
    fn new(name: &'static str, took: Duration, detail: impl Into<String>) -> Self {
        Self { name, took_ms: Some(millis(took)), ok: true, detail: detail.into() }
    }
}

impl Trace {
    /// Adds a step that succeeded.
    pub(super) fn done(&mut self, name: &'static str, took: Duration, detail: impl Into<String>) {
        self.steps.push(Step::new(name, took, detail));
    }

    /// Adds a step that failed.
    pub(super) fn fail(&mut self, name: &'static str, failure: &Failure) {
        let took = Duration::from_millis(failure.after_ms);
        self.steps.push(Step { ok: false, ..Step::new(name, took, failure.detail.clone()) });
    }

    fn refuse(&mut self, name: &'static str, took_ms: u64, seen: &Answered) {
        let step = Step::new(name, Duration::from_millis(took_ms), seen.to_string());
        self.steps.push(Step { ok: false, ..step });
    }

    fn socket_step(&mut self, name: &'static str, begun: Instant, outcome: &SocketOutcome) {
        let step = Step::new(name, begun.elapsed(), outcome.to_string());
        self.steps.push(Step { ok: *outcome == SocketOutcome::Works, ..step });
    }
}

/// Longer than the heartbeat that ends a poll by default.
const POLL_WITHIN: Duration = Duration::from_secs(60);
