//! One plain request to a node.
//!
//! A session dies by a poll that is asked twice and by a message that is delivered twice, so a
//! request is sent again only where it surely had no effect: its bytes never left, or it is an
//! Engine.IO handshake, which any node may answer. A node that answered, has answered.
//!
//! Runs for every request.

use std::mem;
use std::pin::{Pin, pin};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode, request};
use http_body::Body as _;

use super::asking::Asking;
use super::body::{NodeBody, RequestBody, Upload};
use super::candidates::Candidates;
use super::trial::Trial;
use super::{ExchangeError, Request};
use crate::engineio::{Call, Transport};
use crate::upstream::Lease;
use crate::upstream::pool::SendError;

/// What a node said.
#[derive(Debug)]
pub(super) struct Answer {
    /// The head.
    pub(super) head: http::response::Parts,
    /// What was read of the body already.
    pub(super) read: Bytes,
    /// The rest of the body; `None` if all was read.
    pub(super) rest: Option<NodeBody>,
    /// The place on the node that said it.
    pub(super) lease: Lease,
}

impl Answer {
    pub(super) fn new(response: http::Response<NodeBody>, lease: Lease) -> Self {
        let (head, rest) = response.into_parts();
        Self { head, read: Bytes::new(), rest: Some(rest), lease }
    }
}

/// Why a node did not answer.
#[derive(Debug)]
struct Failure {
    error: ExchangeError,
    /// No byte of the request left, and it is whole again.
    is_unsent: bool,
}

/// Asks the first of `candidates` that can be asked. What is left of `request` means nothing.
pub(super) async fn forward(
    asking: &Asking<'_>,
    request: &mut Request,
    candidates: &mut Candidates,
) -> Result<Answer, ExchangeError> {
    // Without its body a repeated request would keep the body's length, and the node would read the
    // next request on the connection as that body: request smuggling (RFC 9112, section 11.2).
    let may_repeat = asking.call.as_ref().is_some_and(|call| call.sid.is_none())
        && *request.method() == Method::GET
        && request.body().is_end_stream();
    let mut last = ExchangeError::NoNode;
    // Here and below `let … else`, for what a `while let` or a `match` looks at has room for as long as
    // its body waits.
    loop {
        let Some(lease) = candidates.next().await? else { return Err(last) };
        let trial = Trial::of(asking, &lease, candidates);
        let spare = may_repeat.then(|| copy_of_head(request));
        let Failure { error, is_unsent } = match ask(asking, &lease, request).await {
            Ok(response) => {
                trial.answered(response.status());
                return Ok(Answer::new(response, lease));
            }
            Err(failure) => failure,
        };
        trial.failed(&error);
        last = error;
        let may_go_again =
            matches!(last, ExchangeError::Connect { .. } | ExchangeError::NodeBrokeOff { .. });
        match spare {
            _ if !may_go_again => return Err(last),
            _ if is_unsent => (),
            Some(head) => *request = Request::from_parts(*head, RequestBody::EMPTY),
            None => return Err(last),
        }
    }
}

/// The head of `request` once more. In a box, for only handshakes need it.
fn copy_of_head(request: &mut Request) -> Box<request::Parts> {
    let (head, body) = mem::take(request).into_parts();
    let copy = Box::new(head.clone());
    *request = Request::from_parts(head, body);
    copy
}

/// Asks one node, over a connection that waits in the pool or else a new one.
async fn ask(
    asking: &Asking<'_>,
    lease: &Lease,
    request: &mut Request,
) -> Result<http::Response<NodeBody>, Failure> {
    let node = lease.node();
    let bytes_max = asking.body_bytes_max();
    let stalled_after = asking.route.limits.body_timeout;
    if request.body().size_hint().lower() > bytes_max {
        return Err(Failure { error: ExchangeError::BodyTooLarge(bytes_max), is_unsent: false });
    }
    let upload = request.body_mut().bound(Some(bytes_max), stalled_after);
    let after = asking.response_timeout();
    let answer = pin!(exchange_heads(asking, lease, request));
    match within(after, upload.as_deref(), answer).await {
        Some(Ok(response)) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
            let reason = "the request asked for none";
            let error = ExchangeError::BadSwitch { node: node.name().clone(), reason };
            Err(Failure { error, is_unsent: false })
        }
        Some(Ok(response)) => Ok(response),
        Some(Err(mut failure)) => {
            let cause = upload.and_then(|upload| upload.failure(&asking.route.limits, bytes_max));
            if let Some(cause) = cause {
                failure = Failure { error: cause, is_unsent: false };
            }
            Err(failure)
        }
        None => {
            let error = ExchangeError::ResponseTimeout { node: node.name().clone(), after };
            Err(Failure { error, is_unsent: false })
        }
    }
}

async fn exchange_heads(
    asking: &Asking<'_>,
    lease: &Lease,
    request: &mut Request,
) -> Result<http::Response<NodeBody>, Failure> {
    let node = lease.node();
    // A connection from the pool may have been closed by the node just now: then the request
    // comes back unsent. A new connection that does so is a node that breaks off.
    loop {
        let Some(connection) = asking.proxy.0.pool.take(node) else { break };
        match connection.send(mem::take(request)).await {
            Ok(response) => return Ok(response),
            Err(SendError::Unsent { request: unsent, .. }) => *request = *unsent,
            Err(SendError::Lost { source }) => return Err(broke_off(lease, source, false)),
        }
    }
    let connect_timeout = asking.route.upstream.connect_timeout();
    let opened = Box::pin(asking.proxy.0.pool.open(node, connect_timeout)).await;
    let connection = opened.map_err(|source| Failure {
        error: ExchangeError::Connect { node: node.name().clone(), source },
        is_unsent: true,
    })?;
    match connection.send(mem::take(request)).await {
        Ok(response) => Ok(response),
        Err(SendError::Unsent { request: unsent, source }) => {
            *request = *unsent;
            Err(broke_off(lease, source, true))
        }
        Err(SendError::Lost { source }) => Err(broke_off(lease, source, false)),
    }
}

fn broke_off(lease: &Lease, source: hyper::Error, is_unsent: bool) -> Failure {
    let node = lease.node().name().clone();
    Failure { error: ExchangeError::NodeBrokeOff { node, source }, is_unsent }
}

/// `answer`, if it comes within `after` of the end of the request's body.
async fn within<T>(
    after: Duration,
    upload: Option<&Upload>,
    answer: Pin<&mut impl Future<Output = T>>,
) -> Option<T> {
    let too_late = async {
        if let Some(upload) = upload {
            upload.has_ended().await;
        }
        tokio::time::sleep(after).await;
    };
    tokio::select! {
        biased;
        answer = answer => Some(answer),
        () = too_late => None,
    }
}

impl Asking<'_> {
    /// How long a node may take for the head of its answer.
    pub(super) fn response_timeout(&self) -> Duration {
        let limits = &self.route.limits;
        let polls = |call: &&Call| call.transport == Transport::Polling && !call.is_handshake();
        match self.call.as_ref().filter(polls) {
            Some(_) => limits.poll_timeout(self.bounds),
            None => limits.request_timeout(),
        }
    }

    /// The longest request body that goes to a node, in bytes.
    pub(super) fn body_bytes_max(&self) -> u64 {
        self.route.limits.upload_bytes_max(self.bounds)
    }
}
