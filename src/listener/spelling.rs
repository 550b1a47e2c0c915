//! The spelling of field names in answers: as in the specifications, because some old clients search
//! for exactly `Sec-WebSocket-Accept`.
//!
//! hyper writes a capital after each hyphen, and takes other spellings from a map that only hyper can
//! create, from a request that it has read. So it reads one, once. If a later hyper ignores the map,
//! a name is written `Sec-Websocket-Accept`, which means the same (RFC 9110, section 5.1).
//!
//! Runs for every request.

use std::convert::Infallible;
use std::future::{Future, ready};
use std::pin::pin;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::task::{Context, Waker};

use bytes::Bytes;
use http::{Extensions, HeaderMap, Request, Response};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;

use crate::http1::{SPECIAL_NAMES, special_name};

/// Adds the spelling of `fields` to the `extensions` of an answer. Costs nothing if all of them have a
/// capital after each hyphen only.
pub(super) fn put_spelling(fields: &HeaderMap, extensions: &mut Extensions) {
    let mut special = fields.keys().filter_map(|name| special_name(name.as_str())).peekable();
    if special.peek().is_none() {
        return;
    }
    // hyper's map is copied for each answer: a handshake has a small one.
    static WEBSOCKET: OnceLock<Extensions> = OnceLock::new();
    static ALL: OnceLock<Extensions> = OnceLock::new();
    let spelling = if special.all(|name| WEBSOCKET_NAMES.contains(&name)) {
        WEBSOCKET.get_or_init(|| learn(&WEBSOCKET_NAMES))
    } else {
        // An answer may have several of these fields, and each line takes the next spelling.
        ALL.get_or_init(|| learn(&[&SPECIAL_NAMES.concat()[..], &["WWW-Authenticate"; 3]].concat()))
    };
    extensions.extend(spelling.clone());
}

/// The names in answers to WebSocket handshakes (RFC 6455, section 4.2.2).
const WEBSOCKET_NAMES: [&str; 3] =
    ["Sec-WebSocket-Accept", "Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol"];

/// Lets hyper read a request that has fields of these names.
fn learn(names: &[&str]) -> Extensions {
    let fields: String = names.iter().map(|name| format!("{name}: x\r\n")).collect();
    let request = format!("GET / HTTP/1.1\r\nHost: x\r\n{fields}\r\n");
    let learned = Mutex::new(Extensions::new());
    let service = service_fn(|request: Request<Incoming>| {
        let mut learned = learned.lock().unwrap_or_else(PoisonError::into_inner);
        learned.clone_from(request.extensions());
        ready(Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())))
    });
    let stream = TokioIo::new(tokio::io::join(request.as_bytes(), tokio::io::sink()));
    let mut http = http1::Builder::new();
    let connection = http.preserve_header_case(true).serve_connection(stream, service);
    // All bytes are available, so that one poll is enough.
    let _over = pin!(connection).poll(&mut Context::from_waker(Waker::noop()));
    learned.into_inner().unwrap_or_else(PoisonError::into_inner)
}
