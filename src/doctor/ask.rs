//! Requests over HTTP/1.1, each with a bound in time and size.
//!
//! Runs at start, at reload, or on a timer.

use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::time::timeout;

use super::road::{Failure, FailureKind, Road, STEP, TlsFacts, millis};
use super::socket::Socket;
use crate::Instant;

/// A request.
#[derive(Clone)]
pub(super) struct Ask {
    pub(super) method: Method,
    /// Path and query.
    pub(super) target: String,
    pub(super) fields: HeaderMap<HeaderValue>,
    pub(super) body: Bytes,
    /// How long the whole answer may take.
    pub(super) within: Duration,
}

impl Ask {
    /// A GET.
    pub(super) fn get(target: String) -> Self {
        let (fields, body) = (HeaderMap::new(), Bytes::new());
        Self { method: Method::GET, target, fields, body, within: STEP }
    }

    /// A POST of text.
    pub(super) fn post(target: String, body: String) -> Self {
        let ask = Self { method: Method::POST, body: body.into(), ..Self::get(target) };
        ask.with("content-type", "text/plain;charset=UTF-8")
    }

    /// With one more field; an invalid value is left out.
    pub(super) fn with(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.fields.insert(HeaderName::from_static(name), value);
        }
        self
    }

    /// With another deadline.
    pub(super) fn within(self, within: Duration) -> Self {
        Self { within, ..self }
    }
}

/// A complete answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) fields: HeaderMap<HeaderValue>,
    pub(super) body: Bytes,
    /// From the request to the last byte, in milliseconds.
    pub(super) took_ms: u64,
}

impl Answer {
    /// All values of a field, joined as one.
    pub(super) fn field(&self, name: &str) -> Option<String> {
        joined(&self.fields, name)
    }

    /// The first characters of the body, on one line.
    pub(super) fn excerpt(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        let printable = text.chars().take(EXCERPT_CHARS).collect::<String>();
        super::text::clean(&printable).trim().to_owned()
    }
}

/// All values of a field, joined as one.
pub(super) fn joined(fields: &HeaderMap<HeaderValue>, name: &str) -> Option<String> {
    let values: Vec<String> = fields.get_all(name).iter().map(shown).collect();
    (!values.is_empty()).then(|| values.join(", "))
}

/// The value of a field as text, cut to what a person reads.
pub(super) fn shown(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).chars().take(VALUE_CHARS).collect()
}

/// A connection that is kept for several requests.
pub(super) struct Line<'a> {
    road: &'a Road,
    sender: SendRequest<Full<Bytes>>,
    /// How long the connect took.
    pub(super) tcp: Duration,
    /// `None` without TLS.
    pub(super) tls: Option<TlsFacts>,
}

impl<'a> Line<'a> {
    /// A new connection.
    pub(super) async fn open(road: &'a Road) -> Result<Self, Failure> {
        let connected = road.connect(&[b"http/1.1"]).await?;
        let begun = Instant::now();
        let (sender, connection) = http1::handshake(TokioIo::new(connected.stream))
            .await
            .map_err(|error| failure(&error, begun))?;
        road.tasks.spawn(async move {
            // The request that waits for it gets the error.
            let _ = connection.with_upgrades().await;
        });
        Ok(Self { road, sender, tcp: connected.tcp, tls: connected.tls })
    }

    /// Sends a request, and reads the whole answer.
    pub(super) async fn ask(&mut self, ask: Ask) -> Result<Answer, Failure> {
        let (begun, within) = (Instant::now(), ask.within);
        let exchange = async {
            let response = self.send(ask, begun).await?;
            read(response, begun).await
        };
        timeout(within, exchange).await.unwrap_or_else(|_elapsed| Err(late(begun)))
    }

    /// Sends a request, and gives the times until the first and the last byte of the body.
    pub(super) async fn first_and_last(
        &mut self,
        ask: Ask,
    ) -> Result<(Duration, Duration), Failure> {
        let (begun, within) = (Instant::now(), ask.within);
        let exchange = async {
            let mut body = self.send(ask, begun).await?.into_body();
            let mut first = None;
            while let Some(frame) = body.frame().await {
                frame.map_err(|error| failure(&error, begun))?;
                first.get_or_insert_with(|| begun.elapsed());
            }
            Ok((first.unwrap_or_default(), begun.elapsed()))
        };
        timeout(within, exchange).await.unwrap_or_else(|_elapsed| Err(late(begun)))
    }

