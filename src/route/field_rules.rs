//! Which fields a route sets, adds and removes, in requests or in responses.
//!
//! Pure. Runs for every request.

use std::net::Ipv4Addr;

use http::Uri;
use http::header::{HOST, HeaderMap, HeaderName, HeaderValue};
use http::uri::Authority;

use super::template::{Template, Variables};
use crate::access::OwnedFields;
use crate::form;
use crate::yaml::Diagnostic;

/// The rules for one direction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FieldRules {
    set: Vec<(HeaderName, Template)>,
    add: Vec<(HeaderName, Template)>,
    remove: Vec<HeaderName>,
    /// The names of `set` and `remove`.
    replaced: OwnedFields,
}

/// Where fields go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// To nodes.
    Request,
    /// To clients.
    Response,
}

/// What is done with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FieldAction {
    /// It gets one value.
    Set,
    /// It gets one more value.
    Add,
    /// It is left out.
    Remove,
}

/// The values of the rules for one message.
#[derive(Debug, Default)]
pub(crate) struct FieldValues(Vec<(HeaderName, HeaderValue)>);

impl FieldRules {
    /// Fields that are replaced, or removed if the value is empty; that are added to what is there; and
    /// that are removed.
    pub(crate) fn new(
        set: Vec<(HeaderName, Template)>,
        add: Vec<(HeaderName, Template)>,
        remove: Vec<HeaderName>,
    ) -> Self {
        let replaced = OwnedFields::new(set.iter().map(|(name, _)| name).chain(&remove));
        Self { set, add, remove, replaced }
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.set.is_empty() && self.add.is_empty() && self.remove.is_empty()
    }

    /// What is replaced.
    pub(crate) fn set(&self) -> &[(HeaderName, Template)] {
        &self.set
    }

    /// What is added.
    pub(crate) fn added(&self) -> &[(HeaderName, Template)] {
        &self.add
    }

    /// What is removed.
    pub(crate) fn removed(&self) -> &[HeaderName] {
        &self.remove
    }

    /// Whether a field of this name does not stay as it is, in any spelling that a node may take for it.
    pub(crate) fn replace(&self, name: &HeaderName) -> bool {
        self.replaced.own(name)
    }

    /// The fields that are set or added for one request.
    pub(crate) fn values(&self, variables: &Variables<'_>) -> FieldValues {
        let written = self.set.iter().chain(&self.add);
        let value = |(name, template): &(HeaderName, Template)| {
            Some((name.clone(), template.value(variables)?))
        };
        FieldValues(written.filter_map(value).collect())
    }

    /// The `Host` that nodes get, if it is not the client's.
    pub(crate) fn host(&self, variables: &Variables<'_>) -> Option<HeaderValue> {
        let (_, template) = self.set.iter().find(|(name, _)| *name == HOST)?;
        template.value(variables)
    }

    /// Applies the rules to a node's response, with `values` of the request.
    pub(crate) fn change(&self, headers: &mut HeaderMap, values: &FieldValues) {
        for name in self.set.iter().map(|(name, _)| name).chain(&self.remove) {
            headers.remove(name);
        }
        for (name, value) in values.iter() {
            headers.append(name, value.clone());
        }
    }

    /// Adds what is set or added to a response of our own, whose fields stay as they are: a cache must
    /// not keep an error because it may keep pages.
    pub(crate) fn complete(headers: &mut HeaderMap, values: &FieldValues) {
        let own: Vec<HeaderName> = headers.keys().cloned().collect();
        for (name, value) in values.iter().filter(|(name, _)| !own.contains(name)) {
            headers.append(name, value.clone());
        }
    }
}

impl FieldValues {
    /// The value of a field that has one.
    pub(crate) fn get(&self, name: &HeaderName) -> Option<&HeaderValue> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// The fields in their order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        self.0.iter().map(|(name, value)| (name, value))
    }
}

/// The name of a field that `action` may be done with in `direction`.
///
/// # Errors
///
/// It is no name, or that of a field that belongs to the connection, the framing or the handshake of a
/// WebSocket, or one that every request has.
pub(crate) fn field_name(
    text: &str,
    direction: Direction,
    action: FieldAction,
) -> Result<HeaderName, Diagnostic> {
    let name = form::header_name(text, "X-Frame-Options")?;
    let known = name.as_str().replace('_', "-");
    let is_request = direction == Direction::Request;
    // Without it a node does not compress messages.
    let is_offer = is_request && known == "sec-websocket-extensions";
    if CONNECTION_FIELDS.contains(&&*known)
        || known.starts_with("sec-websocket-") && !(is_offer && action == FieldAction::Remove)
    {
        let diagnostic = Diagnostic::new("belongs to the connection, which Sockeye makes itself");
        return Err(diagnostic.help("take it out: Sockeye sets what is needed"));
    }
    if is_request && (known == "x-request-id" || known == "host" && action != FieldAction::Set) {
        let diagnostic = Diagnostic::new("is a field that every request has once");
        return Err(match &*known {
            "host" => diagnostic.help("write it under set"),
            _ => diagnostic.help("take it out: trusted_proxies decides whose id is kept"),
        });
    }
    Ok(name)
}

