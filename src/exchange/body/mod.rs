//! The bodies of an exchange: streamed, never collected, each with a bound on its silence.
//!
//! Runs for every request.

mod request;
mod response;

use std::error::Error;
use std::task::Poll;

use bytes::Bytes;
use http_body::Frame;

pub use request::RequestBody;
pub(super) use response::BodyGuard;
pub use response::ResponseBody;

use crate::pool;

/// What an HTTP library says when a body fails.
pub type BodyError = Box<dyn Error + Send + Sync>;

/// The body of a node's answer; read to its end, its connection goes back to the pool.
pub(super) type NodeBody = pool::AnswerBody<RequestBody>;

type Polled = Poll<Option<Result<Frame<Bytes>, BodyError>>>;
