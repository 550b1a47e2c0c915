//! Why a client may not use a route.
//!
//! Pure. Runs for every request.

use std::time::Duration;

use http::{HeaderName, HeaderValue, StatusCode};

use super::basic::PasswordFault;
use super::credentials::CredentialFault;
use super::grant::Fields;
use super::jwt::TokenFault;
use crate::tls::NodeTlsFaultKind;

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// The client's network is in `deny`, or not in `allow`.
    #[error("this address may not use the route")]
    Address,
    /// The page's origin is not among `origins`.
    #[error("pages of this origin may not use the route")]
    Origin,
    /// The client's network has reached a rate, for so long.
    #[error("too many requests from this network: {} is reached", .0.key())]
    TooFast(RateBound, Duration),
    /// There is no valid token.
    #[error("not authorized: {0}")]
    Token(TokenFault),
    /// Its credentials could be read in two ways.
    #[error("not authorized: {0}")]
    Credentials(CredentialFault),
    /// The name or the password is not right; what the client is asked for.
    #[error("not authorized: {0}")]
    Password(PasswordFault, HeaderValue),
    /// Too many passwords are to be checked.
    #[error("too many passwords wait to be checked")]
    PasswordsBusy,
    /// The authorization service refuses the client.
    #[error("{}", match .0.status {
        StatusCode::FORBIDDEN => "the authorization service forbids it",
        _ => "not authorized: the authorization service asks for credentials",
    })]
    ByService(Box<ServiceRefusal>),
    /// The authorization service is at fault.
    #[error("the authorization service {0}")]
    Service(ServiceFault),
}

/// What an authorization service says to a client that it refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServiceRefusal {
    /// 401, 403, or a redirect.
    pub(crate) status: StatusCode,
    /// The fields that the client gets.
    pub(crate) fields: Fields,
}

/// Why an authorization service has no say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ServiceFault {
    /// No connection.
    #[error("is unreachable")]
    Unreachable,
    /// No TLS, or one with a stranger.
    #[error("is unreachable by TLS: {}", .0.what())]
    NoTls(NodeTlsFaultKind),
    /// It was too slow.
    #[error("did not respond in time")]
    TimedOut,
    /// It closed the connection.
    #[error("closed the connection before it responded")]
    BrokeOff,
    /// What it sent is not HTTP/1.1, or too large.
    #[error("sent no response of HTTP/1.1")]
    NotHttp,
    /// A status that is neither 2xx nor 401, 403 or a redirect with `Location`.
    #[error("responded with status {0}")]
    Status(u16),
}

impl ServiceFault {
    /// Whether the service said nothing at all.
    pub(crate) fn is_absence(self) -> bool {
        match self {
            Self::Unreachable | Self::NoTls(_) | Self::TimedOut => true,
            Self::BrokeOff | Self::NotHttp | Self::Status(_) => false,
        }
    }
}

/// A rate of each client network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RateBound {
    /// Of all requests.
    Requests,
    /// Of requests that open a session.
    Sessions,
}

impl RateBound {
    /// Its key in the configuration.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Requests => "client_limits.requests_per_second",
            Self::Sessions => "client_limits.sessions_per_second",
        }
    }
}

impl Refusal {
    /// After how many seconds the client may try again: `Retry-After`.
    pub(crate) fn retry_after(&self) -> Option<HeaderValue> {
        match self {
            Self::TooFast(_, wait) => Some(HeaderValue::from(wait.as_secs().saturating_add(1))),
            Self::Address
            | Self::Origin
            | Self::Token(_)
            | Self::Credentials(_)
            | Self::Password(..)
            | Self::PasswordsBusy
            | Self::ByService(_)
            | Self::Service(_) => None,
        }
    }

    /// What the client is asked for: `WWW-Authenticate`.
    pub(crate) fn challenge(&self) -> Option<HeaderValue> {
        match self {
            Self::Address
            | Self::Origin
            | Self::TooFast(..)
            | Self::Credentials(_)
            | Self::PasswordsBusy
            | Self::ByService(_)
            | Self::Service(_) => None,
            Self::Password(_, challenge) => Some(challenge.clone()),
            // RFC 6750, section 3: without a token there is no error.
            Self::Token(TokenFault::Missing) => Some(HeaderValue::from_static("Bearer")),
            Self::Token(fault) => {
                let text = format!("Bearer error=\"invalid_token\", error_description=\"{fault}\"");
                HeaderValue::try_from(text).ok()
            }
        }
    }

    /// More fields that the client gets.
    pub(crate) fn fields(&self) -> &[(HeaderName, HeaderValue)] {
        if let Self::ByService(refusal) = self { &refusal.fields } else { &[] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_service(status: StatusCode) -> Refusal {
        Refusal::ByService(Box::new(ServiceRefusal { status, fields: Vec::new() }))
    }

    impl Refusal {
        /// The next kind after this one; the first is [`Refusal::Address`].
        pub(crate) fn next(&self) -> Option<Self> {
            match self {
                Self::Address => Some(Self::Origin),
                Self::Origin => Some(Self::TooFast(RateBound::Requests, Duration::ZERO)),
                Self::TooFast(RateBound::Requests, wait) => {
                    Some(Self::TooFast(RateBound::Sessions, *wait))
                }
                Self::TooFast(RateBound::Sessions, _) => Some(Self::Token(TokenFault::Missing)),
                Self::Token(_) => Some(Self::Credentials(CredentialFault::Malformed)),
                Self::Credentials(_) => {
                    let challenge = HeaderValue::from_static("Basic realm=\"a\"");
                    Some(Self::Password(PasswordFault::Wrong, challenge))
                }
                Self::Password(..) => Some(Self::PasswordsBusy),
                Self::PasswordsBusy => Some(by_service(StatusCode::UNAUTHORIZED)),
                Self::ByService(refusal) => match refusal.status {
                    StatusCode::UNAUTHORIZED => Some(by_service(StatusCode::FORBIDDEN)),
                    StatusCode::FORBIDDEN => Some(by_service(StatusCode::FOUND)),
                    _ => Some(Self::Service(ServiceFault::TimedOut)),
                },
                Self::Service(ServiceFault::TimedOut) => {
                    Some(Self::Service(ServiceFault::Status(500)))
                }
                Self::Service(_) => None,
            }
        }
    }

    #[test]
    fn who_has_no_valid_token_learns_that_one_is_needed() {
        let check = |fault, expected: &str| {
            assert_eq!(Refusal::Token(fault).challenge().unwrap(), expected);
        };
        check(TokenFault::Missing, "Bearer");
        let expired = r#"Bearer error="invalid_token", error_description="the token has expired""#;
        check(TokenFault::Expired, expired);
        assert_eq!(Refusal::Origin.challenge(), None);
    }
}
