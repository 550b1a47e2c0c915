//! One health check of a node.
//!
//! Each check has a connection of its own, so that it tests what new clients meet and not the
//! connections of old ones. Each check begins with a connect, whose outcome counts for the node like
//! that of any other.
//!
//! Runs at start, at reload, or on a timer.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HOST, USER_AGENT};
use http::uri::PathAndQuery;
use http::{Method, Request, StatusCode, Uri};
use http_body::Body as _;
use http_body_util::{BodyExt as _, Full};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout_at;
use tracing::debug;

use super::answer::{judge_engineio, judge_http};
use crate::Instant;
use crate::engineio::{Form, OpenPacket, Sid, with_sid};
use crate::http1::{HeadLimits, RequestFraming};
use crate::logging::error_chain;
use crate::net::NetStream;
use crate::pool::{
    AnswerBody, AnswerBodyError, ConnectError, ConnectOptions, Connection, OutboundHead, Pool,
    Reply, SendFault, SendLimits, Sharing, connect,
};
use crate::tls::NodeTlsFault;
use crate::upstream::health::CheckOutcome;
use crate::upstream::health::settings::{Check, HttpCheck};
use crate::upstream::settings::Settings;
use crate::upstream::{Endpoint, Node};

/// One check of one node, from its first byte to its last. Dropping it closes its connections.
#[derive(Debug)]
pub(super) struct CheckRun<'a> {
    settings: &'a Settings,
    node: &'a Arc<Node>,
    deadline: Instant,
    /// The node's session, until it is closed, and the path where it was opened.
    opened: Option<(&'a str, OpenPacket)>,
    /// Of this run alone.
    connections: Arc<Pool>,
}

impl<'a> CheckRun<'a> {
    pub(super) fn new(settings: &'a Settings, node: &'a Arc<Node>) -> Self {
        let deadline = Instant::now() + settings.health.timeout;
        Self { settings, node, deadline, opened: None, connections: Pool::new() }
    }

    /// Makes the check that the settings say. If the future is dropped, nothing counts against the node.
    pub(super) async fn ask(&mut self) -> CheckOutcome {
        let outcome = match &self.settings.health.check {
            Check::Off => return CheckOutcome::Skipped,
            Check::Tcp => {
                let connected = connect(self.node, self.connect_options()).await;
                match connected {
                    Ok(stream) => self.close_tls(stream).await.map(|()| CheckOutcome::Passed),
                    Err(error) => Err(Failure::Connect(error)),
                }
            }
            Check::Http(check) => self.ask_http(check).await,
            Check::EngineIo(path) => self.ask_engineio(path).await,
        };
        if outcome.is_ok() {
            self.node.health().note_answer();
        }
        outcome.unwrap_or_else(|failure| self.outcome_of(&failure))
    }

    /// Closes the session that the check opened: otherwise the node would keep it until its heartbeat
    /// fails, and the application would see a client.
    pub(super) async fn close_session(mut self) {
        let Some((path, open)) = self.opened.take() else { return };
        self.deadline = Instant::now() + self.settings.health.timeout;
        let closed = self.close(path, &open.sid, open.form).await;
        let error = match closed {
            Ok(status) if status.is_success() => return,
            Ok(status) => format!("it answered {}", status.as_u16()),
            Err(failure) => failure.to_string(),
        };
        debug!(node = %self.node.name(), error, "the session of a health check was not closed");
    }

    async fn ask_http(&self, check: &HttpCheck) -> Result<CheckOutcome, Failure> {
        let connection = self.open().await?;
        let mut request = self.request(Method::GET, &check.path, "");
        if let Some(host) = check.host.as_deref().and_then(|host| host.parse().ok()) {
            request.headers_mut().insert(HOST, host);
        }
        let asks_for_words = check.body.is_some() || check.drain.is_some();
        let bytes_max = if asks_for_words { BODY_BYTES_MAX } else { 0 };
        let (status, body) = self.exchange(connection, request, bytes_max).await?;
        Ok(judge_http(check, status, &body))
    }

    async fn ask_engineio(&mut self, path: &'a str) -> Result<CheckOutcome, Failure> {
        let connection = self.open().await?;
        let request = self.request(Method::GET, &format!("{path}?{HANDSHAKE}"), "");
        let (status, body) = self.exchange(connection, request, BODY_BYTES_MAX).await?;
        let (outcome, open) = judge_engineio(status, &body);
        if let Some(open) = open {
            self.opened = Some((path, open));
        }
        Ok(outcome)
    }

    async fn close(&self, path: &str, sid: &Sid, form: Form) -> Result<StatusCode, Failure> {
        let query = with_sid(&format!("{HANDSHAKE}&sid="), sid);
        let packet = match form {
            Form::V4 => "1",
            Form::V3Text | Form::V3Binary => "1:1",
        };
        let owner = self.connect_options().owner();
        let connection = match self.connections.take(self.node, Sharing::Any, owner) {
            Some(connection) => connection,
            None => self.open().await?,
        };
        let request = self.request(Method::POST, &format!("{path}?{query}"), packet);
        let (status, _) = self.exchange(connection, request, BODY_BYTES_MAX).await?;
        Ok(status)
    }

