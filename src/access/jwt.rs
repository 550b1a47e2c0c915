//! JSON Web Tokens (RFC 7519), by the rules of RFC 8725. Nothing else knows the library.
//!
//! Runs for every request.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderValue};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Validation, decode, decode_header};
use serde_json::{Map, Value};

use super::credentials::CredentialFault;
use super::followed_file::{FileFault, FollowedFile};
use super::grant::Grant;
use super::jwt_keys::{Key, of_jwks, of_pem, of_secret};
use super::settings::JwtSettings;
use crate::Instant;

/// Checks the tokens of one route.
#[derive(Debug)]
pub(super) struct TokenCheck {
    settings: JwtSettings,
    secrets: Vec<Key>,
    files: Vec<Arc<FollowedFile<Vec<Key>>>>,
}

/// Why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenFault {
    /// The request has none.
    #[error("the request has no token")]
    Missing,
    /// It cannot be read.
    #[error(transparent)]
    Unreadable(#[from] CredentialFault),
    /// It is not three parts of base64, with JSON in the first two.
    #[error("the token is not a JSON Web Token")]
    Malformed,
    /// No key has its algorithm and its `kid`.
    #[error("the token names an algorithm or a key that is not used here")]
    NoKey,
    /// No key made its signature.
    #[error("the signature of the token is wrong")]
    BadSignature,
    /// Its `exp` has passed.
    #[error("the token has expired")]
    Expired,
    /// Its `nbf` has not come.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// Its `iss` or `aud` is not one that is accepted.
    #[error("the token is from another issuer or for another audience")]
    Foreign,
    /// A claim is missing that must be there, or is of another form.
    #[error("a claim of the token is missing or cannot be read")]
    BadClaim,
}

impl TokenCheck {
    /// Reads the keys of `settings`. Blocks for some seconds at most.
    ///
    /// # Errors
    ///
    /// A file has no keys.
    pub(super) fn new(settings: &JwtSettings) -> Result<Self, FileFault> {
        let pem = settings.public_keys.iter().map(|path| FollowedFile::open(path, of_pem));
        let jwks = settings.jwks.iter().map(|path| FollowedFile::open(path, of_jwks));
        Ok(Self {
            settings: settings.clone(),
            secrets: settings.secrets.iter().filter_map(|secret| of_secret(&secret.0)).collect(),
            files: pem.chain(jwks).collect::<Result<_, _>>()?,
        })
    }

    /// Whether some of its keys are in files.
    pub(super) fn has_files(&self) -> bool {
        !self.files.is_empty()
    }

    /// Reads the files again that have changed. Blocks for some seconds at most.
    pub(super) fn refresh(&self) {
        self.files.iter().for_each(|file| file.refresh());
    }

    /// What the token of a request grants.
    ///
    /// # Errors
    ///
    /// There is no valid one.
    pub(super) fn check(
        &self,
        headers: &HeaderMap,
        query: Option<&str>,
    ) -> Result<Grant, TokenFault> {
        let token = self.settings.places.find(headers, query)?.ok_or(TokenFault::Missing)?;
        let claims = self.claims(&token)?;
        let mut fields = Vec::new();
        for (claim, name) in &self.settings.claims {
            if let Some(value) = claims.get(claim).filter(|value| !value.is_null()) {
                fields.push((name.clone(), field_value(value).ok_or(TokenFault::BadClaim)?));
            }
        }
        let expires_at = self.settings.close_expired.then(|| expiry(&claims)).flatten();
        Ok(Grant { fields, expires_at })
    }

    fn claims(&self, token: &str) -> Result<Map<String, Value>, TokenFault> {
        let header = decode_header(token).map_err(|error| fault(error.kind()))?;
        // Extensions that must be understood, of which none is (RFC 7515, section 4.1.11).
        if header.crit.is_some() {
            return Err(TokenFault::Malformed);
        }
        let mut last = TokenFault::NoKey;
        let files: Vec<_> = self.files.iter().map(|file| file.current()).collect();
        for key in self.secrets.iter().chain(files.iter().flat_map(|file| file.iter())) {
            let is_named = match (&key.id, &header.kid) {
                (Some(id), Some(kid)) => **id == **kid,
                (None, _) | (_, None) => true,
            };
            if key.algorithm != header.alg || !is_named {
                continue;
            }
            match decode::<Map<String, Value>>(token, &key.key, &self.validation(key)) {
                Ok(token) => return Ok(token.claims),
                Err(error) => last = fault(error.kind()),
            }
            // The signature was right: no other key can make the claims right.
            if last != TokenFault::BadSignature {
                break;
            }
        }
        Err(last)
    }

    fn validation(&self, key: &Key) -> Validation {
        let JwtSettings { issuers, audiences, .. } = &self.settings;
        let mut validation = Validation::new(key.algorithm);
        validation.leeway = LEEWAY.as_secs();
        validation.validate_nbf = true;
        let mut required = vec!["exp"];
        if !issuers.is_empty() {
            validation.set_issuer(issuers);
            required.push("iss");
        }
        // Without an audience of its own, a token that names one is refused (RFC 7519, section 4.1.3).
        if !audiences.is_empty() {
            validation.set_audience(audiences);
            required.push("aud");
        }
        validation.set_required_spec_claims(&required);
        validation
    }
}

fn fault(kind: &ErrorKind) -> TokenFault {
    match kind {
        ErrorKind::InvalidSignature
        | ErrorKind::InvalidEcdsaKey
        | ErrorKind::InvalidEddsaKey
        | ErrorKind::InvalidRsaKey(_)
        | ErrorKind::InvalidKeyFormat
        | ErrorKind::Provider(_) => TokenFault::BadSignature,
        ErrorKind::InvalidAlgorithm
        | ErrorKind::InvalidAlgorithmName
        | ErrorKind::MissingAlgorithm
        | ErrorKind::UnsupportedAlgorithm => TokenFault::NoKey,
        ErrorKind::ExpiredSignature => TokenFault::Expired,
        ErrorKind::ImmatureSignature => TokenFault::NotYetValid,
        ErrorKind::InvalidIssuer | ErrorKind::InvalidAudience => TokenFault::Foreign,
        ErrorKind::MissingRequiredClaim(_)
        | ErrorKind::InvalidClaimFormat(_)
        | ErrorKind::InvalidSubject => TokenFault::BadClaim,
        _ => TokenFault::Malformed,
    }
}

/// When a token with these claims is refused, on the clock that timers use.
fn expiry(claims: &Map<String, Value>) -> Option<Instant> {
    let seconds = claims.get("exp").and_then(Value::as_f64)?;
    // Requests are refused from the next whole second on.
    let leeway = LEEWAY + Duration::from_secs(1);
    let until = Duration::try_from_secs_f64(seconds).ok()?.checked_add(leeway)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Instant::now().checked_add(until.saturating_sub(now))
}

/// A claim as the value of a field: text as it is, everything else as JSON. `None` if a field cannot
/// have it.
fn field_value(claim: &Value) -> Option<HeaderValue> {
    match claim {
        Value::String(text) => HeaderValue::from_bytes(text.as_bytes()).ok(),
        other => HeaderValue::try_from(other.to_string()).ok(),
    }
}

/// How far the clocks of the issuer and of this host may differ.
const LEEWAY: Duration = Duration::from_secs(30);
