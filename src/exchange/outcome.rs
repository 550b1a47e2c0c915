//! The outcome of a request: a response, or a node's socket after a 101.
//!
//! Runs for every request.

use bytes::Bytes;
use http::StatusCode;

use super::attempt::LeasedReply;
use super::body::NodeBody;
use crate::pool::{NodeSocket, Reply};
use crate::upstream::Lease;

/// What a node did with a request.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It switched protocols.
    Switched(Switched),
    /// It answered.
    Answered(NodeResponse),
}

/// A 101 that was not checked yet.
#[derive(Debug)]
pub(super) struct Switched {
    /// The node's response, and its socket.
    pub(super) response: http::Response<NodeSocket>,
    /// The lease on the node.
    pub(super) lease: Lease,
}

/// A response that is not a 101.
#[derive(Debug)]
pub(super) struct NodeResponse {
    /// The head.
    pub(super) head: http::response::Parts,
    /// The part of the body that was already read.
    pub(super) read: Bytes,
    /// The rest of the body; `None` if everything was read.
    pub(super) rest: Option<NodeBody>,
    /// The lease on the node.
    pub(super) lease: Lease,
}

impl Outcome {
    pub(super) fn new(LeasedReply { reply, lease, .. }: LeasedReply) -> Self {
        match reply {
            Reply::Switched(response) => Self::Switched(Switched { response, lease }),
            Reply::Answered(response) => {
                let (head, rest) = response.into_parts();
                Self::Answered(NodeResponse { head, read: Bytes::new(), rest: Some(rest), lease })
            }
        }
    }
}

impl NodeResponse {
    /// Its status.
    pub(super) fn status(&self) -> StatusCode {
        self.head.status
    }
}