    async fn send(&mut self, ask: Ask, begun: Instant) -> Result<Response<Incoming>, Failure> {
        let bad = |detail: String| Failure::new(FailureKind::NotHttp, detail, begun);
        let mut request = Request::builder()
            .method(ask.method)
            .uri(ask.target)
            .body(Full::new(ask.body))
            .map_err(|error| bad(error.to_string()))?;
        let host = HeaderValue::from_str(&self.road.target.authority);
        let fields = request.headers_mut();
        fields.insert(HOST, host.map_err(|error| bad(error.to_string()))?);
        fields.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        for (name, value) in self.road.fields.iter() {
            fields.append(name, value.clone());
        }
        for (name, value) in ask.fields.iter() {
            match (name.as_str(), fields.get(name)) {
                // The operator's cookies and the server's are one list.
                ("cookie", Some(own)) => {
                    let both = [own.as_bytes(), b"; ", value.as_bytes()].concat();
                    fields.insert(
                        name,
                        HeaderValue::from_bytes(&both).unwrap_or_else(|_| value.clone()),
                    );
                }
                _ => drop(fields.insert(name, value.clone())),
            }
        }
        let sent = async {
            self.sender.ready().await?;
            self.sender.send_request(request).await
        };
        sent.await.map_err(|error| failure(&error, begun))
    }
}

/// Sends a request on a connection of its own; again, if it is refused for a moment.
pub(super) async fn ask(road: &Road, ask: Ask) -> Result<Answer, Failure> {
    let mut tries = 0;
    loop {
        let answer = Line::open(road).await?.ask(ask.clone()).await?;
        tries += 1;
        if !road.manners.wait(&answer, tries).await {
            return Ok(answer);
        }
    }
}

/// What became of a WebSocket handshake.
pub(super) enum Switch {
    /// It is open; with the fields of the 101.
    Open(Box<Socket>, HeaderMap<HeaderValue>),
    /// It was answered by something else.
    Answered(Answer),
    /// There was no answer.
    Failed(Failure),
}

/// Asks for a WebSocket on a connection of its own.
pub(super) async fn switch(road: &Road, target: String, fields: HeaderMap<HeaderValue>) -> Switch {
    let mut tries = 0;
    loop {
        let begun = Instant::now();
        let tried = try_switch(road, target.clone(), fields.clone(), begun);
        let switch = match timeout(STEP, tried).await {
            Ok(Ok(switch)) => switch,
            Ok(Err(failure)) => Switch::Failed(failure),
            Err(_elapsed) => Switch::Failed(late(begun)),
        };
        let Switch::Answered(answer) = &switch else { return switch };
        tries += 1;
        if !road.manners.wait(answer, tries).await {
            return switch;
        }
    }
}

async fn try_switch(
    road: &Road,
    target: String,
    fields: HeaderMap<HeaderValue>,
    begun: Instant,
) -> Result<Switch, Failure> {
    let mut line = Line::open(road).await?;
    let mut ask = Ask::get(target);
    ask.fields = fields;
    let ask = ask
        .with("upgrade", "websocket")
        .with("sec-websocket-version", "13")
        .with("sec-websocket-key", KEY);
    let ask = ask.with("connection", "Upgrade");
    let response = line.send(ask, begun).await?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(Switch::Answered(read(response, begun).await?));
    }
    let fields = response.headers().clone();
    if joined(&fields, "sec-websocket-accept").as_deref() != Some(ACCEPT) {
        let detail = "the 101 does not match the handshake (Sec-WebSocket-Accept)".to_owned();
        return Err(Failure::new(FailureKind::NotHttp, detail, begun));
    }
    let upgraded = hyper::upgrade::on(response).await.map_err(|error| failure(&error, begun))?;
    Ok(Switch::Open(Box::new(Socket::new(upgraded)), fields))
}

async fn read(response: Response<Incoming>, begun: Instant) -> Result<Answer, Failure> {
    let (head, mut incoming) = response.into_parts();
    let mut body = Vec::new();
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|error| failure(&error, begun))?;
        let Some(data) = frame.data_ref() else { continue };
        body.extend_from_slice(data);
        if body.len() > BODY_BYTES_MAX {
            let detail = format!("the answer is longer than {BODY_BYTES_MAX} bytes");
            return Err(Failure::new(FailureKind::NotHttp, detail, begun));
        }
    }
    let (status, took_ms) = (head.status.as_u16(), millis(begun.elapsed()));
    Ok(Answer { status, fields: head.headers, body: body.into(), took_ms })
}

fn failure(error: &hyper::Error, begun: Instant) -> Failure {
    let kind = match error.is_parse() {
        true => FailureKind::NotHttp,
        false => FailureKind::Closed,
    };
    let mut detail = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        detail += &format!(": {cause}");
        source = cause.source();
    }
    Failure::new(kind, detail, begun)
}

fn late(begun: Instant) -> Failure {
    Failure::new(FailureKind::TimedOut, "no answer".to_owned(), begun)
}

/// A fixed key does for a client that only asks whether a WebSocket opens.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// What answers [`KEY`] (RFC 6455, section 1.3).
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

const AGENT: &str = concat!("sockeye-doctor/", env!("CARGO_PKG_VERSION"));

/// More than the largest payload that is asked for.
const BODY_BYTES_MAX: usize = 4 << 20;

const EXCERPT_CHARS: usize = 120;

const VALUE_CHARS: usize = 200;
