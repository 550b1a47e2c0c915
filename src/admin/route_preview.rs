//! `/route`: what would become of a request, which is described and not sent.
//!
//! Runs at start, at reload, or on a timer.

use std::net::{IpAddr, Ipv4Addr};

use percent_encoding::percent_decode_str;

use crate::exchange::preview::{Described, Preview, Reached, preview};
use crate::listener::head_guard::HeadGuard;
use crate::listener::{self, Selection};
use crate::net::Scheme;
use crate::snapshot::Snapshot;

/// The request that the query of `/route` describes.
///
/// # Errors
///
/// Which parameter is wrong, and what to write.
pub(super) fn from_query(query: Option<&str>) -> Result<Described, String> {
    let (mut method, mut url, mut fields) = (None, None, Vec::new());
    let mut client = IpAddr::V4(Ipv4Addr::LOCALHOST);
    for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = percent_decode_str(value).decode_utf8();
        let value = value.map_err(|_| format!("{name} is not UTF-8"))?.into_owned();
        match name {
            "method" => method = Some(value),
            "url" => url = Some(value),
            "header" => fields.push(value),
            "client" => {
                client = value.parse().map_err(|_| "client is not an IP address".to_owned())?;
            }
            _ => return Err("write ?url=URL, and method, client and header if needed".to_owned()),
        }
    }
    let url = url.ok_or("write ?url=URL, percent-encoded")?;
    Described::new((method.as_deref().unwrap_or("GET"), &url), &fields, client)
}

/// What would become of `described` where these listeners are.
pub(crate) fn explain(
    snapshot: &Snapshot,
    listeners: &[listener::Settings],
    described: &Described,
) -> Preview {
    let is_tls = described.scheme == Scheme::Https;
    let selection = listener::by_url(listeners, is_tls, described.port);
    let (reached, note) = match selection {
        Selection::ByPort(one) => (Some(one), None),
        Selection::Only(one) => {
            let note =
                format!("no listener has the port of the URL: taken as a request to {}", one.bind);
            (Some(one), Some(note))
        }
        Selection::Unclear => {
            let note = "it cannot be said which listener it comes to: write the port into the URL; \
                        no proxy is trusted, and nothing is redirected to https";
            (None, Some(note.to_owned()))
        }
    };
    let settings = reached.map(|listener| Reached {
        trusted_proxies: listener.trusted_proxies.clone(),
        redirect_to: listener.redirect_http,
    });
    let mut shown = preview(snapshot, described, &settings.unwrap_or_default());
    let limits = reached.map(|listener| listener.head).unwrap_or_default();
    if let Err(refusal) = HeadGuard::new(limits).inspect(&described.head()) {
        shown = shown.refused_by_listener(refusal.fault.status(), refusal.fault.to_string());
    }
    shown.listener = reached.map(|listener| listener.bind.to_string());
    // A path alone says nothing of a port.
    shown.notes.extend(note.filter(|_| described.names_host));
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_describes_a_request() {
        let found = from_query(Some(
            "method=POST&url=http%3A%2F%2Fa.b%2Fx%3Fy%3D1&header=X-A%3A%201&header=X-A%3A2&client=::1",
        ))
        .unwrap();
        assert_eq!((found.method.as_str(), found.uri.to_string()), ("POST", "/x?y=1".to_owned()));
        assert_eq!(found.headers.get_all("x-a").iter().count(), 2);
        assert_eq!(found.client.to_string(), "::1");
    }

    #[test]
    fn other_queries_are_refused() {
        for query in [
            "",
            "&&",
            "url=",
            "url",
            "url=%ff",
            "url=/&client=a",
            "url=/&more=1",
            "url=/&header=a",
            "url=/&method=",
            "url=a",
        ] {
            assert!(from_query(Some(query)).is_err(), "{query}");
        }
        assert!(from_query(None).unwrap_err().contains("?url=URL"));
    }
}
