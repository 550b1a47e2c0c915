//! The body of a response to a client: our own, or a node's.
//!
//! Runs for every request.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::HeaderValue;
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use tokio::time::{Sleep, sleep};
use tracing::warn;

use super::{BodyError, NodeBody, Polled};
use crate::exchange::access_log::LogEntry;
use crate::pool::AnswerBodyError;
use crate::route::UpstreamRoute;
use crate::upstream::Lease;

/// The body of a response to a client: our own, or a node's.
#[derive(Debug)]
pub struct ResponseBody(Kind);

#[derive(Debug)]
enum Kind {
    Whole(Option<Bytes>),
    /// A file, or a body that is compressed: few responses are.
    Boxed(UnsyncBoxBody<Bytes, BodyError>),
    Node {
        /// The part that was already read.
        head: Option<Bytes>,
        rest: NodeBody,
        guard: BodyGuard,
    },
}

/// What a node's response body holds: the lease on the node, the limit on its silence, and what its
/// log line needs if it is cut.
pub(in crate::exchange) struct BodyGuard {
    silence_max: Option<Duration>,
    /// Set only while the body is waited for.
    timer: Option<Pin<Box<Sleep>>>,
    lease: Lease,
    route: Arc<UpstreamRoute>,
    request_id: HeaderValue,
}

impl BodyGuard {
    /// For a body from the node of `lease` that may be silent for `silence_max`.
    pub(in crate::exchange) fn new(
        lease: Lease,
        route: Arc<UpstreamRoute>,
        entry: &LogEntry,
        silence_max: Option<Duration>,
    ) -> Self {
        let request_id = entry.request_id().clone();
        Self { silence_max, timer: None, lease, route, request_id }
    }

    /// Ready when the node was silent for too long.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<Duration> {
        let Some(max) = self.silence_max else { return Poll::Pending };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(max)));
        timer.as_mut().poll(cx).map(|()| max)
    }

    /// Logs and counts that the client gets only a part of the body.
    fn was_cut(&self, label: &'static str, blame: &'static str, cause: &str) {
        self.route.counts.errors.count([label, blame]);
        warn!(
            host = %self.route.host, path = %self.route.path, node = %self.lease.node().name(),
            error = label, blame, cause,
            request = self.request_id.to_str().unwrap_or_default(), "response truncated"
        );
    }

    fn broke_off(&self, error: &AnswerBodyError) {
        match error {
            // Caused by the client, which has left.
            AnswerBodyError::Request(_) | AnswerBodyError::RequestTooLarge(_) => (),
            AnswerBodyError::RequestStalled(_) => {
                self.was_cut("body_stalled", "client", &error.to_string());
            }
            AnswerBodyError::Lost(source) => {
                self.was_cut("answer_broke_off", "node", &source.to_string());
            }
            AnswerBodyError::Framing(fault) => {
                self.was_cut("answer_broke_off", "node", &fault.to_string());
            }
        }
    }
}

impl fmt::Debug for BodyGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passage").field("lease", &self.lease).finish_non_exhaustive()
    }
}

impl ResponseBody {
    /// A node's body, of which `head` was already read.
    pub(in crate::exchange) fn node(head: Bytes, rest: NodeBody, guard: BodyGuard) -> Self {
        Self(Kind::Node { head: Some(head).filter(|head| !head.is_empty()), rest, guard })
    }

    /// A body of another kind.
    pub(in crate::exchange) fn boxed<B>(body: B) -> Self
    where
        B: Body<Data = Bytes, Error = BodyError> + Send + 'static,
    {
        Self(Kind::Boxed(UnsyncBoxBody::new(body)))
    }

    /// A complete body.
    pub(in crate::exchange) fn whole(bytes: impl Into<Bytes>) -> Self {
        Self(Kind::Whole(Some(bytes.into()).filter(|bytes: &Bytes| !bytes.is_empty())))
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        match &mut self.0 {
            Kind::Whole(bytes) => Poll::Ready(whole(bytes)),
            Kind::Boxed(body) => Pin::new(body).poll_frame(cx),
            Kind::Node { head, rest, guard } => {
                if let Some(frame) = whole(head) {
                    return Poll::Ready(Some(frame));
                }
                let Poll::Ready(frame) = Pin::new(rest).poll_frame(cx) else {
                    let max = ready!(guard.poll_silence(cx));
                    let cause = format!("the node sent nothing of the answer's body for {max:?}");
                    guard.was_cut("answer_stalled", "node", &cause);
                    return Poll::Ready(Some(Err(cause.into())));
                };
                guard.timer = None;
                if let Some(Err(error)) = &frame {
                    guard.broke_off(error);
                }
                Poll::Ready(frame.map(|frame| frame.map_err(BodyError::from)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Whole(bytes) => bytes.is_none(),
            Kind::Boxed(body) => body.is_end_stream(),
            Kind::Node { head, rest, .. } => head.is_none() && rest.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole(bytes) => SizeHint::with_exact(length(bytes.as_ref())),
            Kind::Boxed(body) => body.size_hint(),
            Kind::Node { head, rest, .. } => {
                let (head, rest) = (length(head.as_ref()), rest.size_hint());
                let mut hint = SizeHint::new();
                hint.set_lower(rest.lower().saturating_add(head));
                if let Some(upper) = rest.upper() {
                    hint.set_upper(upper.saturating_add(head));
                }
                hint
            }
        }
    }
}

fn whole(bytes: &mut Option<Bytes>) -> Option<Result<Frame<Bytes>, BodyError>> {
    bytes.take().map(|bytes| Ok(Frame::data(bytes)))
}

fn length(bytes: Option<&Bytes>) -> u64 {
    bytes.map_or(0, Bytes::len) as u64
}
