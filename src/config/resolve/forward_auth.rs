//! `auth.forward:`
//!
//! Pure. Runs at start, at reload, or on a timer.

use http::uri::{PathAndQuery, Scheme, Uri};
use http::{HeaderName, header};

use super::auth::{field, texts};
use crate::access::{ForwardSettings, ServiceUrl};
use crate::config::file::access::Forward;
use crate::form::section;
use crate::upstream::NodeAddress;
use crate::yaml::{Diagnostic, KeyPath, Report, TextOr};

/// The authorization service at `path`.
pub(super) fn resolve(
    path: &KeyPath,
    written: &TextOr<Forward>,
    report: &mut Report<'_>,
) -> Option<ForwardSettings> {
    let written = match written {
        TextOr::Text(text) => {
            let url = report.read(path, Some(text), None, |text| url(text).map(Some));
            return url.map(ForwardSettings::new);
        }
        TextOr::Map(written) => written,
    };
    let url = report.require(&path.key("url"), written.url.as_deref(), EXAMPLE, url);
    let mut request_fields =
        texts(&path.key("request_fields"), &written.request_fields, report, request_field);
    // They are sent in any case, once.
    request_fields.retain(|name| ![header::COOKIE, header::AUTHORIZATION].contains(name));
    let response_fields =
        texts(&path.key("response_fields"), &written.response_fields, report, field);
    let refusal_fields = texts(&path.key("refusal_fields"), &written.refusal_fields, report, field);
    let settings = ForwardSettings {
        request_fields,
        response_fields,
        refusal_fields,
        ..ForwardSettings::new(url?)
    };
    Some(section::read(path, Some(written), settings, report))
}

fn url(text: &str) -> Result<ServiceUrl, Diagnostic> {
    let wrong = |what: &str| Diagnostic::new(what).help(format!("write a URL such as {EXAMPLE}"));
    let no_url = || wrong("is not the URL of a service");
    if text.starts_with("https://") {
        return Err(wrong("needs TLS, which Sockeye does not use towards services"));
    }
    if text.contains('#') {
        return Err(no_url());
    }
    let uri: Uri = text.parse().map_err(|_| no_url())?;
    let authority = uri.authority().filter(|_| uri.scheme() == Some(&Scheme::HTTP));
    let authority = authority.ok_or_else(no_url)?;
    if authority.as_str().contains('@') {
        return Err(wrong("has a user, and a service is asked without one"));
    }
    let written_port = authority.as_str().strip_prefix(authority.host()).unwrap_or_default();
    let port = match written_port.strip_prefix(':') {
        Some(port) => port.parse().ok().filter(|port| *port != 0).ok_or_else(no_url)?,
        None => 80,
    };
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    if host.is_empty() {
        return Err(no_url());
    }
    let target = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    Ok(ServiceUrl {
        address: NodeAddress { host: host.into(), port },
        host: authority.as_str().into(),
        target: target.into(),
    })
}

/// The name of a client's field that the service gets.
fn request_field(text: &str) -> Result<HeaderName, Diagnostic> {
    let name = HeaderName::from_bytes(text.as_bytes());
    // What a page is, and the other places where clients of WebSockets put their tokens.
    match name {
        Ok(name) if [header::ORIGIN, header::SEC_WEBSOCKET_PROTOCOL].contains(&name) => Ok(name),
        Ok(_) | Err(_) => field(text),
    }
}

const EXAMPLE: &str = "http://127.0.0.1:9000/check";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_an_address_a_host_and_a_target() {
        let check = |text: &str, address: &str, host: &str, target: &str| {
            let url = url(text).unwrap();
            let found = (url.address.to_string(), &*url.host, &*url.target);
            assert_eq!(found, (address.to_owned(), host, target), "{text}");
        };
        check("http://auth", "auth:80", "auth", "/");
        check("http://auth:9000/check?a=b", "auth:9000", "auth:9000", "/check?a=b");
        check("http://[::1]:9000", "[::1]:9000", "[::1]:9000", "/");
    }

    #[test]
    fn what_is_not_the_url_of_a_service_is_refused() {
        for text in [
            "",
            "auth",
            "auth:80",
            "/check",
            "https://auth/",
            "ftp://auth/",
            "http://",
            "http://:80/",
            "http://user:password@auth/",
            "http://auth:0/",
            "http://auth:99999/",
            "http://auth:/",
            "http://auth/#x",
            "http://auth/ x",
        ] {
            assert!(url(text).is_err(), "{text}");
        }
    }
}