    /// Closes a connection on which nothing was sent. A node that refuses our certificate says so only
    /// after the handshake, if that is TLS 1.3.
    async fn close_tls(&self, mut stream: NetStream) -> Result<(), Failure> {
        if self.settings.tls.is_none() {
            return Ok(());
        }
        let read = async {
            stream.shutdown().await?;
            // Tickets are no bytes of the stream.
            stream.read_u8().await
        };
        // A node that waits for a request has accepted the connection.
        let Ok(Err(error)) = timeout_at(self.deadline, read).await else { return Ok(()) };
        match NodeTlsFault::of_refusal(error) {
            Ok(source) => {
                self.node.connect_refused();
                let node = self.node.name().clone();
                Err(Failure::Connect(ConnectError::Tls { node, source }))
            }
            Err(_closed) => Ok(()),
        }
    }

    /// A new connection. Not within another deadline: a connect that is dropped would not count as
    /// failed.
    async fn open(&self) -> Result<Box<Connection>, Failure> {
        let opened = self.connections.open(self.node, self.connect_options()).await;
        opened.map_err(Failure::Connect)
    }

    fn connect_options(&self) -> ConnectOptions<'a> {
        ConnectOptions::for_check(self.settings, self.deadline)
    }

    fn request(&self, method: Method, target: &str, body: &'static str) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::from(body));
        *request.method_mut() = method;
        // The configuration accepts only paths that a request can have.
        *request.uri_mut() = target.parse::<Uri>().unwrap_or_default();
        let fields = request.headers_mut();
        let host = match self.node.address() {
            Endpoint::Tcp(address) => address.to_string(),
            Endpoint::Unix(_) => "localhost".to_owned(),
        };
        if let Ok(host) = host.try_into() {
            fields.insert(HOST, host);
        }
        fields.insert(USER_AGENT, AGENT);
        if !body.is_empty() {
            fields.insert(CONTENT_TYPE, PACKETS);
        }
        request
    }

    /// The answer's status and at most `bytes_max` of its body.
    async fn exchange(
        &self,
        connection: Box<Connection>,
        request: Request<Full<Bytes>>,
        bytes_max: usize,
    ) -> Result<(StatusCode, Bytes), Failure> {
        let answered = async {
            let (head, body) = request.into_parts();
            let framing = match body.size_hint().exact() {
                Some(0) | None => RequestFraming::None,
                Some(bytes) => RequestFraming::Length(bytes),
            };
            let target = head.uri.path_and_query().map_or("/", PathAndQuery::as_str);
            let fields = head.headers.iter().map(|(name, value)| (name, value.as_bytes()));
            let head = OutboundHead::new(&head.method, target, fields, framing);
            let began = Instant::now();
            let sent = connection.send(&head, body, self.limits()).await;
            let now = Instant::now();
            // What an application does for a check of its own is not the event loop's alone.
            if let (Check::EngineIo(_), Ok(_)) = (&self.settings.health.check, &sent) {
                self.node.lag().record(now.saturating_duration_since(began), now);
            }
            match sent.map_err(|error| Failure::Exchange(error.fault))? {
                Reply::Switched(response) => Ok((response.status(), Bytes::new())),
                Reply::Answered(response) => {
                    let status = response.status();
                    let body = read(response.into_body(), bytes_max).await;
                    Ok((status, body.map_err(Failure::Body)?))
                }
            }
        };
        match timeout_at(self.deadline, answered).await {
            Ok(answered) => answered,
            Err(_) => Err(Failure::TooLate),
        }
    }

    /// Never shorter than the deadline of the whole check.
    fn limits(&self) -> SendLimits {
        SendLimits {
            upload: self.settings.health.timeout,
            response: self.settings.health.timeout,
            idle: self.settings.health.timeout,
            reuses_after_body: true,
            body_bytes_max: u64::MAX,
            head_limits: HeadLimits::default(),
        }
    }

    fn outcome_of(&self, failure: &Failure) -> CheckOutcome {
        match failure {
            Failure::Connect(error) if !error.counts_against_node() => CheckOutcome::Skipped,
            // Both deadlines are the same, and either may come first.
            Failure::TooLate | Failure::Exchange(SendFault::Unanswered(_)) => {
                let (late, within) = (Failure::TooLate, self.settings.health.timeout);
                CheckOutcome::Failed(format!("{late} within {within:?}").into())
            }
            Failure::Connect(_) | Failure::Exchange(_) | Failure::Body(_) => {
                CheckOutcome::Failed(error_chain(failure).into())
            }
        }
    }
}

/// Why there is no answer to a check.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Connect(ConnectError),
    #[error("the connection failed")]
    Exchange(#[source] SendFault),
    #[error("its response ended early")]
    Body(#[source] AnswerBodyError),
    #[error("it did not respond")]
    TooLate,
}

/// The first `bytes_max` of a body, and not more than what is needed for them.
async fn read(
    mut body: AnswerBody<Full<Bytes>>,
    bytes_max: usize,
) -> Result<Bytes, AnswerBodyError> {
    let mut read = BytesMut::new();
    while read.len() < bytes_max {
        let Some(frame) = body.frame().await else { break };
        let Ok(mut data) = frame?.into_data() else { continue };
        data.truncate(bytes_max - read.len());
        read.extend_from_slice(&data);
    }
    Ok(read.freeze())
}

/// The query of an Engine.IO handshake. Servers that speak only version 3 answer it too.
const HANDSHAKE: &str = "EIO=4&transport=polling";

/// Distinguishes checks from clients in a node's log.
const AGENT: http::HeaderValue = http::HeaderValue::from_static(concat!(
    "sockeye/",
    env!("CARGO_PKG_VERSION"),
    " (health check)"
));

/// As clients send it.
const PACKETS: http::HeaderValue = http::HeaderValue::from_static("text/plain;charset=UTF-8");

/// How much of an answer is read: the part in which `body` and `drain` are looked for.
const BODY_BYTES_MAX: usize = 64 * 1024;
