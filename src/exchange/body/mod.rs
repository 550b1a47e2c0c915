//! The bodies of an exchange: streamed, never collected, each with a limit on its silence.
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

/// The error of an HTTP library when a body fails.
pub type BodyError = Box<dyn Error + Send + Sync>;

/// The body of a node's response; when it is read to its end, the connection returns to the pool.
pub(super) type NodeBody = pool::AnswerBody<RequestBody>;

type Polled = Poll<Option<Result<Frame<Bytes>, BodyError>>>;
