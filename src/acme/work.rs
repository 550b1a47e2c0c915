//! What is done for names while this process has the lock.
//!
//! Runs at start, at reload, or on a timer.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use instant_acme::{Account, Error};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tracing::{debug, info, warn};

use super::Settings;
use super::account::{account, forget};
use super::certificate::Certificate;
use super::client::Client;
use super::failure::{Failure, is_unknown_account};
use super::name::Name;
use super::order::{Ended, Wanted, order};
use super::retry::Cause;
use super::schedule::{Step, Window};
use super::status::Status;
use super::store::Store;
use super::unix_time::UnixTime;

/// Orders certificates, one after the other.
pub(super) struct Work<'a> {
    settings: &'a Settings,
    store: &'a Store,
    status: &'a Status,
    /// Once it was needed.
    session: Option<Session>,
    /// Why orders fail for all names.
    outage: Option<Failure>,
}

/// A client with an account.
struct Session {
    client: Client,
    account: Account,
}

impl<'a> Work<'a> {
    /// For names of these settings.
    pub(super) fn new(settings: &'a Settings, store: &'a Store, status: &'a Status) -> Self {
        Self { settings, store, status, session: None, outage: None }
    }

    /// Does what is due for `name`.
    ///
    /// # Errors
    ///
    /// The store does not work. Any other failure is recorded with the name.
    pub(super) async fn advance(&mut self, name: &mut Name) -> Result<(), Failure> {
        if name.step(self.settings, now()) == Step::AskWindow {
            self.ask_window(name).await?;
        }
        if name.step(self.settings, now()) == Step::Order {
            self.order(name).await?;
        }
        Ok(())
    }

    async fn order(&mut self, name: &mut Name) -> Result<(), Failure> {
        let ordered = match &self.outage {
            Some(outage) => Err(outage.clone()),
            None => self.attempt(name).await,
        };
        match ordered {
            Ok((certificate, pem)) => {
                let path = self.store.certificate_path(&name.name);
                self.store.run(move |store| store.write(&path, pem.as_bytes())).await?;
                name.record.succeeded(self.settings);
                name.certificate = Some(certificate);
                self.status.issued.inc();
                info!(name = name.name, "the authority issued a certificate");
            }
            Err(failure) => {
                name.record.failed(&failure, self.settings, now(), fastrand::f64());
                self.status.failed.inc();
                let retry_at = name.record.last_failure.as_ref().map(|failure| failure.retry_at);
                warn!(
                    name = name.name,
                    error = failure.what,
                    advice = failure.advice,
                    retry_seconds = retry_at.map(|at| at.since(now()).as_secs()),
                    has_certificate = name.certificate.is_some(),
                    "no certificate was issued"
                );
                self.outage = Some(failure).filter(|failure| failure.concerns_all);
            }
        }
        self.write_record(name).await
    }

    async fn attempt(&mut self, name: &Name) -> Result<(Certificate, String), Failure> {
        let attempt = timeout(ORDER_TIMEOUT, self.order_from_authority(name));
        let ended = attempt.await.unwrap_or_else(|_elapsed| {
            let minutes = ORDER_TIMEOUT.as_secs() / 60;
            let what = format!("the authority did not come to an end within {minutes} minutes");
            Err(Failure::new(Cause::Unreachable, what, "nothing: it is tried again"))
        });
        let retry_after = self.session.as_ref().and_then(|s| s.client.take_retry_after());
        ended.map_err(|failure| match retry_after {
            Some(wait) => failure.not_before(Some(wait)),
            None => failure,
        })
    }

    async fn order_from_authority(
        &mut self,
        name: &Name,
    ) -> Result<(Certificate, String), Failure> {
        let is_successor = name.record.is_issued_by(self.settings);
        let replaced = name.certificate.as_ref().filter(|_| is_successor);
        let wanted = Wanted {
            name: &name.name,
            challenge: self.settings.challenge,
            replaces: replaced.and_then(Certificate::identifier),
        };
        let account_path = self.store.account_path(&self.settings.directory);
        let mut has_forgotten = false;
        loop {
            let session = self.session().await?;
            let account = session.account.clone();
            let error = match order(wanted, &account, self.store).await {
                Ok(ordered) => return Ok(ordered),
                Err(Ended::Failed(failure)) => return Err(failure),
                Err(Ended::Answered(error)) => error,
            };
            if has_forgotten || !is_unknown_account(&error) {
                return Err(Failure::of_request(&error, &account_path));
            }
            has_forgotten = true;
            self.session = None;
            forget(self.settings, self.store).await?;
        }
    }

    async fn ask_window(&mut self, name: &mut Name) -> Result<(), Failure> {
        let Some(certificate) = name.certificate.clone() else { return Ok(()) };
        let answer = match self.window(&certificate).await {
            Ok((window, again)) => {
                let (start, end) = (window.start.0, window.end.0);
                debug!(name = name.name, start, end, "the authority suggests when to renew");
                Some((window, again))
            }
            Err(what) => {
                debug!(name = name.name, what, "the authority does not say when to renew");
                None
            }
        };
        name.record.asked(&certificate, answer, now());
        self.write_record(name).await
    }

    async fn window(&mut self, certificate: &Certificate) -> Result<(Window, Duration), String> {
        let identifier = certificate.identifier().ok_or("the certificate names no authority")?;
        let session = self.session().await.map_err(|failure| failure.what)?;
        let answer = session.account.renewal_info(identifier).await;
        let (answer, again) = answer.map_err(|error: Error| error.to_string())?;
        let time = |seconds| UnixTime::from_signed(seconds);
        let start = time(answer.suggested_window.start.unix_timestamp());
        let end = time(answer.suggested_window.end.unix_timestamp());
        if end <= start {
            return Err("its window ends before it starts".to_owned());
        }
        Ok((Window { start, end }, again))
    }

    async fn session(&mut self) -> Result<&Session, Failure> {
        if self.session.is_none() {
            let ca = self.settings.ca.clone();
            let client = spawn_blocking(move || Client::new(ca.as_deref())).await;
            let client = client.map_err(std::io::Error::other).flatten().map_err(|error| {
                let what = match &self.settings.ca {
                    Some(ca) => format!("{}: {error}", ca.display()),
                    None => format!("the roots of the platform: {error}"),
                };
                let advice = "let acme.ca be a PEM file with the authority's roots";
                Failure::new(Cause::Unreachable, what, advice).of_all()
            })?;
            let account = account(self.settings, self.store, &client).await.map_err(|failure| {
                let retry_after = client.take_retry_after();
                failure.not_before(retry_after)
            })?;
            self.session = Some(Session { client, account });
        }
        self.session.as_ref().ok_or_else(|| {
            Failure::new(Cause::Unreachable, "there is no session", "report it as a bug")
        })
    }

    async fn write_record(&self, name: &Name) -> Result<(), Failure> {
        let (record, of) = (name.record.clone(), name.name.clone());
        self.store.run(move |store| store.write_record(&of, &record)).await
    }
}

/// The wall clock.
pub(super) fn now() -> UnixTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    UnixTime(since.unwrap_or_default().as_secs())
}

/// Validation takes seconds, and authorities have queues.
const ORDER_TIMEOUT: Duration = Duration::from_mins(10);
