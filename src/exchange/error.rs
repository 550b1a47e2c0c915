//! The errors of an exchange, and what the client gets for each.
//!
//! What follows from each error is in one table, [`ExchangeError::facts`].
//!
//! Runs for every request.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::header::ALLOW;
use http::{HeaderName, HeaderValue};

use super::facts::{BAD_REQUEST, UNKNOWN_SID, facts, of_refusal};
pub(crate) use super::facts::{Blame, Facts, Retry};
use crate::access::Refusal;
use crate::engineio::CallError;
use crate::http1::HeadFault;
use crate::pool::ConnectError;
use crate::site::FileError;

/// Why a request got our own response instead of a node's.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExchangeError {
    /// The request does not name one valid host, in its target or `Host` (RFC 9112, section 3.2).
    #[error("the request must name one host, in its Host field")]
    BadHost,
    /// The request's target has a form that its method does not allow (RFC 9112, section 3.2).
    #[error("the request target is invalid: {0}")]
    BadTarget(&'static str),
    /// A CONNECT, which only a forward proxy serves.
    #[error("CONNECT is not served here: this is not a forward proxy")]
    ForwardProxying,
    /// An extended CONNECT (RFC 8441) for anything but a WebSocket.
    #[error("the only :protocol that is served is websocket")]
    UnknownProtocol,
    /// The Engine.IO parameters of the query contradict each other.
    #[error("the Engine.IO parameters of the query cannot be read: {0}")]
    BadCall(#[from] CallError),
    /// An upgrade request that RFC 6455, section 4.1 does not allow.
    #[error("not a valid handshake: {0}")]
    BadUpgrade(&'static str),
    /// No route serves the request's host and path.
    #[error("no route serves this host and path")]
    NoRoute,
    /// The route serves files, and there is none at the path.
    #[error("there is no file at this path")]
    NoFile,
    /// The route serves files, which cannot be written.
    #[error("files can only be read, by GET or HEAD")]
    MethodNotAllowed,
    /// A request of Engine.IO or for a WebSocket on a route that has no node.
    #[error("this path serves files and knows no sessions and no WebSockets")]
    OnlyFiles,
    /// A file is there and cannot be read.
    #[error("the file cannot be read")]
    FileFailed(#[source] io::Error),
    /// This process can open no more files now.
    #[error("no file can be opened now")]
    FilesBusy(#[source] io::Error),
    /// The rules of the route refuse the client.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The request's body made no progress.
    #[error("the request's body made no progress for {0:?}")]
    BodyStalled(Duration),
    /// The request's body is longer than the route or the node allows.
    #[error("the request's body is longer than {0} bytes")]
    BodyTooLarge(u64),
    /// The client broke off while it sent the request's body.
    #[error("the client disconnected before its request was complete")]
    ClientGone,
    /// The node of the session has left the upstream.
    #[error("Session ID unknown")]
    SessionGone,
    /// All nodes have refused the session a short time ago: a client that does not give up, or one that made
    /// it up.
    #[error("Session ID unknown")]
    SessionUnknown,
    /// The upstream has no node that could be asked.
    #[error("no node of the upstream can take the request")]
    NoNode,
    /// No node could take the session, or its turn did not come, while its handshake was held.
    #[error("no node could take the session within {0:?}")]
    NotAdmitted(Duration),
    /// Too many handshakes wait already.
    #[error("too many handshakes wait for a node")]
    QueueFull,
    /// The process shuts down, and a handshake that waits may go to another proxy.
    #[error("the proxy is stopping")]
    Stopping,
    /// The session's node has failed several consecutive connects.
    #[error("the node of the session is dead")]
    NodeDead {
        /// The node's name.
        node: Arc<str>,
    },
    /// The session's node was drained, and the time for its sessions is over.
    #[error("the node of the session has been drained")]
    NodeDrained {
        /// The node's name.
        node: Arc<str>,
    },
    /// The node did not accept a connection.
    #[error("cannot connect to the node{}", of_connect(source))]
    Connect {
        /// The node's name.
        node: Arc<str>,
        /// What failed.
        source: ConnectError,
    },
    /// This process can open no connection to any node.
    #[error("the proxy has no socket left for a connection to a node")]
    NoSocket(#[source] ConnectError),
    /// The node ended the connection before the head of its response.
    #[error("the node closed the connection before it responded")]
    NodeBrokeOff {
        /// The node's name.
        node: Arc<str>,
        /// What failed.
        source: io::Error,
    },
    /// The head of the node's response is not valid HTTP/1.1.
    #[error("the node's response is not HTTP/1.1")]
    BadAnswer {
        /// The node's name.
        node: Arc<str>,
        /// What is wrong.
        source: HeadFault,
    },
    /// The node read nothing of the request.
    #[error("the node read nothing of the request for {after:?}")]
    NodeNotReading {
        /// The node's name.
        node: Arc<str>,
        /// The timeout.
        after: Duration,
    },
    /// A session whose node is not known was not found, but not every node could be asked.
    #[error("the session was not found, and not every node could be asked")]
    SearchIncomplete {
        /// The node that could not be asked; `None` if the request could be sent only once.
        node: Option<Arc<str>>,
    },
    /// The head of the node's response did not arrive in time.
    #[error("the node did not respond within {after:?}")]
    ResponseTimeout {
        /// The node's name.
        node: Arc<str>,
        /// The timeout.
        after: Duration,
    },
    /// The node's 101 is not the response to the client's handshake, or another would be taken for one (RFC 6455, section 4.1).
    #[error("the node's response does not match this handshake: {reason}")]
    BadSwitch {
        /// The node's name.
        node: Arc<str>,
        /// Which field is wrong.
        reason: &'static str,
    },
    /// A response that had to be read before it was passed on broke off.
    #[error("the node's response ended early")]
    AnswerBrokeOff {
        /// The node's name.
        node: Arc<str>,
        /// What failed.
        source: io::Error,
    },
}

impl From<FileError> for ExchangeError {
    fn from(error: FileError) -> Self {
        match error {
            FileError::Busy(error) => Self::FilesBusy(error),
            FileError::Failed(error) => Self::FileFailed(error),
        }
    }
}

impl ExchangeError {
    /// What follows from each error, in one table.
    pub(crate) fn facts(&self) -> Facts {
        use Blame::{Client, Node, Operator};
        use Retry::{Never, Once, Unsent};
        match self {
            Self::BadHost => facts(400, Client, "bad_host"),
            Self::BadTarget(_) => facts(400, Client, "bad_target"),
            Self::ForwardProxying => facts(501, Client, "forward_proxying"),
            Self::UnknownProtocol => facts(501, Client, "unknown_protocol"),
            Self::BadCall(_) => facts(400, Client, "bad_call").engineio(BAD_REQUEST),
            Self::BadUpgrade(_) => facts(400, Client, "bad_upgrade").engineio(BAD_REQUEST),
            Self::NoRoute => facts(404, Client, "no_route"),
            Self::NoFile => facts(404, Client, "no_file"),
            Self::MethodNotAllowed => facts(405, Client, "method_not_allowed"),
            Self::OnlyFiles => facts(404, Client, "only_files"),
            Self::FileFailed(_) => facts(500, Operator, "file_failed"),
            Self::FilesBusy(_) => facts(503, Operator, "files_busy"),
            Self::Refused(refusal) => of_refusal(refusal),
            Self::BodyStalled(_) => facts(408, Client, "body_stalled"),
            Self::BodyTooLarge(_) => facts(413, Client, "body_too_large"),
            Self::ClientGone => facts(400, Client, "client_gone"),
            Self::SessionGone => facts(400, Operator, "session_gone").engineio(UNKNOWN_SID),
            Self::SessionUnknown => facts(400, Client, "session_unknown").engineio(UNKNOWN_SID),
            Self::NoNode => facts(503, Operator, "no_node"),
            Self::NotAdmitted(_) => facts(503, Operator, "not_admitted"),
            Self::QueueFull => facts(503, Operator, "queue_full"),
            Self::Stopping => facts(503, Operator, "stopping"),
            Self::NodeDead { .. } => facts(502, Node, "node_dead"),
            Self::NodeDrained { .. } => facts(503, Operator, "node_drained"),
            Self::Connect { .. } => facts(502, Node, "connect").of_node(Unsent),
            // Another node may have an idle connection.
            Self::NoSocket(_) => Facts { retry: Unsent, ..facts(503, Operator, "no_socket") },
            Self::NodeBrokeOff { .. } => facts(502, Node, "node_broke_off").of_node(Once),
            Self::BadAnswer { .. } => facts(502, Node, "bad_answer").of_node(Once),
            Self::NodeNotReading { .. } => facts(504, Node, "node_not_reading").of_node(Never),
            Self::ResponseTimeout { .. } => facts(504, Node, "response_timeout").of_node(Never),
            Self::BadSwitch { .. } => facts(502, Node, "bad_switch").of_node(Never),
            Self::AnswerBrokeOff { .. } => facts(502, Node, "answer_broke_off"),
            Self::SearchIncomplete { .. } => facts(502, Node, "search_incomplete"),
        }
    }

    /// Whether the client's connection must end with the response: a client that disagrees with us
    /// about the meaning of a request may also disagree about where the next one begins.
    pub(crate) fn ends_connection(&self) -> bool {
        matches!(self, Self::BadHost | Self::BadTarget(_))
    }

    /// After how many seconds the client may try again: `Retry-After`.
    pub(crate) fn retry_after(&self) -> Option<HeaderValue> {
        match self {
            Self::Refused(refusal) => refusal.retry_after(),
            Self::FilesBusy(_) | Self::NoSocket(_) => Some(HeaderValue::from_static("1")),
            _ => None,
        }
    }

    /// What the client is asked for: `WWW-Authenticate`.
    pub(crate) fn challenge(&self) -> Option<HeaderValue> {
        if let Self::Refused(refusal) = self { refusal.challenge() } else { None }
    }

    /// More fields that the client gets.
    pub(crate) fn fields(&self) -> &[(HeaderName, HeaderValue)] {
        static READ_ONLY: [(HeaderName, HeaderValue); 1] =
            [(ALLOW, HeaderValue::from_static("GET, HEAD"))];
        match self {
            Self::Refused(refusal) => refusal.fields(),
            Self::MethodNotAllowed => &READ_ONLY,
            _ => &[],
        }
    }

    /// Whether a page of another origin may read our response: not if the route refuses its origin.
    pub(crate) fn may_be_read_by_pages(&self) -> bool {
        !matches!(self, Self::Refused(Refusal::Origin))
    }

    /// The node that was involved.
    pub(crate) fn node(&self) -> Option<&str> {
        match self {
            Self::NodeDead { node }
            | Self::NodeDrained { node }
            | Self::Connect { node, .. }
            | Self::NodeBrokeOff { node, .. }
            | Self::ResponseTimeout { node, .. }
            | Self::BadAnswer { node, .. }
            | Self::NodeNotReading { node, .. }
            | Self::BadSwitch { node, .. }
            | Self::AnswerBrokeOff { node, .. } => Some(node),
            Self::SearchIncomplete { node } => node.as_deref(),
            Self::BadHost
            | Self::BadTarget(_)
            | Self::ForwardProxying
            | Self::UnknownProtocol
            | Self::BadCall(_)
            | Self::BadUpgrade(_)
            | Self::NoRoute
            | Self::NoFile
            | Self::MethodNotAllowed
            | Self::OnlyFiles
            | Self::FileFailed(_)
            | Self::FilesBusy(_)
            | Self::Refused(_)
            | Self::BodyStalled(_)
            | Self::BodyTooLarge(_)
            | Self::ClientGone
            | Self::SessionGone
            | Self::SessionUnknown
            | Self::NoNode
            | Self::NoSocket(_)
            | Self::NotAdmitted(_)
            | Self::QueueFull
            | Self::Stopping => None,
        }
    }
}

/// What TLS has against the node, which is the same for every client.
fn of_connect(error: &ConnectError) -> String {
    error.what().map(|what| format!(": {what}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::iter::successors;

    use super::*;

    impl ExchangeError {
        /// One of each kind.
        pub(crate) fn all() -> impl Iterator<Item = Self> {
            successors(Some(Self::BadHost), Self::next)
        }

        fn next(&self) -> Option<Self> {
            let (node, after): (Arc<str>, _) = ("n1".into(), Duration::from_secs(1));
            let source = || io::Error::from(io::ErrorKind::ConnectionReset);
            Some(match self {
                Self::BadHost => Self::BadTarget("not a path"),
                Self::BadTarget(_) => Self::ForwardProxying,
                Self::ForwardProxying => Self::UnknownProtocol,
                Self::UnknownProtocol => Self::BadCall(CallError::BadSid),
                Self::BadCall(_) => Self::BadUpgrade("no key"),
                Self::BadUpgrade(_) => Self::NoRoute,
                Self::NoRoute => Self::NoFile,
                Self::NoFile => Self::MethodNotAllowed,
                Self::MethodNotAllowed => Self::OnlyFiles,
                Self::OnlyFiles => Self::FileFailed(source()),
                Self::FileFailed(_) => Self::FilesBusy(source()),
                Self::FilesBusy(_) => Self::Refused(Refusal::Address),
                Self::Refused(refusal) => {
                    refusal.next().map_or(Self::BodyStalled(after), Self::Refused)
                }
                Self::BodyStalled(_) => Self::BodyTooLarge(1),
                Self::BodyTooLarge(_) => Self::ClientGone,
                Self::ClientGone => Self::SessionGone,
                Self::SessionGone => Self::SessionUnknown,
                Self::SessionUnknown => Self::NoNode,
                Self::NoNode => Self::NotAdmitted(after),
                Self::NotAdmitted(_) => Self::QueueFull,
                Self::QueueFull => Self::Stopping,
                Self::Stopping => Self::NodeDead { node },
                Self::NodeDead { .. } => Self::NodeDrained { node },
                Self::NodeDrained { .. } => {
                    let timed_out = ConnectError::TimedOut { node: node.clone(), timeout: after };
                    Self::Connect { node, source: timed_out }
                }
                Self::Connect { .. } => {
                    Self::NoSocket(ConnectError::TimedOut { node, timeout: after })
                }
                Self::NoSocket(_) => Self::NodeBrokeOff { node, source: source() },
                Self::NodeBrokeOff { .. } => Self::BadAnswer { node, source: HeadFault::Version },
                Self::BadAnswer { .. } => Self::NodeNotReading { node, after },
                Self::NodeNotReading { .. } => Self::SearchIncomplete { node: None },
                Self::SearchIncomplete { .. } => Self::ResponseTimeout { node, after },
                Self::ResponseTimeout { .. } => Self::BadSwitch { node, reason: "no accept" },
                Self::BadSwitch { .. } => Self::AnswerBrokeOff { node, source: source() },
                Self::AnswerBrokeOff { .. } => return None,
            })
        }
    }

    #[test]
    fn an_error_that_has_a_node_names_it() {
        for error in ExchangeError::all() {
            let facts = error.facts();
            assert!(error.node().is_some() || !facts.against_node, "{error:?}");
            let is_ours = matches!(error, ExchangeError::NoSocket(_));
            assert!(facts.retry == Retry::Never || facts.against_node || is_ours, "{error:?}");
        }
    }
}