/// Checks the value of a field that is set in requests.
///
/// # Errors
///
/// It is the value of `Host`, and not a host, or clients could choose it.
pub(crate) fn check_value(name: &HeaderName, template: &Template) -> Result<(), Diagnostic> {
    let help = "write a host such as app.internal, or ${host}";
    if *name != HOST {
        return Ok(());
    }
    if template.is_said_by_client() {
        return Err(Diagnostic::new("lets clients choose the host of a node").help(help));
    }
    let (request_id, headers) = (HeaderValue::from_static("1"), HeaderMap::new());
    let example = template.value(&Variables {
        client_address: Ipv4Addr::LOCALHOST.into(),
        host: "a.example",
        scheme: "https",
        request_id: &request_id,
        uri: &Uri::from_static("/"),
        headers: &headers,
        may_say: |_| false,
        owned: None,
    });
    let example = example.as_ref().and_then(|value| value.to_str().ok());
    match example.and_then(|text| text.parse::<Authority>().ok()) {
        Some(authority) if !authority.as_str().contains('@') => Ok(()),
        Some(_) | None => Err(Diagnostic::new("is not a valid Host").help(help)),
    }
}

/// Fields of the connection and of the framing, as servers know them that take `_` for `-`.
const CONNECTION_FIELDS: [&str; 12] = [
    "connection",
    "content-length",
    "expect",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(set: &[(&str, &str)], add: &[(&str, &str)], remove: &[&str]) -> FieldRules {
        let name = |text: &str| text.parse::<HeaderName>().unwrap();
        let written = |pairs: &[(&str, &str)]| {
            let pair = |(text, value): &(&str, &str)| (name(text), Template::parse(value).unwrap());
            pairs.iter().map(pair).collect()
        };
        FieldRules::new(written(set), written(add), remove.iter().map(|text| name(text)).collect())
    }

    fn values(rules: &FieldRules) -> FieldValues {
        rules.values(&Variables {
            client_address: Ipv4Addr::LOCALHOST.into(),
            host: "a.b",
            scheme: "http",
            request_id: &HeaderValue::from_static("1"),
            uri: &Uri::from_static("/"),
            headers: &HeaderMap::new(),
            may_say: |_| true,
            owned: None,
        })
    }

    fn shown(headers: &HeaderMap) -> Vec<String> {
        let line = |(name, value): (&HeaderName, &HeaderValue)| {
            format!("{name}: {}", value.to_str().unwrap())
        };
        let mut lines: Vec<_> = headers.iter().map(line).collect();
        lines.sort();
        lines
    }

    #[test]
    fn fields_are_replaced_added_and_removed() {
        let rules = rules(
            &[("x-a", "2"), ("x-none", "${cookie.none}")],
            &[("x-b", "2"), ("x-c", "${host}")],
            &["server"],
        );
        let lines = ["x-a: 1", "x-a: 3", "x-b: 1", "x-none: 1", "server: node", "x: y"];
        let mut headers = HeaderMap::new();
        for line in lines {
            let (name, value) = line.split_once(": ").unwrap();
            headers.append(name, value.parse().unwrap());
        }
        let mut of_node = headers.clone();
        rules.change(&mut of_node, &values(&rules));
        assert_eq!(shown(&of_node), ["x-a: 2", "x-b: 1", "x-b: 2", "x-c: a.b", "x: y"]);
        FieldRules::complete(&mut headers, &values(&rules));
        let completed = [&lines[..], &["x-c: a.b"]].concat();
        assert_eq!(shown(&headers).len(), completed.len(), "{headers:?}");
        assert!(rules.replace(&"x_a".parse().unwrap()), "a node may take it for x-a");
        assert!(!rules.replace(&"x-b".parse().unwrap()));
    }

    #[test]
    fn fields_of_the_connection_and_of_the_framing_are_refused() {
        use Direction::{Request, Response};
        use FieldAction::{Add, Remove, Set};
        let refused = |name: &str, direction, action| field_name(name, direction, action).is_err();
        for name in ["Connection", "Transfer-Encoding", "content_length", "TE", "Upgrade", "Expect"]
        {
            for (direction, action) in [(Request, Set), (Response, Add), (Response, Remove)] {
                assert!(refused(name, direction, action), "{name}");
            }
        }
        assert!(refused("a b", Request, Set));
        assert!(refused("Sec-WebSocket-Protocol", Request, Remove));
        assert!(refused("Sec-WebSocket-Extensions", Response, Remove));
        assert!(!refused("Sec-WebSocket-Extensions", Request, Remove));
        assert!(refused("Sec-WebSocket-Extensions", Request, Set));
        assert!(refused("Host", Request, Add) && refused("Host", Request, Remove));
        assert!(!refused("Host", Request, Set));
        assert!(refused("X-Request-Id", Request, Set));
        assert!(!refused("X-Request-Id", Response, Set));
    }

    #[test]
    fn a_host_is_one_that_no_client_chooses() {
        let check = |value: &str, is_host: bool| {
            let checked = check_value(&HOST, &Template::parse(value).unwrap());
            assert_eq!(checked.is_ok(), is_host, "{value}");
        };
        check("app.internal:3000", true);
        check("${host}", true);
        check("a b", false);
        check("http://a", false);
        check("me@a", false);
        check("${header.X-Host}.internal", false);
    }
}
