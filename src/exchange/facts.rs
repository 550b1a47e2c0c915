//! What follows from an error: the status of our response, whose fault it is, and what is done then.
//!
//! Pure. Runs for every request.

use http::StatusCode;

use crate::access::{RateBound, Refusal};

/// The party that caused an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blame {
    /// The client or its network.
    Client,
    /// A node.
    Node,
    /// The operator, by the configuration or the state of the nodes.
    Operator,
    /// The authorization service of the route.
    AuthService,
}

impl Blame {
    /// The word for logs and metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Node => "node",
            Self::Operator => "operator",
            Self::AuthService => "auth_service",
        }
    }
}

/// What follows from an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// The status of our response.
    pub status: StatusCode,
    /// The party that caused it.
    pub blame: Blame,
    /// The word for logs and metrics.
    pub label: &'static str,
    /// Engine.IO's own error code, if there is one.
    pub engineio_code: Option<u16>,
    /// Whether the request may be sent again.
    pub retry: Retry,
    /// Whether it counts against the node when it happens to a handshake.
    pub against_node: bool,
}

/// Whether a request may be sent again after an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Retry {
    /// Never.
    Never,
    /// No byte was sent: to another node, whatever the request is.
    Unsent,
    /// It may have reached the node: once more, if it opens a session and had no body.
    Once,
}

/// What follows from each refusal.
pub(super) fn of_refusal(refusal: &Refusal) -> Facts {
    match refusal {
        Refusal::Address => facts(403, Blame::Client, "address_refused").engineio(FORBIDDEN),
        Refusal::Origin => facts(403, Blame::Client, "origin_refused").engineio(FORBIDDEN),
        Refusal::TooFast(RateBound::Requests, _) => facts(429, Blame::Client, "client_requests"),
        Refusal::TooFast(RateBound::Sessions, _) => facts(429, Blame::Client, "client_sessions"),
        Refusal::Token(_) => facts(401, Blame::Client, "token_refused"),
        Refusal::Credentials(_) => facts(401, Blame::Client, "credentials_refused"),
        Refusal::Password(..) => facts(401, Blame::Client, "password_refused"),
        Refusal::PasswordsBusy => facts(503, Blame::Operator, "passwords_busy"),
        Refusal::ByService(refusal) => match refusal.status {
            StatusCode::UNAUTHORIZED => facts(401, Blame::Client, "auth_required"),
            StatusCode::FORBIDDEN => {
                facts(403, Blame::Client, "auth_forbidden").engineio(FORBIDDEN)
            }
            redirect => facts(redirect.as_u16(), Blame::Client, "auth_redirected"),
        },
        Refusal::Service(fault) => match fault.is_absence() {
            true => facts(503, Blame::AuthService, "auth_unavailable"),
            false => facts(502, Blame::AuthService, "auth_failed"),
        },
    }
}

/// Engine.IO's code for a session that the server does not have.
pub(super) const UNKNOWN_SID: u16 = 1;

/// Engine.IO's code for a request that it cannot parse.
pub(super) const BAD_REQUEST: u16 = 3;

/// Engine.IO's code for a client that the application does not want.
const FORBIDDEN: u16 = 4;

pub(super) fn facts(status: u16, blame: Blame, label: &'static str) -> Facts {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    let (engineio_code, retry, against_node) = (None, Retry::Never, false);
    Facts { status, blame, label, engineio_code, retry, against_node }
}

impl Facts {
    pub(super) fn engineio(self, code: u16) -> Self {
        Self { engineio_code: Some(code), ..self }
    }

    pub(super) fn of_node(self, retry: Retry) -> Self {
        Self { retry, against_node: true, ..self }
    }
}
