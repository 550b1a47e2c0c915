//! The value of a field that a route sets: text with variables. It is read once, when the configuration
//! is loaded.
//!
//! Pure. Runs for every request.

use std::fmt;
use std::net::IpAddr;

use bytes::{BufMut as _, BytesMut};
use http::Uri;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::uri::PathAndQuery;

use crate::access::OwnedFields;
use crate::http1::cookie_values;
use crate::yaml::Diagnostic;

/// Text with variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template(Box<[Part]>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Box<str>),
    Variable(Variable),
}

/// What is known of each request.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Variable {
    ClientAddress,
    Host,
    Hostname,
    Scheme,
    RequestId,
    Path,
    Query,
    Target,
    Header(HeaderName),
    Cookie(Box<str>),
}

/// The values of the variables for one request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Variables<'a> {
    /// The client's address, as far as trusted proxies tell it.
    pub(crate) client_address: IpAddr,
    /// The host that the client asked for, with its port if it has one.
    pub(crate) host: &'a str,
    /// The scheme by which the client came, as far as trusted proxies tell it.
    pub(crate) scheme: &'static str,
    /// The id of the request.
    pub(crate) request_id: &'a HeaderValue,
    /// The client's target.
    pub(crate) uri: &'a Uri,
    /// The client's fields.
    pub(crate) headers: &'a HeaderMap,
    /// Whether the client may say something in a field of this name.
    pub(crate) may_say: fn(&HeaderName) -> bool,
    /// The fields that no client can write.
    pub(crate) owned: Option<&'a OwnedFields>,
}

impl Template {
    /// The value that `text` writes: `${host}` is a variable, `$${` is `${`.
    ///
    /// # Errors
    ///
    /// A variable is not known or does not end, or a character is not valid in a field.
    pub(crate) fn parse(text: &str) -> Result<Self, Diagnostic> {
        if !text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            let diagnostic = Diagnostic::new("has a character that is not printable ASCII");
            return Err(diagnostic.help("write it percent-encoded, or leave it out"));
        }
        if text.trim().is_empty() {
            let diagnostic = Diagnostic::new("is empty");
            return Err(diagnostic.help("write a value, or the name under remove"));
        }
        let (mut parts, mut literal, mut rest) = (Vec::new(), String::new(), text);
        while let Some((before, after)) = rest.split_once("${") {
            if let Some(before) = before.strip_suffix('$') {
                literal.extend([before, "${"]);
                rest = after;
                continue;
            }
            literal.push_str(before);
            let Some((name, after)) = after.split_once('}') else {
                let diagnostic = Diagnostic::new("has a `${` without `}`");
                return Err(diagnostic.help("write ${host}, or $${ for the text `${`"));
            };
            if !literal.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut literal).into()));
            }
            parts.push(Part::Variable(Variable::parse(name)?));
            rest = after;
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Text(literal.into()));
        }
        Ok(Self(parts.into()))
    }

    /// Whether a client decides what a part of the value is.
    pub(super) fn is_said_by_client(&self) -> bool {
        let said = |part: &Part| match part {
            Part::Variable(variable) => match variable {
                Variable::Header(_)
                | Variable::Cookie(_)
                | Variable::Path
                | Variable::Query
                | Variable::Target => true,
                Variable::ClientAddress
                | Variable::Host
                | Variable::Hostname
                | Variable::Scheme
                | Variable::RequestId => false,
            },
            Part::Text(_) => false,
        };
        self.0.iter().any(said)
    }

    /// The value for one request. `None` if it is empty.
    pub(crate) fn value(&self, variables: &Variables<'_>) -> Option<HeaderValue> {
        let mut value = BytesMut::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => value.put_slice(text.as_bytes()),
                Part::Variable(variable) => variable.write(variables, &mut value),
            }
        }
        // It is of fields and of text that is valid in one, so that no line ends in it.
        HeaderValue::from_bytes(value.trim_ascii()).ok().filter(|value| !value.is_empty())
    }
}

impl Variable {
    fn parse(name: &str) -> Result<Self, Diagnostic> {
        let known = match name.split_once('.') {
            None => KNOWN.iter().find(|(known, _)| *known == name).map(|(_, it)| it.clone()),
            Some(("header", name)) => {
                HeaderName::from_bytes(name.as_bytes()).ok().map(Self::Header)
            }
            // A name of a cookie is a token, as that of a field is.
            Some(("cookie", name)) => {
                HeaderName::from_bytes(name.as_bytes()).ok().map(|_| Self::Cookie(name.into()))
            }
            Some(_) => None,
        };
        known.ok_or_else(|| {
            let known = KNOWN.map(|(known, _)| known).join(", ");
            Diagnostic::new(format!("has an unknown variable, `{name}`"))
                .help(format!("write one of: {known}, header.NAME, cookie.NAME"))
        })
    }

