//! Answers of the endpoints: JSON, text, or a stream of events.
//!
//! Runs at start, at reload, or on a timer.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use serde::Serialize;

use super::event_stream::{EventSender, EventStream, EventStreams};
use super::model::Refusal;
use super::slots::OpenRequest;

/// An answer of an endpoint.
pub(super) type Answer = Response<AnswerBody>;

/// The body of an answer.
#[derive(Debug)]
pub(super) enum AnswerBody {
    /// All of it is there.
    Whole(Full<Bytes>),
    /// It goes on; the request is open as long.
    Events {
        /// What goes on.
        stream: EventStream,
        /// The request.
        _open: Option<OpenRequest>,
    },
}

impl AnswerBody {
    /// The body of an answer to this request, which ends with it.
    pub(super) fn of_request(self, open: OpenRequest) -> Self {
        match self {
            Self::Whole(body) => Self::Whole(body),
            Self::Events { stream, .. } => Self::Events { stream, _open: Some(open) },
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Whole(body) => Pin::new(body).poll_frame(cx),
            Self::Events { stream, .. } => {
                stream.poll_next(cx).map(|next| next.map(|bytes| Ok(Frame::data(bytes))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_end_stream(),
            Self::Events { .. } => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::Events { .. } => SizeHint::default(),
        }
    }
}

/// A refusal with a sentence.
pub(super) fn refuse(status: StatusCode, sentence: impl Into<String>) -> Answer {
    json(status, &Refusal::new(sentence))
}

/// `body` as JSON that people can read too.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Answer {
    match serde_json::to_value(body) {
        Ok(body) => whole(status, "application/json", format!("{body:#}\n")),
        Err(error) => {
            debug_assert!(false, "an answer is no JSON: {error}");
            whole(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", format!("{error}\n"))
        }
    }
}

/// `body` as JSON for programs.
pub(super) fn compact_json(body: &impl Serialize) -> Answer {
    match serde_json::to_string(body) {
        Ok(body) => whole(StatusCode::OK, "application/json", body),
        Err(error) => refuse(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

/// Text of another kind.
pub(super) fn whole(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Answer {
    answer(status, content_type, AnswerBody::Whole(Full::from(body.into())))
}

/// A new stream of events, which `begin` may feed; losses are reported in this `unit`. Refused if there are
/// too many.
pub(super) fn events(
    streams: &EventStreams,
    unit: &'static str,
    begin: impl FnOnce(EventSender),
) -> Answer {
    let Some((sender, stream)) = streams.open(unit) else {
        let max = EventStreams::MAX;
        let sentence = format!("{max} streams are open, which is the limit: close one of them");
        return refuse(StatusCode::SERVICE_UNAVAILABLE, sentence);
    };
    begin(sender);
    let body = AnswerBody::Events { stream, _open: None };
    let mut answer = answer(StatusCode::OK, "text/event-stream", body);
    answer.headers_mut().insert(BUFFERING, HeaderValue::from_static("no"));
    answer
}

fn answer(status: StatusCode, content_type: &'static str, body: AnswerBody) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    let fields = answer.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// Tells nginx not to hold back what is streamed.
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
