//! Exports spans by OTLP/HTTP in JSON (OpenTelemetry protocol 1.x): ids are hexadecimal, numbers of 64 bits
//! are text, kinds and codes are numbers.
//!
//! A batch is sent again only if the collector asks for it, and dropped after that.
//!
//! Runs at start, at reload, or on a timer.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, USER_AGENT};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tracing::warn;

use super::settings::Collector;
use super::span::{Attribute, Span, SpanQueue};

/// Exports the spans of `queue` to the collector that `collector` names, until it is dropped.
pub(crate) async fn export(queue: Arc<SpanQueue>, collector: impl Fn() -> Option<Arc<Collector>>) {
    let mut has_failed = false;
    loop {
        queue.arrived().await;
        sleep(GATHER).await;
        let spans = queue.take(BATCH_MAX);
        let count = spans.len() as u64;
        let Some(collector) = collector() else {
            queue.lost.inc_by(count);
            continue;
        };
        let body = Bytes::from(encode(&spans).to_string());
        match send(&collector, body).await {
            Ok(()) => {
                queue.exported.inc_by(count);
                has_failed = false;
            }
            Err(error) => {
                queue.lost.inc_by(count);
                // Once for each time that it is gone.
                if !std::mem::replace(&mut has_failed, true) {
                    warn!(collector = &*collector.authority, %error, "spans are lost");
                }
            }
        }
    }
}

/// Sends a batch, again if the collector asks for it.
async fn send(collector: &Collector, body: Bytes) -> Result<(), Box<dyn Error + Send + Sync>> {
    for wait in RETRY_AFTER {
        let status = timeout(SEND_WITHIN, post(collector, body.clone())).await??;
        match status.as_u16() {
            200..300 => return Ok(()),
            429 | 502 | 503 | 504 => sleep(wait).await,
            _ => return Err(format!("the collector answered {status}").into()),
        }
    }
    Err("the collector is busy".into())
}

async fn post(
    collector: &Collector,
    body: Bytes,
) -> Result<StatusCode, Box<dyn Error + Send + Sync>> {
    let stream = TcpStream::connect((&*collector.host, collector.port)).await?;
    let request = Request::builder()
        .method(Method::POST)
        .uri(&*collector.target)
        .header(HOST, &*collector.authority)
        .header(USER_AGENT, concat!("sockeye/", env!("CARGO_PKG_VERSION")))
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(body))?;
    match &collector.tls {
        None => speak(stream, request).await,
        Some(tls) => speak(tls.handshake(stream, &collector.host).await?, request).await,
    }
}

async fn speak<S>(
    stream: S,
    request: Request<Full<Bytes>>,
) -> Result<StatusCode, Box<dyn Error + Send + Sync>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let answer = async {
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        // It says nothing that would change what we do.
        let _ = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
        Ok(status)
    };
    tokio::pin!(answer);
    tokio::select! {
        answer = &mut answer => answer,
        // The answer fails too when the connection ends.
        _ = connection => answer.await,
    }
}

/// An `ExportTraceServiceRequest`.
fn encode(spans: &[Span]) -> Value {
    let service = json!([{ "key": "service.name", "value": { "stringValue": "sockeye" } }]);
    let scope = json!({ "name": "sockeye", "version": env!("CARGO_PKG_VERSION") });
    let spans: Vec<Value> = spans.iter().map(span).collect();
    json!({ "resourceSpans": [{
        "resource": { "attributes": service },
        "scopeSpans": [{ "scope": scope, "spans": spans }],
    }] })
}

fn span(span: &Span) -> Value {
    let attributes: Vec<Value> = span.attributes.iter().map(attribute).collect();
    let events: Vec<Value> = span
        .events
        .iter()
        .map(|(at, name)| json!({ "timeUnixNano": nanos(*at), "name": name }))
        .collect();
    let mut encoded = json!({
        "traceId": format!("{:032x}", span.trace_id),
        "spanId": format!("{:016x}", span.id),
        "name": span.name,
        "kind": SPAN_KIND_SERVER,
        "startTimeUnixNano": nanos(span.began),
        "endTimeUnixNano": nanos(span.ended),
        "attributes": attributes,
        "events": events,
        "status": if span.has_failed { json!({ "code": STATUS_CODE_ERROR }) } else { json!({}) },
    });
    if let Some(parent) = span.parent_id {
        encoded["parentSpanId"] = format!("{parent:016x}").into();
    }
    encoded
}

fn attribute((key, value): &(&'static str, Attribute)) -> Value {
    let value = match value {
        Attribute::Text(text) => json!({ "stringValue": text }),
        Attribute::Number(number) => json!({ "intValue": number.to_string() }),
    };
    json!({ "key": key, "value": value })
}

fn nanos(time: SystemTime) -> String {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos().to_string()
}

const SPAN_KIND_SERVER: u8 = 2;
const STATUS_CODE_ERROR: u8 = 2;

/// How long spans are gathered before a batch is sent.
const GATHER: Duration = Duration::from_millis(500);

const BATCH_MAX: usize = 512;

/// How long a batch may take; more spans gather meanwhile.
const SEND_WITHIN: Duration = Duration::from_secs(10);

/// The waits after answers that ask for another try; after the last one the batch is dropped.
const RETRY_AFTER: [Duration; 3] =
    [Duration::from_millis(500), Duration::from_secs(2), Duration::from_millis(0)];

const ANSWER_BYTES_MAX: usize = 64 * 1024;
