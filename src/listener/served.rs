//! The service as hyper sees it: each request is told who sent it, and open until its answer's
//! last byte.
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

use super::progress::{Cut, OpenRequest, Progress};
use super::spelling::put_spelling;
use crate::client::{ClientInfo, Takeover};

/// A service that clients' connections can be served with; any tower service of this form is one.
pub trait ClientService:
    tower::Service<
        Request<Incoming>,
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
    S: tower::Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static,
    B: Body<Data: Send, Error: Into<BoxError> + Send> + Send + 'static,
{
    type Body = B;
}

/// One connection's service.
#[derive(Debug)]
pub(super) struct Served<S> {
    pub(super) service: S,
    pub(super) client: ClientInfo,
    pub(super) progress: Arc<Progress>,
}

impl<S: ClientService> hyper::service::Service<Request<Incoming>> for Served<S> {
    type Response = Response<Answer<S::Body>>;
    type Error = Infallible;
    type Future = Answering<Oneshot<S, Request<Incoming>>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        // As the guard sees it: it does not look at the bytes behind such a request.
        let upgrades =
            request.method() == Method::CONNECT || request.headers().contains_key(UPGRADE);
        let version = request.version();
        request.extensions_mut().insert(self.client.clone());
        if upgrades {
            let takeover = Takeover::default();
            request.extensions_mut().insert(takeover.clone());
            self.progress.may_end_in(takeover);
        }
        Answering {
            answer: self.service.clone().oneshot(request),
            open: Some(self.progress.open()),
            behind: if upgrades { Behind::Unguarded } else { Behind::Guarded },
            version,
        }
    }
}

/// Whether the guard looks at the bytes behind a request.
#[derive(Clone, Copy, Debug)]
enum Behind {
    Guarded,
    Unguarded,
}

pin_project_lite::pin_project! {
    /// A request that has no answer yet.
    pub(super) struct Answering<F> {
        #[pin]
        answer: F,
        open: Option<OpenRequest>,
        behind: Behind,
        version: Version,
    }
}

impl<F, B> Future for Answering<F>
where
    F: Future<Output = Result<Response<B>, Infallible>>,
    B: Body,
{
    type Output = Result<Response<Answer<B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Ok(mut response) = ready!(this.answer.poll(cx));
        let open = this.open.take();
        let is_last = match this.behind {
            // hyper would take bytes that were meant for a tunnel for the next request.
            Behind::Unguarded => true,
            Behind::Guarded => open.as_ref().is_some_and(OpenRequest::is_last),
        };
        let is_early = open.as_ref().is_some_and(OpenRequest::is_early);
        let cut = cut_of(*this.version, &response);
        let ends = is_last || is_early || cut == Cut::Reset;
        if ends && response.status() != StatusCode::SWITCHING_PROTOCOLS {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        // The version is ours and not the node's. hyper adds `keep-alive` for an HTTP/1.0 client that
        // asked for it, even behind a `close`, unless the answer is of HTTP/1.0 too.
        let closes = response.headers().get(CONNECTION).is_some_and(|value| value == "close");
        *response.version_mut() = if closes { *this.version } else { Version::HTTP_11 };
        let (mut head, body) = response.into_parts();
        put_spelling(&head.headers, &mut head.extensions);
        let response = Response::from_parts(head, body);
        Poll::Ready(Ok(response.map(|body| Answer { body, open, cut, failure: None })))
    }
}

/// How the client of `version` sees that this answer breaks off. The body of an HTTP/1.0 answer
/// without a length is delimited by the end of the stream (RFC 9112, section 6.3).
fn cut_of<B: Body>(version: Version, answer: &Response<B>) -> Cut {
    let has_length = answer.body().size_hint().exact().is_some()
        || answer.headers().contains_key(CONTENT_LENGTH);
    if version == Version::HTTP_10 && !has_length { Cut::Reset } else { Cut::End }
}

pin_project_lite::pin_project! {
    /// The body of an answer; hyper drops it when it has taken all of it.
    pub(super) struct Answer<B: Body> {
        #[pin]
        body: B,
        open: Option<OpenRequest>,
        cut: Cut,
        failure: Option<B::Error>,
    }
}

impl<B: Body> Body for Answer<B> {
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
                    open.broke_off(*this.cut);
                }
                // hyper throws away what it has not written when it hears of the failure: it writes
                // what came before, at least the answer's head, while it waits.
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
