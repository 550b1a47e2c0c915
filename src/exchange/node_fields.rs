//! The header fields that a node gets: those of the client that are for the node, then ours.
//!
//! The client's fields are only read: nothing is removed from their map or added to it.
//!
//! Pure. Runs for every request.

use std::borrow::Cow;
use std::iter::once;
use std::net::IpAddr;

use http::Uri;
use http::header::{
    ACCEPT_ENCODING, CONNECTION, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue, UPGRADE,
};

use super::forwarded::{self, Forwarded, forwarded_prefix, is_claim, may_pass};
use super::headers::{X_REQUEST_ID, is_hop_by_hop, named_by_connection};
use super::purpose::Purpose;
use super::response_fields::variables;
use crate::access::{Access, Grant};
use crate::net::ClientInfo;
use crate::route::{FieldRules, FieldValues, Policy};

/// The fields of one request.
#[derive(Debug)]
pub(super) struct NodeFields<'a> {
    headers: &'a HeaderMap,
    /// The names in the client's `Connection`.
    of_connection: Vec<HeaderName>,
    /// The client's `Expect`, if it counts.
    expect: Option<&'a HeaderValue>,
    purpose: Purpose,
    is_trusted: bool,
    access: Option<&'a Access>,
    grant: &'a Grant,
    host: &'a str,
    request_id: &'a HeaderValue,
    forwarded: Forwarded<'a>,
    /// The part of the client's path that the node does not see.
    prefix: Option<Cow<'a, str>>,
    rules: Option<&'a FieldRules>,
    /// What the rules set and add.
    written: FieldValues,
}

/// Whose request it is, and what for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sender<'a> {
    pub(super) route: &'a Policy,
    pub(super) client: &'a ClientInfo,
    /// The client's, as far as trusted proxies tell it.
    pub(super) address: IpAddr,
    pub(super) purpose: Purpose,
    pub(super) grant: &'a Grant,
}

impl<'a> NodeFields<'a> {
    /// For a request for `host` with these fields of the client and this id. The only `Expect` that
    /// is passed on is `expect`.
    pub(super) fn new(
        sender: Sender<'a>,
        (uri, headers): (&'a Uri, &'a HeaderMap),
        expect: Option<&'a HeaderValue>,
        (host, request_id): (&'a str, &'a HeaderValue),
    ) -> Self {
        let Sender { route, client, address, purpose, grant } = sender;
        let rules = route.changes.as_ref().map(|changes| &changes.request);
        let known = (address, host, request_id);
        let written =
            rules.map(|rules| rules.values(&variables(route, (uri, headers), client, known)));
        Self {
            rules,
            written: written.unwrap_or_default(),
            headers,
            of_connection: named_by_connection(headers).collect(),
            expect,
            purpose,
            is_trusted: client.is_trusted(),
            access: route.access.as_deref(),
            grant,
            host,
            request_id,
            forwarded: Forwarded::new(headers, client, address, host),
            prefix: route
                .rewrite
                .as_ref()
                .and_then(|rewrite| rewrite.stripped())
                .map(|stripped| forwarded_prefix(headers, client, stripped)),
        }
    }

    /// All fields, `Host` first (RFC 9110, section 7.2). The client's framing fields are still
    /// among them.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&HeaderName, &[u8])> {
        static HOST_NAME: HeaderName = HOST;
        static CONNECTION_NAME: HeaderName = CONNECTION;
        static UPGRADE_NAME: HeaderName = UPGRADE;
        static REQUEST_ID_NAME: HeaderName = X_REQUEST_ID;
        static X_FORWARDED_PREFIX: HeaderName = forwarded::X_FORWARDED_PREFIX;
        static UPGRADE_FIELDS: [(HeaderName, &[u8]); 2] =
            [(CONNECTION, b"Upgrade"), (UPGRADE, b"websocket")];

