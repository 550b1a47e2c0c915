//! Small request bodies, read completely before a node is asked.
//!
//! Some servers read a body with one read and take its first segment for the whole, and a body in
//! memory can be sent again where that is allowed. nginx also does this by default.
//!
//! Runs for every request.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use tokio::time::timeout;

use super::body::RequestBody;
use super::budget::{Budget, Reservation};
use super::error::ExchangeError;

/// A body that is in memory.
#[derive(Debug)]
pub(super) struct BufferedBody {
    pub(super) bytes: Bytes,
    _reservation: Reservation,
}

/// Which bodies are buffered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Buffering {
    /// Those that declare a length of at most this many bytes.
    Declared(usize),
    /// These, and those that declare none and are no longer.
    All(usize),
}

/// Reads `body` if it is to be buffered and the budget has as much left; otherwise what it sends is
/// unchanged, and the result is `None`.
///
/// # Errors
///
/// The client sends nothing for `stalled_after`, or leaves.
pub(super) async fn read(
    body: &mut RequestBody,
    budget: &Arc<Budget>,
    which: Buffering,
    stalled_after: Duration,
) -> Result<Option<BufferedBody>, ExchangeError> {
    let declared = body.size_hint().exact().map(|length| usize::try_from(length).ok());
    let length = match (which, declared) {
        (Buffering::Declared(max) | Buffering::All(max), Some(length)) => {
            length.filter(|length| (1..=max).contains(length))
        }
        (Buffering::All(max), None) => Some(max),
        (Buffering::Declared(_), None) => None,
    };
    let Some(length) = length else { return Ok(None) };
    let Some(_reservation) = budget.reserve(length) else { return Ok(None) };
    let mut bytes = BytesMut::with_capacity(if declared.is_some() { length } else { 0 });
    loop {
        let frame = timeout(stalled_after, body.frame()).await;
        match frame.map_err(|_elapsed| ExchangeError::BodyStalled(stalled_after))? {
            None => break,
            Some(Err(_)) => return Err(ExchangeError::ClientGone),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    bytes.extend_from_slice(&data);
                }
                if declared.is_none() && bytes.len() > length {
                    *body = std::mem::take(body).behind(bytes.freeze());
                    return Ok(None);
                }
            }
        }
    }
    if declared.is_some() && bytes.len() != length {
        return Err(ExchangeError::ClientGone);
    }
    Ok(Some(BufferedBody { bytes: bytes.freeze(), _reservation }))
}

/// The longest body that is buffered if the node is known, in bytes.
pub(super) const BYTES_MAX: usize = 64 * 1024;

/// The longest body that is buffered while the node of its session is searched, in bytes: the
/// default limit of Socket.IO. A longer one is sent to one node only.
pub(super) const SEARCH_BYTES_MAX: usize = 1_000_000;
