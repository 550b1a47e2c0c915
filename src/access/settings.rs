//! Who may use a route, as configured.
//!
//! Runs at start, at reload, or on a timer.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use ipnet::IpNet;

use super::credentials::TokenPlaces;
use super::origins::Origins;
use super::service_url::ServiceUrl;
use crate::tls::NodeTls;

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
    /// An authorization service decides.
    Forward(ForwardSettings),
    /// By a name and a password.
    Basic(BasicSettings),
}

impl AuthSettings {
    /// The files of keys and users, which are read again by themselves.
    pub(crate) fn files(&self) -> Vec<&PathBuf> {
        match self {
            Self::Jwt(jwt) => jwt.public_keys.iter().chain(&jwt.jwks).collect(),
            Self::Basic(basic) => basic.file.iter().collect(),
            Self::Forward(_) => Vec::new(),
        }
    }

    /// The fields by which nodes learn who a client is.
    pub(super) fn owned_fields(&self) -> impl Iterator<Item = &HeaderName> {
        let (claims, fields): (&[_], &[_]) = match self {
            Self::Jwt(jwt) => (&jwt.claims, &[]),
            Self::Forward(forward) => (&[], &forward.response_fields),
            Self::Basic(basic) => (&[], basic.user_field.as_slice()),
        };
        claims.iter().map(|(_, name): &(String, _)| name).chain(fields)
    }
}

/// How an authorization service is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ForwardSettings {
    /// Where it is.
    pub(crate) url: ServiceUrl,
    /// TLS to it; there is one exactly if the URL is of `https`.
    pub(crate) tls: Option<Arc<NodeTls>>,
    /// How long it may take.
    pub(crate) timeout: Duration,
    /// How long what it allows is remembered; zero is not at all.
    pub(crate) cache: Duration,
    /// The fields of the client that it gets, besides `Authorization` and `Cookie`.
    pub(crate) request_fields: Vec<HeaderName>,
    /// The fields of its response that nodes get.
    pub(crate) response_fields: Vec<HeaderName>,
    /// The fields of its response that a client that it refuses gets.
    pub(crate) refusal_fields: Vec<HeaderName>,
}

impl ForwardSettings {
    /// The service at `url`, asked over `tls`, and defaults otherwise.
    pub(crate) fn new(url: ServiceUrl, tls: Option<Arc<NodeTls>>) -> Self {
        Self {
            url,
            tls,
            timeout: Self::TIMEOUT,
            cache: Self::CACHE,
            request_fields: Vec::new(),
            response_fields: Vec::new(),
            refusal_fields: Vec::new(),
        }
    }

    /// The default of `timeout`.
    pub(crate) const TIMEOUT: Duration = Duration::from_secs(2);

    /// The default of `cache`: most of the polls of a session, and no long wait after a logout.
    pub(crate) const CACHE: Duration = Duration::from_secs(10);
}

/// The names and passwords of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BasicSettings {
    /// Lines of `name:hash`.
    pub(crate) passwords: Vec<TokenSecret>,
    /// A file with such lines.
    pub(crate) file: Option<PathBuf>,
    /// What the client is told that the password is for.
    pub(crate) realm: String,
    /// The field in which nodes get the name.
    pub(crate) user_field: Option<HeaderName>,
}

impl BasicSettings {
    /// The default of `realm`.
    pub(crate) const REALM: &str = "Sockeye";
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
    /// The authorization service that is asked.
    pub(crate) fn service(&self) -> Option<&ForwardSettings> {
        match &self.auth {
            Some(AuthSettings::Forward(service)) => Some(service),
            Some(AuthSettings::Jwt(_) | AuthSettings::Basic(_)) | None => None,
        }
    }

    /// Whether everybody may, so that nothing has to be checked.
    pub(crate) fn is_open(&self) -> bool {
        *self == Self::default()
    }
}
