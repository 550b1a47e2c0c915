//! What checks tokens as our own fuzz targets see it, through `crate::internal`. Not a public interface.
//!
//! Runs for every request.

use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::credentials::TokenPlaces;
use super::jwt::TokenCheck;
use super::settings::{JwtSettings, TokenSecret};

/// The rules of a route whose tokens one secret signs. They may be in a cookie or parameter `t`; the claims
/// `sub` and `roles` become fields.
#[derive(Debug)]
pub struct TokenRules(TokenCheck);

impl TokenRules {
    /// For tokens that `secret` signs; `None` if there is no such key.
    pub fn new(secret: &str) -> Option<Self> {
        let claims = [("sub", "x-user"), ("roles", "x-roles")];
        let claims = claims.map(|(claim, name)| (claim.to_owned(), HeaderName::from_static(name)));
        let settings = JwtSettings {
            secrets: vec![TokenSecret::new(secret)],
            places: TokenPlaces { cookie: Some("t".into()), query: Some("t".into()) },
            claims: claims.into(),
            close_expired: true,
            ..JwtSettings::default()
        };
        TokenCheck::new(&settings).ok().map(Self)
    }

    /// The fields that a request's token grants. The error is the sentence of the refusal.
    ///
    /// # Errors
    ///
    /// There is no valid token.
    pub fn check(
        &self,
        headers: &HeaderMap,
        query: Option<&str>,
    ) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
        self.0.check(headers, query).map(|grant| grant.fields).map_err(|fault| fault.to_string())
    }
}
