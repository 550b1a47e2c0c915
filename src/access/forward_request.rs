//! What an authorization service gets of a request, and by what its verdict is remembered: the same
//! things, so that no verdict is used for a request that could get another one.
//!
//! Pure. Runs for every request.

use http::header::{AUTHORIZATION, COOKIE, HOST, HeaderName};
use http::{HeaderValue, Method};

use super::Visitor;
use super::grant_cache::{CredentialKey, GrantCache};
use super::settings::ForwardSettings;
use crate::engineio::query;
use crate::http1::RequestFraming;
use crate::pool::OutboundHead;

/// The request to the service.
pub(super) fn head(settings: &ForwardSettings, visitor: &Visitor<'_>) -> OutboundHead {
    let address = visitor.address.to_string();
    let cookies = cookies(visitor);
    let ours: [(HeaderName, &[u8]); 8] = [
        (HOST, settings.url.host.as_bytes()),
        (X_FORWARDED_METHOD, visitor.method.as_str().as_bytes()),
        (X_FORWARDED_PROTO, visitor.scheme.as_bytes()),
        (X_FORWARDED_HOST, visitor.host.as_bytes()),
        (X_FORWARDED_URI, visitor.target.as_bytes()),
        (X_FORWARDED_FOR, address.as_bytes()),
        (X_ORIGINAL_METHOD, visitor.method.as_str().as_bytes()),
        (X_ORIGINAL_URI, visitor.target.as_bytes()),
    ];
    let cookie = (COOKIE, &*cookies);
    let fields = {
        let of_client = sent(settings, visitor).map(|(name, value)| (name, value.as_bytes()));
        let cookie = Some(&cookie).filter(|(_, value)| !value.is_empty());
        let ours = ours.iter().chain(cookie).map(|(name, value)| (name, *value));
        ours.chain(of_client)
    };
    OutboundHead::new(&Method::GET, &settings.url.target, fields, RequestFraming::None)
}

/// All by which the service could tell requests apart; `None` if they have no credentials, or if
/// nothing is remembered.
pub(super) fn key(
    settings: &ForwardSettings,
    visitor: &Visitor<'_>,
    cache: &GrantCache,
) -> Option<CredentialKey> {
    let cookies = cookies(visitor);
    let mut has_credentials = !cookies.is_empty();
    let mut key = cache.key();
    let path = visitor.target.split('?').next().unwrap_or_default();
    let address = visitor.address.to_string();
    let page: &[u8] = if visitor.is_page { b"page" } else { b"" };
    for part in [visitor.method.as_str(), visitor.scheme, visitor.host, path, &address] {
        key.add(part.as_bytes());
    }
    key.add(page);
    key.add(&cookies);
    for (name, value) in sent(settings, visitor) {
        has_credentials = true;
        key.add(name.as_str().as_bytes());
        key.add(value.as_bytes());
    }
    // The parameters of Engine.IO differ from poll to poll; any other may be a credential.
    for pair in query::pairs(visitor.query.unwrap_or_default()) {
        if !ENGINEIO.iter().any(|name| pair.key.means(name)) {
            has_credentials = true;
            key.add(&pair.key.bytes().collect::<Vec<_>>());
            key.add(&pair.value.bytes().collect::<Vec<_>>());
        }
    }
    (has_credentials && !settings.cache.is_zero()).then(|| key.finish())
}

/// The fields of the client that go to the service, without its cookies. Not those that belong to its
/// connection: the node does not get them either.
fn sent<'a>(
    settings: &'a ForwardSettings,
    visitor: &Visitor<'a>,
) -> impl Iterator<Item = (&'a HeaderName, &'a HeaderValue)> {
    static AUTHORIZATION_NAME: HeaderName = AUTHORIZATION;
    let Visitor { headers, of_connection, .. } = *visitor;
    let names = std::iter::once(&AUTHORIZATION_NAME).chain(&settings.request_fields);
    let names = names.filter(move |name| !of_connection.contains(name));
    names.flat_map(move |name| headers.get_all(name).iter().map(move |value| (name, value)))
}

/// All cookies in one field: HTTP/1.1 allows no second one (RFC 6265, section 5.4).
fn cookies(visitor: &Visitor<'_>) -> Vec<u8> {
    if visitor.of_connection.contains(&COOKIE) {
        return Vec::new();
    }
    let values = visitor.headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes);
    values.collect::<Vec<_>>().join(&b"; "[..])
}

const X_FORWARDED_METHOD: HeaderName = HeaderName::from_static("x-forwarded-method");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_URI: HeaderName = HeaderName::from_static("x-forwarded-uri");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_ORIGINAL_METHOD: HeaderName = HeaderName::from_static("x-original-method");
const X_ORIGINAL_URI: HeaderName = HeaderName::from_static("x-original-uri");

/// The parameters that say nothing about the client.
const ENGINEIO: [&str; 6] = ["EIO", "transport", "sid", "t", "j", "b64"];
