//! The bodies of an exchange: streamed, never collected, each with a bound on its silence.
//!
//! Runs for every request.

mod request;
mod response;

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::Frame;
use tokio::time::{Sleep, sleep};

pub use request::RequestBody;
pub(super) use request::Upload;
pub(super) use response::Passage;
pub use response::ResponseBody;

use crate::upstream::pool;

/// What an HTTP library says when a body fails.
pub type BodyError = Box<dyn Error + Send + Sync>;

/// The body of a node's answer; read to its end, its connection goes back to the pool.
pub(super) type NodeBody = pool::Answer<RequestBody>;

type Polled = Poll<Option<Result<Frame<Bytes>, BodyError>>>;

fn whole(bytes: &mut Option<Bytes>) -> Option<Result<Frame<Bytes>, BodyError>> {
    bytes.take().map(|bytes| Ok(Frame::data(bytes)))
}

fn length(bytes: Option<&Bytes>) -> u64 {
    bytes.map_or(0, Bytes::len) as u64
}

/// How long something may make no progress. The timer exists only once something waits.
#[derive(Debug)]
struct Stall {
    after: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Stall {
    fn after(after: Duration) -> Self {
        Self { after, timer: None }
    }

    fn progress(&mut self) {
        self.timer = None;
    }

    /// Ready when there was no progress for too long.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let after = self.after;
        self.timer.get_or_insert_with(|| Box::pin(sleep(after))).as_mut().poll(cx)
    }
}
