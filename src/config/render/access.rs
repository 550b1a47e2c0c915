//! Who may use a route, as the file that says all of it.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::path::Path;

use super::upstream::HIDDEN;
use super::{list, node_tls};
use crate::access::{AuthSettings, BasicSettings, ForwardSettings, JwtSettings};
use crate::config::file::access::{Auth, Basic, Claim, Forward, Jwt};
use crate::form::section;
use crate::yaml::{Chosen, List, TextOr};

/// `None` if there are none: an empty list of networks would allow nobody.
pub(super) fn networks(networks: &[ipnet::IpNet]) -> List<String> {
    list(networks, ToString::to_string).filter(|list| !list.is_empty())
}

/// `auth:`
pub(super) fn auth(settings: &AuthSettings) -> Auth {
    match settings {
        AuthSettings::Jwt(settings) => {
            Auth { jwt: Some(Chosen::Is(jwt(settings))), ..Auth::default() }
        }
        AuthSettings::Forward(settings) => {
            let map = TextOr::Map(forward(settings));
            Auth { forward: Some(Chosen::Is(map)), ..Auth::default() }
        }
        AuthSettings::Basic(settings) => {
            Auth { basic: Some(Chosen::Is(basic(settings))), ..Auth::default() }
        }
    }
}

fn basic(settings: &BasicSettings) -> Basic {
    Basic {
        passwords: list(&settings.passwords, |_| HIDDEN.to_owned()),
        htpasswd_file: settings.file.as_deref().map(shown),
        realm: Some(settings.realm.clone()),
        user_field: settings.user_field.as_ref().map(ToString::to_string),
    }
}

fn forward(settings: &ForwardSettings) -> Forward {
    Forward {
        url: Some(settings.url.to_string()),
        tls: settings.tls.as_ref().map(|tls| node_tls::render(tls.settings())),
        request_fields: list(&settings.request_fields, ToString::to_string),
        response_fields: list(&settings.response_fields, ToString::to_string),
        refusal_fields: list(&settings.refusal_fields, ToString::to_string),
        ..section::write(settings)
    }
}

fn jwt(settings: &JwtSettings) -> Jwt {
    let JwtSettings { places, claims, .. } = settings;
    Jwt {
        secrets: list(&settings.secrets, |_| HIDDEN.to_owned()),
        pem_files: list(&settings.public_keys, |path| shown(path)),
        jwks_file: settings.jwks.as_deref().map(shown),
        issuers: list(&settings.issuers, String::clone),
        audiences: list(&settings.audiences, String::clone),
        cookie: places.cookie.as_ref().map(ToString::to_string),
        query: places.query.as_ref().map(ToString::to_string),
        claims: list(claims, |(claim, field)| Claim {
            claim: Some(claim.clone()),
            field: Some(field.to_string()),
        }),
        close_expired: Some(settings.close_expired),
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
