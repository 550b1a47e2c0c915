//! Asks an authorization service of the operator who a client is, as `auth_request` of nginx and
//! `forwardAuth` of Traefik do.
//!
//! What the service allows is remembered for a short time, by everything that could tell one client
//! from another. What it refuses is not: a client that has just logged in must not be refused.
//!
//! Runs for every request.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, LOCATION, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use http_body_util::{BodyExt as _, Empty, Limited};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::debug;

use super::Visitor;
use super::credentials::single_authorization;
use super::flights::{Checked, Flights};
use super::forward_request;
use super::grant::{Fields, Grant};
use super::grant_cache::GrantCache;
use super::refusal::{Refusal, ServiceFault, ServiceRefusal};
use super::settings::ForwardSettings;
use crate::Instant;
use crate::http1::HeadLimits;
use crate::metrics::AuthCounts;
use crate::pool::{
    ConnectError, ConnectOptions, OutboundHead, Pool, Reply, SendFault, SendLimits, Sharing,
};
use crate::upstream::{Node, NodeSettings};

/// The service of one route, and what it allowed recently.
#[derive(Debug)]
pub(super) struct ForwardAuth {
    settings: ForwardSettings,
    service: Arc<Node>,
    cache: GrantCache,
    flights: Flights,
    /// One permit for each request to the service.
    permits: Semaphore,
}

/// The head of what the service sent.
struct Said {
    status: StatusCode,
    headers: HeaderMap,
}

impl ForwardAuth {
    pub(super) fn new(settings: &ForwardSettings) -> Self {
        let name = settings.url.to_string();
        let service = Node::new(&NodeSettings::new(&name, settings.url.address.clone()));
        Self {
            settings: settings.clone(),
            service: Arc::new(service),
            cache: GrantCache::new(settings.cache),
            flights: Flights::default(),
            permits: Semaphore::new(REQUESTS_MAX),
        }
    }

    /// What the service grants `visitor`. If the future is dropped, the request to the service ends.
    ///
    /// # Errors
    ///
    /// It refuses the client, or says nothing that could be understood in time.
    pub(super) async fn check(
        &self,
        visitor: &Visitor<'_>,
        pool: &Arc<Pool>,
        counts: &AuthCounts,
    ) -> Result<Grant, Refusal> {
        single_authorization(visitor.headers).map_err(Refusal::Credentials)?;
        let key = forward_request::key(&self.settings, visitor, &self.cache);
        let Some(key) = key else { return self.ask(visitor, pool, counts).await.map(Grant::of) };
        if let Some(fields) = self.cache.find(key, Instant::now()) {
            counts.remembered.inc();
            return Ok(Grant::of(fields));
        }
        let check = async {
            let checked = self.ask(visitor, pool, counts).await;
            if let Ok(fields) = &checked {
                self.cache.put(key, fields.clone(), Instant::now());
            }
            checked
        };
        // A request that takes over the check of a client that has left begins with a whole timeout.
        let joined = timeout(self.settings.timeout * 2, self.flights.join(key, check)).await;
        joined.unwrap_or(Err(Refusal::Service(ServiceFault::TimedOut))).map(Grant::of)
    }

    /// How much is remembered, and how many questions are open.
    #[cfg(test)]
    pub(super) fn held(&self) -> [usize; 2] {
        [self.cache.len(), self.flights.len()]
    }

    async fn ask(&self, visitor: &Visitor<'_>, pool: &Arc<Pool>, counts: &AuthCounts) -> Checked {
        let checked = self.verdict(visitor, pool).await;
        counts.requests.count([outcome(&checked)]);
        checked
    }

    async fn verdict(&self, visitor: &Visitor<'_>, pool: &Arc<Pool>) -> Checked {
        let head = forward_request::head(&self.settings, visitor);
        let asked = async {
            let _permit = self.permits.acquire().await;
            self.send(&head, pool).await
        };
        let said = timeout(self.settings.timeout, asked).await;
        let said = said.unwrap_or(Err(ServiceFault::TimedOut)).map_err(Refusal::Service)?;
        self.judge(&said, visitor)
    }

