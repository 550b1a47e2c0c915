//! A request that is described and not sent: method, URL, fields and client.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::net::IpAddr;

use http::Method;
use http::header::{
    CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION,
    UPGRADE,
};
use http::uri::{PathAndQuery, Uri};

use crate::net::Scheme;

/// A request that is described.
#[derive(Clone, Debug)]
pub(crate) struct Described {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) scheme: Scheme,
    /// The port that the URL names.
    pub(crate) port: Option<u16>,
    /// Whether the URL names a host.
    pub(crate) names_host: bool,
    /// The other end of the client's connection.
    pub(crate) client: IpAddr,
}

impl Described {
    /// The request `method url` with fields that are written `Name: value`. The URL may be a path
    /// alone. What a client adds to `Upgrade: websocket`, or to a URL of `ws`, is added.
    ///
    /// # Errors
    ///
    /// Which part is none, and what to write.
    pub(crate) fn new(
        (method, url): (&str, &str),
        fields: &[String],
        client: IpAddr,
    ) -> Result<Self, String> {
        let method = Method::from_bytes(method.as_bytes())
            .map_err(|_| format!("`{}` is not a method: write GET", shown(method)))?;
        if fields.len() > FIELDS_MAX {
            return Err(format!("more than {FIELDS_MAX} fields are no request"));
        }
        let mut headers = HeaderMap::new();
        for field in fields {
            let (name, value) = parse_field(field)?;
            headers.append(name, value);
        }
        let (scheme, is_websocket, uri) = parse_url(url)?;
        let (port, names_host) = (uri.port_u16(), uri.authority().is_some());
        if let Some(authority) = uri.authority()
            && !headers.contains_key(HOST)
        {
            let host = HeaderValue::from_str(authority.as_str());
            headers.insert(HOST, host.map_err(|_| not_a_url(url))?);
        }
        let names = |name: &HeaderName, word: &str| {
            let value = headers.get(name).and_then(|value| value.to_str().ok());
            value.is_some_and(|value| value.eq_ignore_ascii_case(word))
        };
        if is_websocket || names(&UPGRADE, "websocket") {
            complete_handshake(&mut headers);
        }
        let target = uri.path_and_query().map_or("/", PathAndQuery::as_str);
        let uri = target.parse().map_err(|_| not_a_url(url))?;
        Ok(Self { method, uri, headers, scheme, port, names_host, client })
    }
}

impl Described {
    /// The head as a client of HTTP/1.1 sends it. A path alone is one of any host.
    pub(crate) fn head(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.uri).into_bytes();
        if !self.headers.contains_key(HOST) {
            head.extend_from_slice(b"host: any\r\n");
        }
        for (name, value) in &self.headers {
            for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                head.extend_from_slice(part);
            }
        }
        head.extend_from_slice(b"\r\n");
        head
    }
}

/// The scheme, whether it is one of WebSockets, and the URL.
fn parse_url(url: &str) -> Result<(Scheme, bool, Uri), String> {
    if url.len() > URL_BYTES_MAX {
        return Err(format!("the URL has more than {URL_BYTES_MAX} bytes"));
    }
    if url.starts_with('/') || url == "*" {
        let uri = url.parse().map_err(|_| not_a_url(url))?;
        return Ok((Scheme::Http, false, uri));
    }
    let Some((scheme, rest)) = url.split_once("://") else { return Err(not_a_url(url)) };
    let (scheme, is_websocket) = match &*scheme.to_ascii_lowercase() {
        "http" => (Scheme::Http, false),
        "ws" => (Scheme::Http, true),
        "https" => (Scheme::Https, false),
        "wss" => (Scheme::Https, true),
        _ => return Err(not_a_url(url)),
    };
    // The path may be left out before the query too (RFC 3986, section 3.3).
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at(end);
    let slash = if target.starts_with('?') { "/" } else { "" };
    let uri = format!("{}://{authority}{slash}{target}", scheme.as_str());
    Ok((scheme, is_websocket, uri.parse().map_err(|_| not_a_url(url))?))
}

