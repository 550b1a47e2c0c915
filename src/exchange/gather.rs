//! Small request bodies, read whole before a node is asked.
//!
//! Some servers read a body by one read and take its first segment for all of it, and a body that is
//! whole can be sent again where that is allowed. nginx does the same by default.
//!
//! Runs for every request.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use tokio::time::timeout;

use super::ExchangeError;
use super::body::RequestBody;
use super::budget::{Budget, Reservation};

/// A body that is in memory.
#[derive(Debug)]
pub(super) struct Gathered {
    pub(super) bytes: Bytes,
    _reservation: Reservation,
}

/// Reads `body` if it says that it has at most `bytes_max` bytes and there is room for them; else
/// leaves it as it is.
///
/// # Errors
///
/// The client sends nothing for `stalled_after`, or leaves.
pub(super) async fn gather(
    body: &mut RequestBody,
    budget: &Arc<Budget>,
    bytes_max: usize,
    stalled_after: Duration,
) -> Result<Option<Gathered>, ExchangeError> {
    let length = body.size_hint().exact().and_then(|length| usize::try_from(length).ok());
    let Some(length) = length.filter(|length| (1..=bytes_max).contains(length)) else {
        return Ok(None);
    };
    let Some(_reservation) = budget.reserve(length) else { return Ok(None) };
    let mut read = BytesMut::with_capacity(length);
    loop {
        let frame = timeout(stalled_after, body.frame()).await;
        match frame.map_err(|_elapsed| ExchangeError::BodyStalled(stalled_after))? {
            None => break,
            Some(Err(_)) => return Err(ExchangeError::ClientGone),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    read.extend_from_slice(&data);
                }
            }
        }
    }
    if read.len() != length {
        return Err(ExchangeError::ClientGone);
    }
    Ok(Some(Gathered { bytes: read.freeze(), _reservation }))
}

/// The longest body that is gathered for a node that is known, in bytes.
pub(super) const BYTES_MAX: usize = 64 * 1024;

/// The longest body that is kept while the node of its session is looked for, in bytes: what
/// Socket.IO takes by default. A longer one goes to one node only.
pub(super) const SEARCH_BYTES_MAX: usize = 1_000_000;
