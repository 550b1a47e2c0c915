//! Why a client may not use a route.
//!
//! Pure. Runs for every request.

use http::HeaderValue;

use super::jwt::TokenFault;

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// The client's network is in `deny`, or not in `allow`.
    #[error("this address may not use the route")]
    Address,
    /// The page's origin is not among `origins`.
    #[error("pages of this origin may not use the route")]
    Origin,
    /// There is no valid token.
    #[error("not authorized: {0}")]
    Token(TokenFault),
}

impl Refusal {
    /// What the client is asked for: `WWW-Authenticate`.
    pub(crate) fn challenge(&self) -> Option<HeaderValue> {
        match self {
            Self::Address | Self::Origin => None,
            // RFC 6750, section 3: without a token there is no error.
            Self::Token(TokenFault::Missing) => Some(HeaderValue::from_static("Bearer")),
            Self::Token(fault) => {
                let text = format!("Bearer error=\"invalid_token\", error_description=\"{fault}\"");
                HeaderValue::try_from(text).ok()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Refusal {
        /// The next kind after this one; the first is [`Refusal::Address`].
        pub(crate) fn next(&self) -> Option<Self> {
            match self {
                Self::Address => Some(Self::Origin),
                Self::Origin => Some(Self::Token(TokenFault::Missing)),
                Self::Token(_) => None,
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
