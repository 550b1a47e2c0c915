//! Where a request carries what says who sends it: a token, or a name and a password.
//!
//! A request with two of them in the same place is refused: Sockeye and the node could read different
//! ones. `__Host-` cookies are the only ones that a neighboring host cannot double.
//!
//! Pure. Runs for every request.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, HeaderMap};

use crate::engineio::query;
use crate::http1::cookie_values;

/// A request has no credentials that could be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CredentialFault {
    /// There are several in one place.
    #[error("the request has two {0}")]
    Doubled(&'static str),
    /// They are longer than any that could be right.
    #[error("the credentials are too long")]
    TooLong,
    /// They are not of the form that their scheme has.
    #[error("the credentials cannot be read")]
    Malformed,
}

/// Where tokens are looked for, besides `Authorization`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TokenPlaces {
    /// The name of a cookie.
    pub(crate) cookie: Option<Box<str>>,
    /// The name of a parameter of the query.
    pub(crate) query: Option<Box<str>>,
}

impl TokenPlaces {
    /// The token of a request: that of `Authorization: Bearer`, else of the cookie, else of the query.
    ///
    /// # Errors
    ///
    /// There are two in one place, or it is too long.
    pub(crate) fn find<'a>(
        &self,
        headers: &'a HeaderMap,
        query: Option<&str>,
    ) -> Result<Option<Cow<'a, str>>, CredentialFault> {
        let of_cookie = || match &self.cookie {
            Some(name) => one(cookie_values(headers, name), "cookies of that name")?
                .map(|value| text(value).map(Cow::Borrowed))
                .transpose(),
            None => Ok(None),
        };
        let of_query = || match (&self.query, query) {
            (Some(name), Some(query)) => one(query_values(query, name), "tokens in the query")?
                .map(|value| text(&value).map(|text| Cow::Owned(text.to_owned())))
                .transpose(),
            (Some(_) | None, _) => Ok(None),
        };
        let mut found = authorization(headers, "bearer")?.map(Cow::Borrowed);
        if found.is_none() {
            found = of_cookie()?;
        }
        if found.is_none() {
            found = of_query()?;
        }
        Ok(found.filter(|token| !token.is_empty()))
    }
}

/// Checks that a request has one `Authorization` at most.
///
/// # Errors
///
/// It has two, or one that is too long.
pub(super) fn single_authorization(headers: &HeaderMap) -> Result<(), CredentialFault> {
    let field = one(headers.get_all(AUTHORIZATION).into_iter(), "Authorization fields")?;
    match field.is_some_and(|field| field.len() > CREDENTIALS_BYTES_MAX) {
        true => Err(CredentialFault::TooLong),
        false => Ok(()),
    }
}

/// The name and the password of `Authorization: Basic` (RFC 7617).
///
/// # Errors
///
/// There are two, or they cannot be read.
pub(super) fn basic(headers: &HeaderMap) -> Result<Option<(String, String)>, CredentialFault> {
    let Some(encoded) = authorization(headers, "basic")? else { return Ok(None) };
    let bytes = STANDARD.decode(encoded).map_err(|_| CredentialFault::Malformed)?;
    let text = String::from_utf8(bytes).map_err(|_| CredentialFault::Malformed)?;
    let (name, password) = text.split_once(':').ok_or(CredentialFault::Malformed)?;
    Ok(Some((name.to_owned(), password.to_owned())))
}

/// What follows `scheme` in the one `Authorization` of a request; `None` if it has another scheme.
fn authorization<'a>(
    headers: &'a HeaderMap,
    scheme: &str,
) -> Result<Option<&'a str>, CredentialFault> {
    let fields = headers.get_all(AUTHORIZATION).into_iter();
    let Some(field) = one(fields, "Authorization fields")? else { return Ok(None) };
    let text = text(field.as_bytes())?;
    let (written, rest) = text.split_once(' ').unwrap_or((text, ""));
    Ok(written.eq_ignore_ascii_case(scheme).then(|| rest.trim_matches(' ')))
}

/// The only item, if there is one.
fn one<T>(
    mut items: impl Iterator<Item = T>,
    what: &'static str,
) -> Result<Option<T>, CredentialFault> {
    let first = items.next();
    match items.next() {
        Some(_) => Err(CredentialFault::Doubled(what)),
        None => Ok(first),
    }
}

