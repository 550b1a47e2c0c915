//! The URL of an authorization service.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::fmt;

use http::uri::{PathAndQuery, Scheme, Uri};

use crate::upstream::NodeAddress;

/// The URL of an authorization service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServiceUrl {
    /// Where it listens.
    pub(crate) address: NodeAddress,
    /// The `Host` that it gets.
    pub(crate) host: Box<str>,
    /// Path and query.
    pub(crate) target: Box<str>,
    /// Whether it is asked over TLS.
    pub(crate) is_https: bool,
}

/// Why a text is not the URL of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UrlFault {
    /// It is not a URL of `http` or `https` with a host.
    #[error("is not the URL of a service")]
    NotAUrl,
    /// It has a user.
    #[error("has a user, and a service is asked without one")]
    HasUser,
}

impl ServiceUrl {
    /// The URL in `text`.
    ///
    /// # Errors
    ///
    /// Why it is none.
    pub(crate) fn parse(text: &str) -> Result<Self, UrlFault> {
        if text.contains('#') {
            return Err(UrlFault::NotAUrl);
        }
        let uri: Uri = text.parse().map_err(|_| UrlFault::NotAUrl)?;
        let is_https = uri.scheme() == Some(&Scheme::HTTPS);
        let authority = uri.authority().filter(|_| is_https || uri.scheme() == Some(&Scheme::HTTP));
        let authority = authority.ok_or(UrlFault::NotAUrl)?;
        if authority.as_str().contains('@') {
            return Err(UrlFault::HasUser);
        }
        let written_port = authority.as_str().strip_prefix(authority.host()).unwrap_or_default();
        let port = match written_port.strip_prefix(':') {
            Some(port) => port.parse().ok().filter(|port| *port != 0).ok_or(UrlFault::NotAUrl)?,
            None if is_https => 443,
            None => 80,
        };
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err(UrlFault::NotAUrl);
        }
        Ok(Self {
            address: NodeAddress { host: host.into(), port },
            host: authority.as_str().into(),
            target: uri.path_and_query().map_or("/", PathAndQuery::as_str).into(),
            is_https,
        })
    }
}

impl fmt::Display for ServiceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_https { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.host, self.target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_an_address_a_host_and_a_target() {
        let check = |text: &str, address: &str, host: &str, target: &str| {
            let url = ServiceUrl::parse(text).unwrap();
            let found = (url.address.to_string(), &*url.host, &*url.target);
            assert_eq!(found, (address.to_owned(), host, target), "{text}");
            assert_eq!(url.is_https, text.starts_with("https"), "{text}");
            assert_eq!(ServiceUrl::parse(&url.to_string()), Ok(url), "{text}");
        };
        check("http://auth", "auth:80", "auth", "/");
        check("https://auth", "auth:443", "auth", "/");
        check("http://auth:9000/check?a=b", "auth:9000", "auth:9000", "/check?a=b");
        check("https://auth:9000/check", "auth:9000", "auth:9000", "/check");
        check("http://[::1]:9000", "[::1]:9000", "[::1]:9000", "/");
    }

    #[test]
    fn what_is_not_the_url_of_a_service_is_refused() {
        for text in [
            "",
            "auth",
            "auth:80",
            "/check",
            "ftp://auth/",
            "wss://auth/",
            "http://",
            "http://:80/",
            "https://:443/",
            "http://user:password@auth/",
            "http://auth:0/",
            "http://auth:99999/",
            "http://auth:/",
            "http://auth/#x",
            "http://auth/ x",
        ] {
            assert!(ServiceUrl::parse(text).is_err(), "{text}");
        }
    }
}
