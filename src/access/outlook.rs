//! What the rules of a route say of a request without its credentials: nothing is asked or verified.
//!
//! Pure. Runs at start, at reload, or on a timer.

use super::settings::AuthSettings;
use super::{Access, Refusal, Visitor, is_preflight};

/// What the rules say of a request.
#[derive(Debug)]
pub(crate) struct Outlook {
    /// Whether the client's network and the origin of its page may use the route.
    pub(crate) place: Result<(), Refusal>,
    /// What would be verified then; `None`: nothing.
    pub(crate) asked: Option<String>,
}

impl Access {
    /// What the rules say of `visitor`.
    pub(crate) fn outlook(&self, visitor: &Visitor<'_>) -> Outlook {
        let is_asked = !is_preflight(visitor.method, visitor.headers);
        let asked = self.settings.auth.as_ref().filter(|_| is_asked).map(asked);
        Outlook { place: self.check_place(visitor), asked }
    }

    /// Which of the rules about places the route has, by their keys.
    pub(crate) fn places(&self) -> Vec<&'static str> {
        let settings = &self.settings;
        let keys = [
            ("deny", !settings.deny.is_empty()),
            ("allow", !settings.allow.is_empty()),
            ("origins", settings.origins.is_some()),
        ];
        keys.into_iter().filter(|(_, is_set)| *is_set).map(|(key, _)| key).collect()
    }
}

fn asked(auth: &AuthSettings) -> String {
    match auth {
        AuthSettings::Basic(_) => "auth.basic: a name and a password, in Authorization".to_owned(),
        AuthSettings::Forward(service) => {
            let scheme = if service.url.is_https { "https" } else { "http" };
            format!("auth.forward: {scheme}://{} decides", service.url.host)
        }
        AuthSettings::Jwt(jwt) => {
            let cookie = jwt.places.cookie.as_ref().map(|name| format!(", or the cookie {name}"));
            let query = jwt.places.query.as_ref().map(|name| format!(", or {name} in the query"));
            let places = [cookie, query].into_iter().flatten().collect::<String>();
            format!("auth.jwt: a token, in Authorization{places}")
        }
    }
}