    /// What the head of the response means for the client.
    fn judge(&self, said: &Said, visitor: &Visitor<'_>) -> Checked {
        let refused = |status: StatusCode, and: &[HeaderName]| {
            let names = and.iter().chain(&self.settings.refusal_fields);
            let fields = chosen(&said.headers, names);
            Err(Refusal::ByService(Box::new(ServiceRefusal { status, fields })))
        };
        match said.status.as_u16() {
            200..=299 => Ok(chosen(&said.headers, self.settings.response_fields.iter())),
            401 => refused(said.status, &[WWW_AUTHENTICATE]),
            403 => refused(said.status, &[]),
            301 | 302 | 303 | 307 | 308 if said.headers.contains_key(LOCATION) => {
                // No client of Socket.IO follows a redirect to a login.
                match visitor.is_page {
                    true => refused(said.status, &[LOCATION]),
                    false => refused(StatusCode::UNAUTHORIZED, &[]),
                }
            }
            status => Err(Refusal::Service(ServiceFault::Status(status))),
        }
    }

    async fn send(&self, head: &OutboundHead, pool: &Arc<Pool>) -> Result<Said, ServiceFault> {
        let limits = SendLimits {
            upload: self.settings.timeout,
            response: self.settings.timeout,
            idle: IDLE_TIMEOUT,
            reuses_after_body: true,
            body_bytes_max: 0,
            head_limits: HeadLimits::default(),
        };
        let tls = self.settings.tls.as_deref();
        let options = ConnectOptions::within(self.settings.timeout).with_tls(tls);
        loop {
            let connection = match pool.take(&self.service, Sharing::Any, options.owner()) {
                Some(connection) => connection,
                None => pool.open(&self.service, options).await.map_err(|error| {
                    debug!(error = %chain(&error), "the authorization service is unreachable");
                    unreachable(&error)
                })?,
            };
            match connection.send(head, Empty::<Bytes>::new(), limits).await {
                Ok(Reply::Answered(response)) => {
                    let (head, body) = response.into_parts();
                    let (status, headers) = (head.status, in_own_memory(&head.headers));
                    // Read to its end, the connection can be used again.
                    let rest = Limited::new(body, BODY_BYTES_MAX).collect();
                    drop(timeout(BODY_WITHIN, rest).await);
                    return Ok(Said { status, headers });
                }
                Ok(Reply::Switched(_)) => return Err(ServiceFault::Status(101)),
                // The service closed an idle connection; a new one cannot fail like this.
                Err(error) if error.is_stale => (),
                Err(error) => {
                    debug!(error = %chain(&error.fault), "the authorization service failed");
                    return Err(fault(&error.fault));
                }
            }
        }
    }
}

/// The label of what the service said.
fn outcome(checked: &Checked) -> &'static str {
    match checked {
        Ok(_) => "allowed",
        Err(Refusal::Service(fault)) if fault.is_absence() => "unavailable",
        Err(Refusal::Service(_)) => "failed",
        Err(_) => "refused",
    }
}

fn unreachable(error: &ConnectError) -> ServiceFault {
    match error {
        ConnectError::Tls { source, .. } => ServiceFault::NoTls(source.kind),
        ConnectError::Resolve { .. }
        | ConnectError::Io { .. }
        | ConnectError::Unix { .. }
        | ConnectError::TimedOut { .. } => ServiceFault::Unreachable,
    }
}

fn fault(fault: &SendFault) -> ServiceFault {
    match fault {
        SendFault::TlsRefused(fault) => ServiceFault::NoTls(fault.kind),
        SendFault::Lost(_) => ServiceFault::BrokeOff,
        SendFault::BadAnswer(_) => ServiceFault::NotHttp,
        SendFault::Unanswered(_) | SendFault::NodeStalled(_) => ServiceFault::TimedOut,
        // The request has no body.
        SendFault::ClientStalled(_) | SendFault::ClientFailed(_) | SendFault::BodyTooLarge(_) => {
            ServiceFault::BrokeOff
        }
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// All fields of these names.
fn chosen<'a>(headers: &HeaderMap, names: impl Iterator<Item = &'a HeaderName>) -> Fields {
    let found = names.flat_map(|name| {
        headers.get_all(name).iter().map(move |value| (name.clone(), value.clone()))
    });
    found.collect()
}

/// Values that do not keep a connection's buffer alive.
fn in_own_memory(headers: &HeaderMap) -> HeaderMap {
    let copy = |value: &HeaderValue| HeaderValue::from_bytes(value.as_bytes()).ok();
    headers.iter().filter_map(|(name, value)| Some((name.clone(), copy(value)?))).collect()
}

/// Requests to one service at the same time; more wait, within their timeout.
const REQUESTS_MAX: usize = 256;

/// Node.js closes an idle connection after 5 s.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);

/// A longer body costs its connection.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// The body decides nothing, so nobody waits long for it.
const BODY_WITHIN: Duration = Duration::from_millis(50);
