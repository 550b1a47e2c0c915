//! The answer to an Engine.IO handshake by polling: read, learned from, and tagged.
//!
//! The rest of the body streams on untouched. What cannot be read (compressed, in a form that we
//! do not know) passes as it is, and self-healing finds the session.
//!
//! Runs for every request.

use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use http_body_util::BodyExt;

use super::asking::Asking;
use super::body::NodeBody;
use super::forward::Answer;
use super::{ExchangeError, Request};
use crate::Instant;
use crate::affinity::Remembered;
use crate::engineio::{Call, OpenPacket, Scan, Sid, Transport};
use crate::upstream::Node;

/// Whether `call` asks for a new session by polling.
pub(super) fn is_by_polling(method: &Method, call: Option<&Call>) -> bool {
    *method == Method::GET
        && call.is_some_and(|call| call.sid.is_none() && call.transport == Transport::Polling)
}

/// Makes sure that the answer to a handshake can be read.
pub(super) fn ask_uncompressed(request: &mut Request) {
    request.headers_mut().remove(ACCEPT_ENCODING);
}

/// Reads the open packet in the answer to `call`, learns from it, and tags its sid where the
/// affinity wants it.
pub(super) async fn remember(
    asking: &Asking<'_>,
    call: &Call,
    mut answer: Answer,
) -> Result<Answer, ExchangeError> {
    let is_plain = !answer.head.headers.contains_key(CONTENT_ENCODING);
    let Some(rest) = answer.rest.take_if(|_| answer.head.status == StatusCode::OK && is_plain)
    else {
        return Ok(answer);
    };
    answer.lease.handshake_answered(Instant::now());
    let node = answer.lease.node().clone();
    node.counts().handshakes_by_polling.inc();
    let (read, rest, scan) = read_open(asking, &node, rest).await?;
    answer.read = read;
    answer.rest = rest;
    let Scan::Open(open) = scan else { return Ok(answer) };
    if let Some(timings) = open.timings.filter(|_| open.offers_websocket) {
        asking.route.note_heartbeat(&timings);
    }
    let remembered = asking.route.affinity.remember(call, &open, &node, Instant::now());
    follow(asking, &open, &remembered, &node);
    if let Remembered::Tag(tag) = remembered {
        let tagged = open.with_tag(&answer.read, &tag);
        let added = tagged.len().saturating_sub(answer.read.len());
        answer.read = tagged.into();
        raise_content_length(&mut answer.head.headers, added as u64);
    }
    Ok(answer)
}

/// Has the session's way to its upgrade followed, by the sid that its client will send.
fn follow(asking: &Asking<'_>, open: &OpenPacket, remembered: &Remembered, node: &Arc<Node>) {
    if !open.offers_websocket {
        return;
    }
    let sid = match remembered {
        Remembered::Tag(tag) => Sid::new(&format!("{}{tag}", open.sid.as_str())),
        Remembered::Learned | Remembered::Nothing => Some(open.sid.clone()),
    };
    if let Some(sid) = sid {
        let silence_max = open.timings.map(|timings| timings.silence_max());
        asking.route.insight.opened(&sid, silence_max, node.name(), Instant::now());
    }
}

/// Reads until the open packet is whole, or it is clear that there is none.
async fn read_open(
    asking: &Asking<'_>,
    node: &Arc<Node>,
    mut body: NodeBody,
) -> Result<(Bytes, Option<NodeBody>, Scan), ExchangeError> {
    let broke_off = |source| ExchangeError::AnswerBrokeOff { node: node.name().clone(), source };
    let mut read = BytesMut::new();
    loop {
        let frame = tokio::time::timeout(asking.route.limits.body_timeout, body.frame()).await;
        match frame.map_err(|elapsed| broke_off(elapsed.into()))? {
            None => {
                let scan = OpenPacket::scan(&read);
                return Ok((read.freeze(), None, scan));
            }
            Some(Err(source)) => return Err(broke_off(io::Error::other(source))),
            Some(Ok(frame)) => {
                let Ok(data) = frame.into_data() else { continue };
                read.extend_from_slice(&data);
                let scan = OpenPacket::scan(&read);
                if !matches!(scan, Scan::NeedMore) {
                    return Ok((read.freeze(), Some(body), scan));
                }
            }
        }
    }
}

/// A body that was sent with a length has a longer one now; a chunked one has none.
fn raise_content_length(headers: &mut HeaderMap, added: u64) {
    let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if let Some(length) = length {
        let length: u64 = length;
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length.saturating_add(added)));
    }
}
