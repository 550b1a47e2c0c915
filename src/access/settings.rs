//! Who may use a route, as configured.
//!
//! Runs at start, at reload, or on a timer.

use std::fmt;
use std::path::PathBuf;

use http::HeaderName;
use ipnet::IpNet;

use super::credentials::TokenPlaces;
use super::origins::Origins;

/// Who may use a route. By default everybody may.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    /// The networks of clients that are refused.
    pub(crate) deny: Vec<IpNet>,
    /// If there are any, clients of all other networks are refused.
    pub(crate) allow: Vec<IpNet>,
    /// The pages that may use it. `None`: all, with a warning where that looks wrong.
    pub(crate) origins: Option<Origins>,
    /// How clients say who they are. `None`: they need not.
    pub(crate) auth: Option<AuthSettings>,
}

/// How clients say who they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AuthSettings {
    /// By a JSON Web Token.
    Jwt(JwtSettings),
}

/// Which tokens are accepted, and what of them goes to the nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct JwtSettings {
    /// Keys of HS256.
    pub(crate) secrets: Vec<TokenSecret>,
    /// Files with a public key each, PEM.
    pub(crate) public_keys: Vec<PathBuf>,
    /// A file with a JWK set.
    pub(crate) jwks: Option<PathBuf>,
    /// The issuers that are accepted; all if empty.
    pub(crate) issuers: Vec<String>,
    /// The audiences that we are; if empty, tokens must name none.
    pub(crate) audiences: Vec<String>,
    /// Where the token is.
    pub(crate) places: TokenPlaces,
    /// Claims, each with the field in which the node gets it.
    pub(crate) claims: Vec<(String, HeaderName)>,
    /// Whether a WebSocket ends when its token expires.
    pub(crate) close_expired: bool,
}

/// A secret that never appears in logs or output.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct TokenSecret(pub(super) Box<[u8]>);

impl TokenSecret {
    /// A secret of these bytes.
    pub(crate) fn new(text: &str) -> Self {
        Self(text.as_bytes().into())
    }
}

impl fmt::Debug for TokenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSecret(hidden)")
    }
}

impl Settings {
    /// Whether everybody may, so that nothing has to be checked.
    pub(crate) fn is_open(&self) -> bool {
        *self == Self::default()
    }
}