        let of_client = self.headers.iter().filter(|(name, _)| self.is_for_node(name));
        let of_client = of_client.map(|(name, value)| (name, value.as_bytes()));
        let upgrade: &[_] = if self.purpose.is_websocket() { &UPGRADE_FIELDS } else { &[] };
        let other = (self.purpose == Purpose::OtherUpgrade).then(|| {
            let protocols = self.headers.get_all(UPGRADE).into_iter();
            let protocols = protocols.map(|value| (&UPGRADE_NAME, value.as_bytes()));
            once((&CONNECTION_NAME, b"Upgrade".as_slice())).chain(protocols)
        });
        let host = self.written.get(&HOST_NAME).map_or(self.host.as_bytes(), HeaderValue::as_bytes);
        let prefix = self.prefix.iter().map(|prefix| (&X_FORWARDED_PREFIX, prefix.as_bytes()));
        let of_proxy = self.forwarded.fields().chain(prefix);
        let written = self.written.iter().filter(|(name, _)| self.may_be_written(name));
        once((&HOST_NAME, host))
            .chain(of_client)
            .chain(upgrade.iter().map(|(name, value)| (name, *value)))
            .chain(other.into_iter().flatten())
            .chain(once((&REQUEST_ID_NAME, self.request_id.as_bytes())))
            .chain(of_proxy.filter(|(name, _)| !self.replace(name)))
            .chain(written.map(|(name, value)| (name, value.as_bytes())))
            .chain(self.grant.fields.iter().map(|(name, value)| (name, value.as_bytes())))
    }

    /// Whether the rules of the route replace a field of this name.
    fn replace(&self, name: &HeaderName) -> bool {
        self.rules.is_some_and(|rules| rules.replace(name))
    }

    /// Whether what the rules of the route write in a field of this name goes to the node.
    fn may_be_written(&self, name: &HeaderName) -> bool {
        // `Host` comes first.
        *name != HOST
            && !(self.purpose == Purpose::OpenPolling && *name == ACCEPT_ENCODING)
            && self.access.is_none_or(|access| !access.owned_fields().own(name))
    }

    /// Whether a field of the client is passed on to the node.
    fn is_for_node(&self, name: &HeaderName) -> bool {
        let is_ours = *name == HOST
            || *name == X_REQUEST_ID
            || self.prefix.is_some() && *name == forwarded::X_FORWARDED_PREFIX;
        // The response to a handshake has to be readable.
        let is_unwanted = self.purpose == Purpose::OpenPolling && *name == ACCEPT_ENCODING
            || self.expect.is_none() && *name == EXPECT;
        !is_ours
            && !is_unwanted
            && self.access.is_none_or(|access| !access.owned_fields().own(name))
            && !self.replace(name)
            && !is_hop_by_hop(name)
            && !self.of_connection.contains(name)
            && (!is_claim(name) || self.is_trusted && may_pass(name))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::tests::{client, headers};
    use super::*;
    use crate::exchange::forwarded::client_address;
    use crate::net::{ClientCertificate, ClientInfo};

    static REQUEST_ID: HeaderValue = HeaderValue::from_static("id-1");

    /// What a node gets of a request of 10.0.0.9 with these fields.
    fn sent_for(purpose: Purpose, headers: &HeaderMap, trusted: &str, host: &str) -> HeaderMap {
        sent_by(&client(trusted), purpose, headers, host)
    }

    fn sent_by(
        client: &ClientInfo,
        purpose: Purpose,
        headers: &HeaderMap,
        host: &str,
    ) -> HeaderMap {
        let real = client_address(headers, client);
        let fields = NodeFields {
            headers,
            of_connection: named_by_connection(headers).collect(),
            expect: headers.get(EXPECT),
            purpose,
            is_trusted: client.is_trusted(),
            access: None,
            grant: &Grant::default(),
            host,
            request_id: &REQUEST_ID,
            forwarded: Forwarded::new(headers, client, real, host),
            prefix: None,
            rules: None,
            written: FieldValues::default(),
        };
        let mut sent = HeaderMap::new();
        for (name, value) in fields.iter() {
            sent.append(name, HeaderValue::from_bytes(value).unwrap());
        }
        assert_eq!(sent.keys().next(), Some(&HOST), "it comes first");
        sent
    }

    fn sent(lines: &[&str], trusted: &str, host: &str) -> HeaderMap {
        sent_for(Purpose::Plain, &headers(lines), trusted, host)
    }

    #[test]
    fn fields_of_the_connection_stay_behind_and_ours_are_added() {
        let mut fields = headers(&[
            "Connection: close, X-Secret, x-request-id, X-Forwarded-For",
            "X-Request-Id: forged",
            "X-Secret: 1",
            "Keep-Alive: timeout=5",
            "Upgrade: h2c",
            "TE: trailers",
            "Host: other",
            "Accept-Encoding: gzip",
            "Cookie: c",
        ]);
        fields.append(CONNECTION, HeaderValue::from_bytes(b"\xff, x-other, \xe9").unwrap());
        fields.append("x-other", HeaderValue::from_static("1"));
        let check = |purpose, expected: &[&str]| {
            let sent = sent_for(purpose, &fields, "", "a.b");
            let forwarded = |name: &&HeaderName| is_claim(name);
            let mut names: Vec<_> =
                sent.keys().filter(|name| !forwarded(name)).map(HeaderName::as_str).collect();
            names.sort_unstable();
            assert_eq!(names, expected, "{purpose:?}");
            assert_eq!(
                (&sent["host"], &sent["x-request-id"]),
                (&"a.b".parse().unwrap(), &REQUEST_ID)
            );
        };
        let plain = ["accept-encoding", "cookie", "host", "x-request-id"];
        check(Purpose::Poll, &plain);
        check(Purpose::OpenPolling, &plain[1..]);
        let upgrade =
            ["accept-encoding", "connection", "cookie", "host", "upgrade", "x-request-id"];
        check(Purpose::UpgradeSession, &upgrade);
        fields.insert(UPGRADE, HeaderValue::from_static("tcp"));
        let sent = sent_for(Purpose::OtherUpgrade, &fields, "", "a.b");
        assert_eq!(
            (&sent[CONNECTION], &sent[UPGRADE]),
            (&"Upgrade".parse().unwrap(), &"tcp".parse().unwrap())
        );
    }

    /// What untrusted clients were seen to send, or what some proxy or CDN sets.
    const CLAIMS: [&str; 44] = [
        "Forwarded",
        "X-Forwarded",
        "X-Forwarded-For",
        "X-Forwarded-Port",
        "X-Forwarded-Prefix",
        "X-Forwarded-Ssl",
        "X-Forwarded-Server",
        "X_Forwarded_For",
        "X-Forwarded_For",
        "X-Real-IP",
        "X_Real_IP",
        "X-Client-IP",
        "Client-IP",
        "True-Client-IP",
        "CF-Connecting-IP",
        "CF_Connecting_IP",
        "Fastly-Client-IP",
        "X-Cluster-Client-IP",
        "X-Original-Forwarded-For",
        "X-Original-URL",
        "X-Rewrite-URL",
        "X-ProxyUser-Ip",
        "WL-Proxy-Client-IP",
        "X-Remote-Addr",
        "X-Azure-ClientIP",
        "Fly-Client-IP",
        "X-Originating-IP",
        "CloudFront-Viewer-Address",
        "X-Envoy-External-Address",
        "Front-End-Https",
        "X-Forwarded-Client-Cert",
        "X_Forwarded_Client_Cert",
        "Client-Cert",
        "Client_Cert",
        "Client-Cert-Chain",
        "SSL-Client-Verify",
        "SSL-Client-Subject-DN",
        "X-SSL-Client-Verify",
        "X-SSL-Client-CN",
        "X-Client-Cert",
        "X-Client-Verify",
        "X-Client-DN",
        "X-Amzn-Mtls-Clientcert",
        "X-ARR-ClientCert",
    ];

    #[test]
    fn nothing_that_a_stranger_says_of_itself_reaches_a_node() {
        let lines: Vec<_> = CLAIMS.iter().map(|name| format!("{name}: forged")).collect();
        let lines: Vec<_> = lines.iter().map(String::as_str).collect();
        let fields = sent(&lines, "", "a.b");
        for (name, value) in &fields {
            assert_ne!(value, "forged", "{name}");
        }
        assert_eq!(fields.len(), 8, "{fields:?}");
    }

    #[test]
    fn the_certificate_of_the_client_reaches_the_node_and_no_other_one() {
        let lines = headers(&["X-Forwarded-Client-Cert: forged", "Client-Cert: forged"]);
        let sent = |trusted: &str, shown: bool| {
            let certificate = ClientCertificate {
                subject: "CN=alice".to_owned(),
                fingerprint: "ab".to_owned(),
                not_before: 0,
                not_after: 1,
                field: "Hash=ab;Subject=\"CN=alice\"".to_owned(),
            };
            let shown = shown.then(|| Arc::new(certificate));
            let client = ClientInfo { certificate: shown, ..client(trusted) };
            sent_by(&client, Purpose::Plain, &lines, "a.b").remove("x-forwarded-client-cert")
        };
        let ours = HeaderValue::from_static("Hash=ab;Subject=\"CN=alice\"");
        assert_eq!(sent("", false), None);
        assert_eq!(sent("", true), Some(ours));
        let theirs = HeaderValue::from_static("forged");
        assert_eq!(sent("10.0.0.0/8", true), Some(theirs), "a trusted proxy speaks of its client");
    }

    #[test]
    fn the_port_is_the_one_that_the_client_wrote() {
        let check = |trusted: &str, lines: &[&str], host: &str, expected: &str| {
            let fields = sent(lines, trusted, host);
            assert_eq!(fields["x-forwarded-port"], expected, "{host} {lines:?}");
        };
        check("", &[], "a.b", "80");
        check("", &["X-Forwarded-Port: 1"], "a.b:8080", "8080");
        check("", &[], "[::1]:81", "81");
        check("", &[], "[::1]", "80");
        check("10.0.0.0/8", &["X-Forwarded-Proto: https"], "a.b", "443");
        check("10.0.0.0/8", &["X-Forwarded-Host: c.d:444"], "a.b:80", "444");
        check("10.0.0.0/8", &["X-Forwarded-Port: 8443"], "a.b:80", "8443");
    }

    #[test]
    fn strangers_are_not_believed() {
        let fields = sent(
            &[
                "X-Forwarded-For: 1.1.1.1",
                "X-Forwarded-Proto: https",
                "X-Forwarded-Host: evil",
                "Forwarded: for=1.1.1.1",
            ],
            "",
            "chat.example.com",
        );
        assert_eq!(fields["x-forwarded-for"], "10.0.0.9");
        assert_eq!(fields["x-real-ip"], "10.0.0.9");
        assert_eq!(fields["x-forwarded-proto"], "http");
        assert_eq!(fields["x-forwarded-host"], "chat.example.com");
        assert_eq!(fields["forwarded"], "for=10.0.0.9;host=\"chat.example.com\";proto=http");
    }

    #[test]
    fn a_trusted_proxy_is_believed_and_added() {
        let fields = sent(
            &[
                "X-Forwarded-For: 1.1.1.1",
                "X-Forwarded-For: 2.2.2.2",
                "X-Forwarded-Proto: https",
                "X-Forwarded-Host: outer",
                "X-Forwarded-Prefix: /app",
                "X_Forwarded_For: 6.6.6.6",
                "X-Real-IP: 6.6.6.6",
                "Forwarded: for=1.1.1.1",
            ],
            "10.0.0.0/8",
            "inner",
        );
        assert_eq!(fields["x-forwarded-for"], "1.1.1.1, 2.2.2.2, 10.0.0.9");
        assert_eq!(fields["x-real-ip"], "2.2.2.2");
        assert_eq!(fields["x-forwarded-prefix"], "/app");
        assert!(!fields.contains_key("x_forwarded_for"));
        assert_eq!(fields["x-forwarded-proto"], "https");
        assert_eq!(fields["x-forwarded-host"], "outer");
        assert_eq!(fields["forwarded"], "for=1.1.1.1, for=10.0.0.9;host=\"inner\";proto=http");
    }
}
