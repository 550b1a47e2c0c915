//! Who may use a route: by the client's network and by the origin of the page.
//!
//! A route without such rules has no [`Access`], so that they cost nothing.
//!
//! Runs for every request.

mod origins;
mod refusal;
mod settings;

use std::net::IpAddr;

use http::HeaderMap;

use crate::net::is_in;

pub(crate) use origins::{OriginRule, Origins, is_foreign};
pub(crate) use refusal::Refusal;
pub(crate) use settings::Settings;

/// The rules of one route.
#[derive(Debug)]
pub(crate) struct Access {
    settings: Settings,
}

/// What the rules look at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Visitor<'a> {
    /// The client's address, as far as trusted proxies tell it.
    pub(crate) address: IpAddr,
    /// The host that the client asked for, with its port if it has one.
    pub(crate) host: &'a str,
    /// The request's fields.
    pub(crate) headers: &'a HeaderMap,
}

impl Access {
    /// The rules of these settings; `None` if everybody may use the route.
    pub(crate) fn new(settings: &Settings) -> Option<Self> {
        (!settings.is_open()).then(|| Self { settings: settings.clone() })
    }

    /// Whether the rules name the origins that are allowed.
    pub(crate) fn names_origins(&self) -> bool {
        self.settings.origins.is_some()
    }

    /// Checks whether `visitor` may use the route.
    ///
    /// # Errors
    ///
    /// Why not.
    pub(crate) fn check(&self, visitor: &Visitor<'_>) -> Result<(), Refusal> {
        let Settings { deny, allow, origins } = &self.settings;
        let is_allowed = allow.is_empty() || is_in(allow, visitor.address);
        if is_in(deny, visitor.address) || !is_allowed {
            return Err(Refusal::Address);
        }
        match origins {
            Some(origins) if !origins.allow(visitor.headers, visitor.host) => Err(Refusal::Origin),
            Some(_) | None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_that_is_denied_is_refused_and_one_that_is_not_allowed_too() {
        let check = |deny: &[&str], allow: &[&str], address: &str, expected: bool| {
            let networks =
                |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
            let settings = Settings { deny: networks(deny), allow: networks(allow), origins: None };
            let visitor = Visitor {
                address: address.parse().unwrap(),
                host: "a.b",
                headers: &HeaderMap::new(),
            };
            let is_allowed =
                Access::new(&settings).is_none_or(|rules| rules.check(&visitor).is_ok());
            assert_eq!(is_allowed, expected, "{deny:?} {allow:?} {address}");
        };
        check(&[], &[], "1.2.3.4", true);
        check(&["1.2.0.0/16"], &[], "1.2.3.4", false);
        check(&["1.2.0.0/16"], &[], "::ffff:1.2.3.4", false);
        check(&["1.2.0.0/16"], &[], "1.3.3.4", true);
        check(&[], &["10.0.0.0/8", "2001:db8::/32"], "10.9.9.9", true);
        check(&[], &["10.0.0.0/8", "2001:db8::/32"], "2001:db8::1", true);
        check(&[], &["10.0.0.0/8"], "11.0.0.1", false);
        check(&["10.1.0.0/16"], &["10.0.0.0/8"], "10.1.0.1", false);
        check(&["10.0.0.0/8"], &["10.1.0.0/16"], "10.1.0.1", false);
    }
}
