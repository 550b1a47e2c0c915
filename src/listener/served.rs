//! The service as hyper sees it: each request gets its [`ClientInfo`], and is open until the last byte of
//! its answer.
//!
//! Runs for every request.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::header::{CONNECTION, CONTENT_LENGTH, UPGRADE};
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tower::BoxError;
use tower::util::{Oneshot, ServiceExt};

use super::progress::{OpenRequest, Progress, Truncation};
use super::spelling::put_spelling;
use crate::net::{ClientBody, ClientInfo, UpgradeHandoff};

/// A service for clients' connections: any tower service of this form.
pub(crate) trait ClientService:
    tower::Service<
        Request<ClientBody>,
        Response = Response<<Self as ClientService>::Body>,
        Error = Infallible,
        Future: Send,
    > + Clone
    + Send
    + 'static
{
    /// The body of its answers.
    type Body: Body<Data: Send, Error: Into<BoxError> + Send> + Send + 'static;
}

impl<S, B> ClientService for S
where
    S: tower::Service<
            Request<ClientBody>,
            Response = Response<B>,
            Error = Infallible,
            Future: Send,
        > + Clone
        + Send
        + 'static,
    B: Body<Data: Send, Error: Into<BoxError> + Send> + Send + 'static,
{
    type Body = B;
}

/// The service of one connection.
#[derive(Debug)]
pub(super) struct Served<S> {
    pub(super) service: S,
    pub(super) client: ClientInfo,
    pub(super) progress: Arc<Progress>,
}

impl<S: ClientService> hyper::service::Service<Request<Incoming>> for Served<S> {
    type Response = Response<AnswerBody<S::Body>>;
    type Error = Infallible;
    type Future = AnswerFuture<Oneshot<S, Request<ClientBody>>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        // As the guard decides: it does not inspect the bytes behind such a request.
        let upgrades =
            request.method() == Method::CONNECT || request.headers().contains_key(UPGRADE);
        let version = request.version();
        request.extensions_mut().insert(self.client.clone());
        if upgrades {
            let handoff = UpgradeHandoff::default();
            request.extensions_mut().insert(handoff.clone());
            self.progress.set_handoff(handoff);
        }
        AnswerFuture {
            answer: self.service.clone().oneshot(request.map(ClientBody::Http1)),
            open: Some(self.progress.open()),
            bytes_behind: if upgrades { BytesBehind::Unguarded } else { BytesBehind::Guarded },
            version,
        }
    }
}

/// Whether the guard inspects the bytes behind a request.
#[derive(Clone, Copy, Debug)]
enum BytesBehind {
    Guarded,
    Unguarded,
}

pin_project_lite::pin_project! {
    /// The answer to come of an open request.
    pub(super) struct AnswerFuture<F> {
        #[pin]
        answer: F,
        open: Option<OpenRequest>,
        bytes_behind: BytesBehind,
        version: Version,
    }
}

impl<F, B> Future for AnswerFuture<F>
where
    F: Future<Output = Result<Response<B>, Infallible>>,
    B: Body,
{
    type Output = Result<Response<AnswerBody<B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Ok(mut response) = ready!(this.answer.poll(cx));
        let open = this.open.take();
        let is_last = match this.bytes_behind {
            // hyper would read bytes that were meant for a tunnel as the next request.
            BytesBehind::Unguarded => true,
            BytesBehind::Guarded => open.as_ref().is_some_and(OpenRequest::is_last),
        };
        let is_early = open.as_ref().is_some_and(OpenRequest::is_answered_early);
        let truncation = truncation(*this.version, &response);
        let ends = is_last || is_early || truncation == Truncation::Reset;
        if ends && response.status() != StatusCode::SWITCHING_PROTOCOLS {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        // The version is the proxy's, not the node's. hyper adds `keep-alive` for an HTTP/1.0 client that
        // asked for it, even after a `close`, unless the answer is HTTP/1.0 too.
        let closes = response.headers().get(CONNECTION).is_some_and(|value| value == "close");
        *response.version_mut() = if closes { *this.version } else { Version::HTTP_11 };
        let (mut head, body) = response.into_parts();
        put_spelling(&head.headers, &mut head.extensions);
        let response = Response::from_parts(head, body);
        Poll::Ready(Ok(response.map(|body| AnswerBody { body, open, truncation, failure: None })))
    }
}

/// How a client of `version` would see that this answer is truncated. The body of an HTTP/1.0 answer
/// without a length is delimited by the end of the stream (RFC 9112, section 6.3).
fn truncation<B: Body>(version: Version, answer: &Response<B>) -> Truncation {
    let has_length = answer.body().size_hint().exact().is_some()
        || answer.headers().contains_key(CONTENT_LENGTH);
    if version == Version::HTTP_10 && !has_length { Truncation::Reset } else { Truncation::Fin }
}

pin_project_lite::pin_project! {
    /// The body of an answer. hyper drops it after its last byte.
    pub(super) struct AnswerBody<B: Body> {
        #[pin]
        body: B,
        open: Option<OpenRequest>,
        truncation: Truncation,
        failure: Option<B::Error>,
    }
}

impl<B: Body> Body for AnswerBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        if let Some(failure) = this.failure.take() {
            return Poll::Ready(Some(Err(failure)));
        }
        match ready!(this.body.poll_frame(cx)) {
            Some(Err(failure)) => {
                if let Some(open) = this.open {
                    open.truncated(*this.truncation);
                }
                // On a failure hyper discards the bytes that it has not written. While it waits, it writes
                // those before the failure, at least the head of the answer.
                *this.failure = Some(failure);
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            frame => Poll::Ready(frame),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
