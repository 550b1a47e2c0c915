//! The access rules of a route: they check the client's network, the origin of the page, and a token, a
//! password or the verdict of an authorization service. Limits for each network are here too.
//!
//! A route without such rules has no [`Access`], so that they cost nothing.
//!
//! Runs for every request.

mod basic;
mod client_rates;
mod credentials;
mod flights;
mod followed_file;
mod forward;
mod forward_request;
mod grant;
mod grant_cache;
pub(crate) mod internal;
mod jwt;
mod jwt_keys;
mod operators;
mod origins;
mod outlook;
mod owned_fields;
mod passwords;
mod refusal;
mod rule_file;
mod service_url;
mod settings;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{HeaderMap, HeaderName, Method};
use tokio::task::spawn_blocking;

use crate::Instant;
use crate::clock::{AtomicInstant, Epoch};
use crate::metrics::AuthCounts;
use crate::net::is_in;
use crate::pool::Pool;
use basic::PasswordCheck;
use forward::ForwardAuth;
use jwt::TokenCheck;

pub(crate) use client_rates::{ClientLimits, ClientRates};
pub(crate) use credentials::TokenPlaces;
pub(crate) use followed_file::FileFault;
pub(crate) use grant::Grant;
pub(crate) use jwt_keys::SECRET_BYTES_MIN;
pub(crate) use operators::{Operator, OperatorFault, OperatorKey, Operators, Role};
pub(crate) use origins::{OriginRule, Origins, is_foreign, is_preflight};
pub(crate) use owned_fields::{OwnedFields, may_be_owned};
pub(crate) use passwords::check_line;
pub(crate) use refusal::{RateBound, Refusal};
pub(crate) use rule_file::RuleFile;
pub(crate) use service_url::ServiceUrl;
pub(crate) use settings::{
    AuthSettings, BasicSettings, ForwardSettings, JwtSettings, Settings, TokenSecret,
};

/// The rules of one route.
#[derive(Debug)]
pub(crate) struct Access {
    settings: Settings,
    auth: Option<Auth>,
    owned: OwnedFields,
    files: Followed,
}

/// How a client says who it is.
#[derive(Debug)]
enum Auth {
    Jwt(Box<TokenCheck>),
    Forward(Box<ForwardAuth>),
    Basic(Box<PasswordCheck>),
}

/// When the files of the rules were read last.
#[derive(Debug)]
struct Followed {
    at: AtomicInstant,
    is_reading: AtomicBool,
}

/// What the rules look at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Visitor<'a> {
    /// The client's address, as far as trusted proxies tell it.
    pub(crate) address: IpAddr,
    /// The host that the client asked for, with its port if it has one.
    pub(crate) host: &'a str,
    /// The scheme by which the client came, as far as trusted proxies tell it.
    pub(crate) scheme: &'a str,
    /// The request's method.
    pub(crate) method: &'a Method,
    /// The path and the query of its target.
    pub(crate) target: &'a str,
    /// The query of its target.
    pub(crate) query: Option<&'a str>,
    /// Its fields.
    pub(crate) headers: &'a HeaderMap,
    /// The names in its `Connection`: such fields are for us alone.
    pub(crate) of_connection: &'a [HeaderName],
    /// Whether a browser may show the response as a page, so that a redirect to a login helps.
    pub(crate) is_page: bool,
}

impl Access {
    /// The rules of these settings, `None` if everybody may use the route; those of `former` if they
    /// are the same. Reads files, which blocks for some seconds at most.
    ///
    /// # Errors
    ///
    /// A file of keys cannot be used.
    pub(crate) fn new(
        settings: &Settings,
        former: Option<&Arc<Self>>,
    ) -> Result<Option<Arc<Self>>, FileFault> {
        if settings.is_open() {
            return Ok(None);
        }
        if let Some(former) = former.filter(|former| former.settings == *settings) {
            return Ok(Some(former.clone()));
        }
        let auth = match &settings.auth {
            None => None,
            Some(AuthSettings::Jwt(jwt)) => Some(Auth::Jwt(Box::new(TokenCheck::new(jwt)?))),
            Some(AuthSettings::Forward(forward)) => {
                Some(Auth::Forward(Box::new(ForwardAuth::new(forward))))
            }
            Some(AuthSettings::Basic(basic)) => {
                Some(Auth::Basic(Box::new(PasswordCheck::new(basic)?)))
            }
        };
        let owned = settings.auth.as_ref().map(|auth| OwnedFields::new(auth.owned_fields()));
        let owned = owned.unwrap_or_default();
        let at = AtomicInstant::new(Epoch::new(Instant::now()));
        let files = Followed { at, is_reading: AtomicBool::new(false) };
        Ok(Some(Arc::new(Self { settings: settings.clone(), auth, owned, files })))
    }