    fn write(&self, variables: &Variables<'_>, value: &mut BytesMut) {
        match self {
            Self::ClientAddress => {
                value.put_slice(variables.client_address.to_string().as_bytes());
            }
            Self::Host => value.put_slice(variables.host.as_bytes()),
            Self::Hostname => value.put_slice(without_port(variables.host).as_bytes()),
            Self::Path => value.put_slice(variables.uri.path().as_bytes()),
            Self::Query => value.put_slice(variables.uri.query().unwrap_or_default().as_bytes()),
            Self::Target => {
                let target = variables.uri.path_and_query().map_or("/", PathAndQuery::as_str);
                value.put_slice(target.as_bytes());
            }
            Self::Scheme => value.put_slice(variables.scheme.as_bytes()),
            Self::RequestId => value.put_slice(variables.request_id.as_bytes()),
            Self::Header(name) => {
                if let Some(said) = variables.headers.get(name)
                    && (variables.may_say)(name)
                    && variables.owned.is_none_or(|owned| !owned.own(name))
                {
                    value.put_slice(said.as_bytes());
                }
            }
            Self::Cookie(name) => {
                if let Some(said) = cookie_values(variables.headers, name).next() {
                    value.put_slice(said);
                }
            }
        }
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| match part {
            Part::Text(text) => f.write_str(&text.replace("${", "$${")),
            Part::Variable(Variable::Header(name)) => write!(f, "${{header.{name}}}"),
            Part::Variable(Variable::Cookie(name)) => write!(f, "${{cookie.{name}}}"),
            Part::Variable(variable) => {
                let known = KNOWN.iter().find(|(_, known)| known == variable);
                write!(f, "${{{}}}", known.map_or("", |(name, _)| name))
            }
        })
    }
}

/// The variables without an argument.
const KNOWN: [(&str, Variable); 8] = [
    ("client_address", Variable::ClientAddress),
    ("host", Variable::Host),
    ("hostname", Variable::Hostname),
    ("scheme", Variable::Scheme),
    ("request_id", Variable::RequestId),
    ("path", Variable::Path),
    ("query", Variable::Query),
    ("target", Variable::Target),
];

/// `host` without its port; the brackets of an IPv6 address stay.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        Some(_) | None => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Option<HeaderValue> {
        let mut headers = HeaderMap::new();
        headers.insert("x-user", HeaderValue::from_bytes(b"m\xfc").unwrap());
        headers.insert("x-real-ip", HeaderValue::from_static("6.6.6.6"));
        headers.insert("x_id", HeaderValue::from_static("forged"));
        headers.insert("cookie", HeaderValue::from_static("a=1; theme=dark"));
        let variables = Variables {
            client_address: [10, 0, 0, 9].into(),
            host: "a.b:8080",
            scheme: "https",
            request_id: &HeaderValue::from_static("id-1"),
            uri: &Uri::from_static("/p/q?a=1"),
            headers: &headers,
            may_say: |name| name != "x-real-ip",
            owned: Some(&OwnedFields::new(std::iter::once(&HeaderName::from_static("x-id")))),
        };
        Template::parse(text).unwrap().value(&variables)
    }

    #[test]
    fn variables_are_replaced_and_all_else_stays() {
        let check =
            |text: &str, expected: &str| assert_eq!(value(text).unwrap(), expected, "{text}");
        check("plain", "plain");
        check("${scheme}://${host}/x", "https://a.b:8080/x");
        check("${client_address} ${request_id}", "10.0.0.9 id-1");
        check("${cookie.theme}-mode", "dark-mode");
        check("${hostname} ${path} ${query} ${target}", "a.b /p/q a=1 /p/q?a=1");
        check(r#"{"a":"$b{c}"}"#, r#"{"a":"$b{c}"}"#);
        check("$${host} costs 5$", "${host} costs 5$");
        check("x ${header.X-Unknown}", "x");
        assert_eq!(value("${header.X-User}").unwrap().as_bytes(), b"m\xfc");
        assert_eq!(value("${header.X-Unknown}${cookie.b}"), None);
        assert_eq!(value("${header.X-Real-IP}"), None, "a stranger is not believed");
        assert_eq!(value("${header.X_Id}"), None, "nor of what rules say of it");
    }

    #[test]
    fn it_is_written_as_it_is_read() {
        for text in ["a${host}b$${c", "${header.x-user}${cookie.A}", "$$", "${request_id}"] {
            assert_eq!(Template::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_wrong_template_is_refused_with_the_variables_that_there_are() {
        let check = |text: &str, what: &str| {
            let refused = Template::parse(text).unwrap_err();
            assert_eq!(refused.what(), what, "{text}");
            assert!(refused.help_text().is_some());
        };
        check("${hots}", "has an unknown variable, `hots`");
        check("${header.}", "has an unknown variable, `header.`");
        check("${header.a b}", "has an unknown variable, `header.a b`");
        check("${query.a}", "has an unknown variable, `query.a`");
        check("a ${host", "has a `${` without `}`");
        check("a\r\nb: c", "has a character that is not printable ASCII");
        check("ü", "has a character that is not printable ASCII");
        check(" ", "is empty");
    }
}
