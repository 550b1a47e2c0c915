//! A node of the doctor's own, to which the operator points the proxy: it shows what arrives.
//!
//! It answers requests with the token of this run, and refuses all others.
//!
//! Runs at start, at reload, or on a timer.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::{Body, Frame};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use sha1::{Digest as _, Sha1};
use tokio::net::TcpListener;
use tokio::time::{Sleep, sleep, timeout};

use super::ask::{Ask, Line, ask, switch};
use super::measured::{Arrival, Arrived};
use super::road::Road;
use crate::tasks::Tasks;

/// A listening node.
pub(super) struct OwnNode {
    address: SocketAddr,
    token: String,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    polling: Option<Arrived>,
    websocket: Option<Arrived>,
}

impl OwnNode {
    /// Listens at `address`.
    pub(super) async fn listen(address: SocketAddr, tasks: &Tasks) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let (token, seen) = (format!("{:016x}", fastrand::u64(..)), Arc::<Mutex<Seen>>::default());
        let (own, connections) =
            (Self { address, token: token.clone(), seen: seen.clone() }, tasks.clone());
        tasks.spawn(async move {
            // Connections beyond this are the proxy's health checks at most.
            for _ in 0..CONNECTIONS_MAX {
                let Ok((stream, _)) = listener.accept().await else { break };
                let (token, seen) = (token.clone(), seen.clone());
                connections.spawn(async move {
                    let service = service_fn(|request| {
                        let answer = answer(&request, &token, &seen);
                        async move { Ok::<_, Infallible>(answer) }
                    });
                    let connection =
                        http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                    // What arrived is written down; how the connection ends does not matter.
                    let _ = timeout(CONNECTION_MAX, connection.with_upgrades()).await;
                });
            }
        });
        Ok(own)
    }

    /// Sends requests through the proxy, and gives what arrived here.
    pub(super) async fn arrival(&self, road: &Road, eio: u8) -> Arrival {
        let marked = |transport: &str| {
            format!("{}&{NAME}={}", road.target.engineio(eio, transport, None), self.token)
        };
        let polling = marked("polling");
        // What does not arrive is seen by that.
        let _ = ask(road, Ask::get(polling.clone())).await;
        drop(switch(road, marked("websocket"), HeaderMap::new()).await);
        let (polling_arrived, websocket) = {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            (seen.polling.take(), seen.websocket.take())
        };
        let streams = match polling_arrived.is_some() {
            true => streams(road, format!("{polling}&{SLOW}")).await,
            false => None,
        };
        Arrival {
            listened: self.address.to_string(),
            failed: None,
            polling: polling_arrived,
            websocket,
            streams,
            host_sent: road.target.authority.clone(),
            target_sent: polling,
        }
    }
}

/// Whether the first part of a slow response comes before its last.
async fn streams(road: &Road, target: String) -> Option<bool> {
    let mut line = Line::open(road).await.ok()?;
    let (first, last) = line.first_and_last(Ask::get(target)).await.ok()?;
    Some(last.saturating_sub(first) >= PAUSE / 2)
}

fn answer(request: &Request<Incoming>, token: &str, seen: &Mutex<Seen>) -> Response<Parts> {
    let query = request.uri().query().unwrap_or_default();
    let has = |pair: &str| query.split('&').any(|found| found == pair);
    if !has(&format!("{NAME}={token}")) {
        return response(StatusCode::SERVICE_UNAVAILABLE, Parts::whole("the doctor is here"));
    }
    let arrived = Some(arrived(request));
    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    if has("transport=polling") {
        seen.polling = arrived;
        let body = if has(SLOW) { Parts::slow() } else { Parts::whole(OPEN) };
        return response(StatusCode::OK, body);
    }
    seen.websocket = arrived;
    let fields = request.headers();
    let Some(key) = fields.get(SEC_WEBSOCKET_KEY).filter(|_| fields.contains_key(UPGRADE)) else {
        return response(StatusCode::BAD_REQUEST, Parts::whole(BAD_REQUEST));
    };
    let accept = STANDARD.encode(Sha1::digest([key.as_bytes(), MAGIC].concat()));
    let switching = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(UPGRADE, "websocket")
        .header(CONNECTION, "Upgrade")
        .header(SEC_WEBSOCKET_ACCEPT, accept)
        .body(Parts::whole(""));
    switching.unwrap_or_else(|_| response(StatusCode::BAD_REQUEST, Parts::whole(BAD_REQUEST)))
}

fn response(status: StatusCode, body: Parts) -> Response<Parts> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let kind = http::HeaderValue::from_static("text/plain; charset=UTF-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

fn arrived(request: &Request<Incoming>) -> Arrived {
    let fields = request.headers().iter().take(FIELDS_MAX).map(|(name, value)| {
        // They are the operator's own, but a report is shown to others.
        let value = match SECRET.contains(&name.as_str()) {
            true => "(there)".to_owned(),
            false => String::from_utf8_lossy(value.as_bytes()).chars().take(VALUE_CHARS).collect(),
        };
        (name.as_str().to_owned(), value)
    });
    Arrived {
        version: format!("{:?}", request.version()),
        target: request.uri().to_string(),
        fields: fields.collect(),
    }
}

/// A body at once, or in two parts with a pause between.
struct Parts {
    parts: Vec<&'static str>,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Parts {
    fn whole(text: &'static str) -> Self {
        Self { parts: vec![text], pause: None }
    }

    fn slow() -> Self {
        Self { parts: vec!["4last", "4first"], pause: None }
    }
}

impl Body for Parts {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(pause) = &mut self.pause {
            std::task::ready!(pause.as_mut().poll(cx));
        }
        let part =
            self.parts.pop().map(|part| Ok(Frame::data(Bytes::from_static(part.as_bytes()))));
        self.pause = (!self.parts.is_empty()).then(|| Box::pin(sleep(PAUSE)));
        Poll::Ready(part)
    }
}

const NAME: &str = "sockeye-doctor";

const SLOW: &str = "sockeye-doctor-slow=1";

const OPEN: &str = "0{\"sid\":\"sockeye-doctor-node\",\"upgrades\":[],\"pingInterval\":25000,\"pingTimeout\":20000,\
                    \"maxPayload\":1000000}";

const BAD_REQUEST: &str = "{\"code\":3,\"message\":\"Bad request\"}";

/// RFC 6455, section 1.3.
const MAGIC: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

const SECRET: [&str; 2] = ["authorization", "cookie"];

const PAUSE: Duration = Duration::from_secs(2);

const CONNECTIONS_MAX: usize = 1_000;

const CONNECTION_MAX: Duration = Duration::from_secs(30);

const FIELDS_MAX: usize = 64;

const VALUE_CHARS: usize = 200;
