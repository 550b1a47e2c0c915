//! Whom the doctor speaks to: the URL of the operator, or one node behind it.
//!
//! Pure. Runs at start, at reload, or on a timer.

use http::Uri;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::Serialize;

/// An Engine.IO server as a client reaches it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Target {
    /// Whether connections begin with TLS.
    pub(crate) tls: bool,
    /// The host to connect to, without brackets.
    pub(crate) host: String,
    /// Its port.
    pub(crate) port: u16,
    /// The `Host` field of requests.
    pub(crate) authority: String,
    /// The path of Engine.IO, such as `/socket.io/`.
    pub(crate) path: String,
    /// What the application adds to the query, without `&` at its ends.
    pub(crate) query: String,
}

/// Why a text is no target.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TargetError {
    /// It is no URL of a known scheme.
    #[error("`{0}` is no URL: write https://chat.example.com/socket.io/")]
    NoUrl(String),
    /// It is no address of a node.
    #[error("`{0}` is no node: write 10.0.0.1:3000, or http://10.0.0.1:3000/socket.io/")]
    NoNode(String),
}

impl Target {
    /// The target of a URL of http, https, ws or wss. Without a path it is `/socket.io/`.
    ///
    /// # Errors
    ///
    /// [`TargetError::NoUrl`].
    pub(crate) fn parse(url: &str) -> Result<Self, TargetError> {
        let no_url = || TargetError::NoUrl(url.to_owned());
        let with_scheme =
            if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        let uri: Uri = with_scheme.parse().map_err(|_| no_url())?;
        let tls = match uri.scheme_str() {
            Some("https" | "wss") => true,
            Some("http" | "ws") => false,
            _ => return Err(no_url()),
        };
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'));
        let authority = authority.ok_or_else(no_url)?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let port = authority.as_str().strip_prefix(authority.host()).unwrap_or_default();
        let port =
            port.strip_prefix(':').map(str::parse::<u16>).transpose().map_err(|_| no_url())?;
        if host.is_empty() {
            return Err(no_url());
        }
        let path = match uri.path() {
            "" | "/" => DEFAULT_PATH,
            path => path,
        };
        Ok(Self {
            tls,
            host: host.to_owned(),
            port: port.unwrap_or(if tls { 443 } else { 80 }),
            authority: authority.as_str().to_owned(),
            path: path.to_owned(),
            query: uri.query().unwrap_or_default().trim_matches('&').to_owned(),
        })
    }

    /// A node behind this target: `HOST:PORT`, or a URL if the node has another path or speaks TLS. It gets
    /// the `Host` field and the query that the target gets.
    ///
    /// # Errors
    ///
    /// [`TargetError::NoNode`].
    pub(crate) fn node(&self, address: &str) -> Result<Self, TargetError> {
        let no_node = || TargetError::NoNode(address.to_owned());
        let node = Self::parse(address).map_err(|_| no_node())?;
        let has_path = address.split("://").last().is_some_and(|rest| rest.contains('/'));
        let has_port =
            node.authority.rsplit(':').next().is_some_and(|end| end.parse::<u16>().is_ok());
        if !has_port && !address.contains("://") {
            return Err(no_node());
        }
        let path = if has_path { node.path } else { self.path.clone() };
        Ok(Self { authority: self.authority.clone(), query: self.query.clone(), path, ..node })
    }

    /// The same target with another path.
    pub(crate) fn with_path(&self, path: &str) -> Self {
        Self { path: path.to_owned(), ..self.clone() }
    }

    /// The request target of an Engine.IO request, with these parameters.
    pub(crate) fn engineio(&self, eio: u8, transport: &str, sid: Option<&str>) -> String {
        let mut target = format!("{}?", self.path);
        if !self.query.is_empty() {
            target += &self.query;
            target.push('&');
        }
        target += &format!("EIO={eio}&transport={transport}");
        if eio == 3 && transport == "polling" {
            // Payloads are text then, also if a packet is binary.
            target += "&b64=1";
        }
        if let Some(sid) = sid {
            target += "&sid=";
            target.extend(utf8_percent_encode(sid, QUERY_VALUE));
        }
        target
    }

    /// The URL, as a person writes it.
    pub(crate) fn url(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}{}", self.authority, self.path)
    }

    /// The address, as a person writes it.
    pub(crate) fn address(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

/// Where Socket.IO listens unless the application changes it.
pub(crate) const DEFAULT_PATH: &str = "/socket.io/";

/// As `encodeURIComponent` of JavaScript, by which clients write values.
const QUERY_VALUE: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'$')
    .add(b'%')
    .add(b'&')
    .add(b'+')
    .add(b',')
    .add(b'/')
    .add(b':')
    .add(b';')
    .add(b'<')
    .add(b'=')
    .add(b'>')
    .add(b'?')
    .add(b'@')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_becomes_a_target_and_what_is_none_is_refused() {
        let check = |url: &str, expected: Option<(bool, &str, u16, &str)>| {
            let target = Target::parse(url).ok();
            let found = target.as_ref().map(|t| (t.tls, t.host.as_str(), t.port, t.path.as_str()));
            assert_eq!(found, expected, "{url}");
        };
        check("https://a.example", Some((true, "a.example", 443, "/socket.io/")));
        check("ws://a.example:81/x/?token=1", Some((false, "a.example", 81, "/x/")));
        check("localhost:3000", Some((false, "localhost", 3000, "/socket.io/")));
        check("http://[::1]:3000/", Some((false, "::1", 3000, "/socket.io/")));
        for wrong in ["", "ftp://a", "https://", "http://a:b/", "http://u:p@a/", "http://a b"] {
            check(wrong, None);
        }
    }

    #[test]
    fn a_node_gets_what_the_target_gets() {
        let target = Target::parse("https://a.example/chat/socket.io/?token=1").unwrap();
        let node = target.node("10.0.0.1:3000").unwrap();
        assert_eq!((node.tls, &*node.authority, node.port), (false, "a.example", 3000));
        assert_eq!((&*node.path, &*node.query), ("/chat/socket.io/", "token=1"));
        let node = target.node("https://n1:3000/socket.io/").unwrap();
        assert_eq!((node.tls, &*node.path, &*node.address()), (true, "/socket.io/", "n1:3000"));
        assert_eq!(target.node("n1"), Err(TargetError::NoNode("n1".to_owned())));
    }

    #[test]
    fn a_sid_is_written_as_clients_write_it() {
        let target = Target::parse("http://a/s/?x=1&").unwrap();
        let written = target.engineio(4, "polling", Some("A.b-/+"));
        assert_eq!(written, "/s/?x=1&EIO=4&transport=polling&sid=A.b-%2F%2B");
        assert_eq!(target.engineio(3, "polling", None), "/s/?x=1&EIO=3&transport=polling&b64=1");
    }
}