fn query_values(text: &str, name: &str) -> impl Iterator<Item = Vec<u8>> {
    let named = query::pairs(text).filter(move |pair| pair.key.means(name));
    named.map(|pair| pair.value.bytes().take(CREDENTIALS_BYTES_MAX + 1).collect())
}

/// `bytes` as text, if it is not longer than credentials may be.
fn text(bytes: &[u8]) -> Result<&str, CredentialFault> {
    if bytes.len() > CREDENTIALS_BYTES_MAX {
        return Err(CredentialFault::TooLong);
    }
    std::str::from_utf8(bytes).map_err(|_| CredentialFault::Malformed)
}

/// As long as a cookie may be in browsers, twice: tokens with many claims are that long.
const CREDENTIALS_BYTES_MAX: usize = 8 * 1024;

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(lines: &[(&'static str, &[u8])]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_bytes(value).unwrap());
        }
        headers
    }

    fn places() -> TokenPlaces {
        TokenPlaces { cookie: Some("t".into()), query: Some("token".into()) }
    }

    #[test]
    fn a_token_is_found_in_the_first_place_that_has_one() {
        let check = |lines: &[(&'static str, &[u8])], query: Option<&str>, expected| {
            let headers = headers(lines);
            let found = places().find(&headers, query).unwrap();
            assert_eq!(found.as_deref(), expected, "{lines:?} {query:?}");
        };
        check(&[], None, None);
        check(&[("authorization", b"Bearer a.b.c")], None, Some("a.b.c"));
        check(&[("authorization", b"bEaReR  a.b.c ")], Some("token=q"), Some("a.b.c"));
        check(&[("authorization", b"Basic eDp5")], Some("token=q"), Some("q"));
        check(&[("authorization", b"Bearer")], Some("token=q"), None);
        check(&[("cookie", b"x=1; t=c; tt=2")], Some("token=q"), Some("c"));
        check(&[], Some("a=1&tok%65n=q%2Er&EIO=4"), Some("q.r"));
        check(&[], Some("token="), None);
        let neither = TokenPlaces::default();
        let fields = headers(&[("cookie", b"t=c")]);
        assert_eq!(neither.find(&fields, Some("token=q")), Ok(None));
    }

    #[test]
    fn two_tokens_in_one_place_are_refused() {
        let check = |lines: &[(&'static str, &[u8])], query: Option<&str>| {
            let found = places().find(&headers(lines), query).map(|found| found.is_some());
            assert!(matches!(found, Err(CredentialFault::Doubled(_))), "{lines:?} {query:?}");
        };
        check(&[("authorization", b"Bearer a"), ("authorization", b"Bearer a")], None);
        check(&[("authorization", b"Basic a"), ("authorization", b"Bearer a")], None);
        check(&[("cookie", b"t=a; t=b")], None);
        check(&[("cookie", b"t=a"), ("cookie", b"t=a")], None);
        check(&[], Some("token=a&token=b"));
        check(&[], Some("token=a&t%6fken=a"));
    }

    #[test]
    fn what_is_too_long_or_no_text_is_refused() {
        let long = [b"Bearer ", &*b"a".repeat(CREDENTIALS_BYTES_MAX)].concat();
        let fields = headers(&[("authorization", &long)]);
        assert_eq!(places().find(&fields, None), Err(CredentialFault::TooLong));
        let query = format!("token={}", "%41".repeat(CREDENTIALS_BYTES_MAX + 1));
        assert_eq!(places().find(&HeaderMap::new(), Some(&query)), Err(CredentialFault::TooLong));
        let fields = headers(&[("cookie", b"t=\xff")]);
        assert_eq!(places().find(&fields, None), Err(CredentialFault::Malformed));
    }

    #[test]
    fn a_name_and_a_password_are_read() {
        let check = |value: &[u8], expected| {
            assert_eq!(basic(&headers(&[("authorization", value)])), expected);
        };
        let pair = |name: &str, password: &str| Ok(Some((name.to_owned(), password.to_owned())));
        check(b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", pair("Aladdin", "open sesame"));
        check(b"basic dGVzdDoxMjPCow==", pair("test", "123\u{a3}"));
        check(b"Basic YTpiOmM=", pair("a", "b:c"));
        check(b"Basic Og==", pair("", ""));
        check(b"Bearer a", Ok(None));
        for malformed in [&b"Basic"[..], b"Basic YQ==", b"Basic ?", b"Basic Ov8="] {
            check(malformed, Err(CredentialFault::Malformed));
        }
    }
}
