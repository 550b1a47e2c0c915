//! Remembers the session that the response to an Engine.IO handshake by polling opens.
//!
//! The open packet is read and its sid tagged; the rest of the body is streamed unchanged. A
//! response that cannot be read (compressed, or in an unknown form) passes unchanged, and
//! self-healing finds the session.
//!
//! Runs for every request.

use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap, HeaderValue};
use http_body_util::BodyExt;

use super::body::NodeBody;
use super::context::Exchange;
use super::error::ExchangeError;
use super::outcome::NodeResponse;
use crate::Instant;
use crate::affinity::Remembered;
use crate::engineio::{OpenPacket, Scan, Sid};
use crate::pool::SessionKey;
use crate::upstream::Node;

/// Reads the open packet in the response to a handshake by polling, and learns its session or tags
/// its sid, as the affinity decides.
pub(super) async fn remember(
    exchange: &Exchange<'_>,
    mut answer: NodeResponse,
) -> Result<NodeResponse, ExchangeError> {
    let Some(call) = &exchange.call else { return Ok(answer) };
    let is_plain = !answer.head.headers.contains_key(CONTENT_ENCODING);
    let Some(rest) = answer.rest.take_if(|_| answer.head.status == StatusCode::OK && is_plain)
    else {
        return Ok(answer);
    };
    answer.lease.handshake_answered(Instant::now());
    let node = answer.lease.node().clone();
    node.counts().handshakes_by_polling.inc();
    let (read, mut rest, scan) = read_open(exchange, &node, rest).await?;
    answer.read = read;
    let Scan::Open(open) = scan else {
        answer.rest = Some(rest);
        return Ok(answer);
    };
    rest.set_session(SessionKey::new(open.sid.as_str()));
    answer.rest = Some(rest);
    if let Some(timings) = open.timings.filter(|_| open.offers_websocket) {
        exchange.route.note_heartbeat(&timings);
    }
    let remembered = exchange.route.affinity.remember(call, &open, &node, Instant::now());
    follow_upgrade(exchange, &open, &remembered, &node);
    if let Remembered::Tag(tag) = remembered {
        let tagged = open.with_tag(&answer.read, &tag);
        let added = tagged.len().saturating_sub(answer.read.len());
        answer.read = tagged.into();
        raise_content_length(&mut answer.head.headers, added as u64);
    }
    Ok(answer)
}

/// Lets insight follow the session to its upgrade, by the sid that its client will send.
fn follow_upgrade(
    exchange: &Exchange<'_>,
    open: &OpenPacket,
    remembered: &Remembered,
    node: &Arc<Node>,
) {
    if !open.offers_websocket {
        return;
    }
    let sid = match remembered {
        Remembered::Tag(tag) => Sid::new(&format!("{}{tag}", open.sid.as_str())),
        Remembered::Learned | Remembered::Nothing => Some(open.sid.clone()),
    };
    if let Some(sid) = sid {
        let silence_max = open.timings.map(|timings| timings.silence_max());
        let opened = (node.name(), exchange.address);
        exchange.route.insight.session_opened(&sid, silence_max, opened, Instant::now());
    }
}

/// Reads until the open packet is complete, or until it is clear that there is none.
async fn read_open(
    exchange: &Exchange<'_>,
    node: &Arc<Node>,
    mut body: NodeBody,
) -> Result<(Bytes, NodeBody, Scan), ExchangeError> {
    let broke_off = |source| ExchangeError::AnswerBrokeOff { node: node.name().clone(), source };
    let stalled_after = exchange.route.limits.request_body_timeout;
    let mut read = BytesMut::new();
    loop {
        let frame = tokio::time::timeout(stalled_after, body.frame()).await;
        match frame.map_err(|elapsed| broke_off(elapsed.into()))? {
            None => {
                let scan = OpenPacket::scan(&read);
                return Ok((read.freeze(), body, scan));
            }
            Some(Err(source)) => return Err(broke_off(io::Error::other(source))),
            Some(Ok(frame)) => {
                let Ok(data) = frame.into_data() else { continue };
                read.extend_from_slice(&data);
                let scan = OpenPacket::scan(&read);
                if !matches!(scan, Scan::NeedMore) {
                    return Ok((read.freeze(), body, scan));
                }
            }
        }
    }
}

/// Raises the declared length of the body by `added` bytes; a chunked body has none.
fn raise_content_length(headers: &mut HeaderMap, added: u64) {
    let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if let Some(length) = length {
        let length: u64 = length;
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length.saturating_add(added)));
    }
}
