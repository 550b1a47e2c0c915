//! Reads whether a response says that the node does not know the session.
//!
//! Runs for every request.

use std::io;

use bytes::BytesMut;
use http_body::Body as _;
use http_body_util::BodyExt as _;
use tokio::time::timeout;

use super::context::Exchange;
use super::error::ExchangeError;
use super::outcome::NodeResponse;
use crate::engineio::{REFUSAL_BYTES_MAX, is_unknown_sid};

/// Whether `answer` is such a refusal. What was read stays in it, and a response that is too long
/// for a refusal is not read.
///
/// # Errors
///
/// The response breaks off.
pub(super) async fn is_unknown_session(
    exchange: &Exchange<'_>,
    answer: &mut NodeResponse,
) -> Result<bool, ExchangeError> {
    if answer.status() != http::StatusCode::BAD_REQUEST {
        return Ok(false);
    }
    let broke_off = |answer: &NodeResponse, source| ExchangeError::AnswerBrokeOff {
        node: answer.lease.node().name().clone(),
        source,
    };
    let mut read = BytesMut::from(&answer.read[..]);
    while let Some(rest) = &mut answer.rest {
        let left = (REFUSAL_BYTES_MAX).saturating_sub(read.len()) as u64;
        if rest.size_hint().lower() > left || left == 0 {
            break;
        }
        let stalled_after = exchange.route.limits.request_body_timeout;
        match timeout(stalled_after, rest.frame()).await {
            Err(elapsed) => return Err(broke_off(answer, elapsed.into())),
            Ok(Some(Err(error))) => return Err(broke_off(answer, io::Error::other(error))),
            Ok(None) => answer.rest = None,
            Ok(Some(Ok(frame))) => {
                if let Ok(data) = frame.into_data() {
                    read.extend_from_slice(&data);
                }
            }
        }
    }
    answer.read = read.freeze();
    Ok(answer.rest.is_none() && is_unknown_sid(answer.status().as_u16(), &answer.read))
}