fn parse_field(field: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = field
        .split_once(':')
        .ok_or_else(|| format!("`{}` is not a field: write NAME:VALUE", shown(field)))?;
    let parsed = HeaderName::from_bytes(name.trim().as_bytes());
    let name = parsed.map_err(|_| format!("`{}` is not the name of a field", shown(name)))?;
    let value = HeaderValue::from_str(value.trim())
        .map_err(|_| format!("the value of {name} has a control character"))?;
    Ok((name, value))
}

fn complete_handshake(headers: &mut HeaderMap) {
    let fields = [
        (CONNECTION, "Upgrade"),
        (UPGRADE, "websocket"),
        (SEC_WEBSOCKET_VERSION, "13"),
        (SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    for (name, value) in fields {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
}

fn not_a_url(url: &str) -> String {
    format!(
        "`{}` is not a URL: write https://chat.example.com/socket.io/, or a path alone; spaces and \
         letters other than ASCII are percent-encoded",
        shown(url)
    )
}

fn shown(text: &str) -> String {
    text.chars().take(80).flat_map(char::escape_debug).collect()
}

const URL_BYTES_MAX: usize = 8 * 1024;
const FIELDS_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn described(url: &str, fields: &[&str]) -> Result<Described, String> {
        let fields: Vec<String> = fields.iter().map(|field| (*field).to_owned()).collect();
        Described::new(("GET", url), &fields, Ipv4Addr::LOCALHOST.into())
    }

    #[test]
    fn a_url_names_scheme_host_port_and_target() {
        let found = described("wss://a.b:8443/x?y=1#z", &[]).unwrap();
        assert_eq!((found.scheme, found.port), (Scheme::Https, Some(8443)));
        assert_eq!(found.uri, "/x?y=1");
        assert_eq!(found.headers[HOST], "a.b:8443");
        assert_eq!(found.headers[UPGRADE], "websocket");
        let found = described("HTTPS://a.b?x=1", &[]).unwrap();
        assert_eq!((found.scheme, found.uri.to_string()), (Scheme::Https, "/?x=1".to_owned()));
        let found = described("/x", &["Host: c.d", "upgrade:WebSocket"]).unwrap();
        assert_eq!(found.headers[HOST], "c.d");
        assert_eq!(found.headers[CONNECTION], "Upgrade");
        assert_eq!(described("http://a.b", &["Host: c"]).unwrap().headers[HOST], "c");
        assert!(described("http://a.b", &[]).unwrap().headers.get(UPGRADE).is_none());
    }

    #[test]
    fn its_head_is_that_of_a_client() {
        let head = |url: &str, fields: &[&str]| {
            String::from_utf8(described(url, fields).unwrap().head()).unwrap()
        };
        assert_eq!(
            head("http://a.b/x?y", &["X-A: 1"]),
            "GET /x?y HTTP/1.1\r\nx-a: 1\r\nhost: a.b\r\n\r\n"
        );
        assert_eq!(head("/", &[]), "GET / HTTP/1.1\r\nhost: any\r\n\r\n");
    }

    #[test]
    fn what_is_no_request_is_refused_in_words() {
        let check = |url: &str, fields: &[&str], part: &str| {
            let said = described(url, fields).unwrap_err();
            assert!(said.contains(part), "{url} {fields:?}: {said}");
        };
        for url in ["", "a.b/x", "ftp://a/", "http://", "http://a b/", "/ä ö", "/a\nb", "://"] {
            check(url, &[], "is not a URL");
        }
        check("/", &["Host"], "write NAME:VALUE");
        check("/", &["a b: c"], "is not the name of a field");
        check("/", &["a: b\nc"], "control character");
        check(&format!("/{}", "a".repeat(9000)), &[], "8192 bytes");
        let long = Described::new(("G T", "/"), &[], Ipv4Addr::LOCALHOST.into());
        assert!(long.unwrap_err().contains("is not a method"));
    }
}