    /// Whether the rules name the origins that are allowed.
    pub(crate) fn names_origins(&self) -> bool {
        self.settings.origins.is_some()
    }

    /// Whether an authorization service decides.
    pub(crate) fn asks_a_service(&self) -> bool {
        match &self.auth {
            Some(Auth::Forward(_)) => true,
            Some(Auth::Jwt(_) | Auth::Basic(_)) | None => false,
        }
    }

    /// The fields that tell the nodes who a client is, and that no client may write.
    pub(crate) fn owned_fields(&self) -> &OwnedFields {
        &self.owned
    }

    /// Checks whether `visitor` may use the route, and what it is granted. A service is asked by a
    /// connection of `pool`; `counts` are those of the route.
    ///
    /// # Errors
    ///
    /// Why it may not.
    pub(crate) async fn check(
        &self,
        visitor: &Visitor<'_>,
        pool: &Arc<Pool>,
        counts: &AuthCounts,
    ) -> Result<Grant, Refusal> {
        self.check_place(visitor)?;
        match &self.auth {
            Some(_) if is_preflight(visitor.method, visitor.headers) => Ok(Grant::default()),
            Some(Auth::Jwt(tokens)) => {
                tokens.check(visitor.headers, visitor.query).map_err(Refusal::Token)
            }
            // Boxed: a poll is pending for long, and its future would have space for all of it.
            Some(Auth::Forward(service)) => Box::pin(service.check(visitor, pool, counts)).await,
            Some(Auth::Basic(passwords)) => {
                Box::pin(passwords.check(visitor.headers, counts)).await
            }
            None => Ok(Grant::default()),
        }
    }

    /// Checks where `visitor` is: its network, and the origin of its page.
    fn check_place(&self, visitor: &Visitor<'_>) -> Result<(), Refusal> {
        let Settings { deny, allow, origins, .. } = &self.settings;
        let is_allowed = allow.is_empty() || is_in(allow, visitor.address);
        if is_in(deny, visitor.address) || !is_allowed {
            return Err(Refusal::Address);
        }
        if origins.as_ref().is_some_and(|origins| !origins.allow(visitor.headers, visitor.host)) {
            return Err(Refusal::Origin);
        }
        Ok(())
    }

    /// Begins to read the files of the rules again, if it is time.
    pub(crate) fn follow_files(self: &Arc<Self>, now: Instant) {
        let has_files = match &self.auth {
            Some(Auth::Jwt(tokens)) => tokens.has_files(),
            Some(Auth::Basic(passwords)) => passwords.has_files(),
            Some(Auth::Forward(_)) | None => false,
        };
        let was_read = self.files.at.get();
        let is_due = was_read.is_none_or(|at| now.saturating_duration_since(at) >= READ_EVERY);
        if !has_files || !is_due || self.files.is_reading.swap(true, Ordering::Relaxed) {
            return;
        }
        self.files.at.set(Some(now));
        let access = self.clone();
        // Nobody waits for it, and a read of a dead mount has an end.
        drop(spawn_blocking(move || {
            match &access.auth {
                Some(Auth::Jwt(tokens)) => tokens.refresh(),
                Some(Auth::Basic(passwords)) => passwords.refresh(),
                Some(Auth::Forward(_)) | None => (),
            }
            access.files.is_reading.store(false, Ordering::Relaxed);
        }));
    }
}

/// How often a file is read. The manual promises that a change counts within 5 s.
const READ_EVERY: Duration = Duration::from_secs(1);
