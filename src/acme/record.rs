//! What the store keeps on a name besides its certificate, for the next start and for other proxies.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::hash::{Hash as _, Hasher as _};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use super::Settings;
use super::certificate::Certificate;
use super::failure::Failure;
use super::retry;
use super::schedule::{self, Situation, Window};
use super::unix_time::UnixTime;

/// What is known of a name. Fields that a file lacks have their defaults.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(default)]
pub(super) struct Record {
    /// The directory of the authority that issued the certificate.
    pub(super) issued_by: Option<String>,
    /// Orders that failed since the last one that succeeded.
    pub(super) failures: u32,
    /// The last of them.
    pub(super) last_failure: Option<LastFailure>,
    /// What the authority suggests for the certificate with this digest.
    pub(super) renewal: Option<Renewal>,
}

/// An order that failed.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(super) struct LastFailure {
    pub(super) at: UnixTime,
    /// When the next order is.
    pub(super) retry_at: UnixTime,
    /// What went wrong.
    pub(super) what: String,
    /// What to do about it.
    pub(super) advice: String,
    /// Of the settings that it failed with. Other settings are tried at once.
    pub(super) settings: u64,
}

/// The authority's last word on when to renew a certificate.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(super) struct Renewal {
    /// Of the certificate that it is about.
    pub(super) certificate: u64,
    /// `None`: it gave none.
    pub(super) window: Option<Window>,
    /// When to ask again.
    pub(super) ask_at: UnixTime,
}

impl Record {
    /// What decides on the next step.
    pub(super) fn situation<'a>(
        &'a self,
        certificate: Option<&Certificate>,
        settings: &Settings,
    ) -> Situation<'a> {
        let is_ours = self.is_issued_by(settings);
        let certificate = certificate.filter(|_| is_ours);
        let renewal = certificate.and_then(|certificate| self.renewal_of(certificate));
        let failure = self.last_failure.as_ref().filter(|f| f.settings == fingerprint(settings));
        Situation {
            validity: certificate.map(Certificate::validity),
            window: renewal.and_then(|renewal| renewal.window.as_ref()),
            ask_at: Some(renewal.map(|renewal| renewal.ask_at).unwrap_or_default()),
            retry_at: failure.map(|failure| failure.retry_at),
        }
    }

    /// Whether the certificate comes from the authority of `settings`. One that was put into the store
    /// by hand is taken for such a one.
    pub(super) fn is_issued_by(&self, settings: &Settings) -> bool {
        self.issued_by.as_deref().is_none_or(|directory| directory == &*settings.directory)
    }

    /// An order succeeded.
    pub(super) fn succeeded(&mut self, settings: &Settings) {
        *self = Self { issued_by: Some(settings.directory.to_string()), ..Self::default() };
    }

    /// An order failed.
    pub(super) fn failed(
        &mut self,
        failure: &Failure,
        settings: &Settings,
        now: UnixTime,
        luck: f64,
    ) {
        self.failures = self.failures.saturating_add(1);
        let wait = retry::wait(failure.cause, self.failures, failure.retry_after, luck);
        self.last_failure = Some(LastFailure {
            at: now,
            retry_at: now.after(wait),
            what: failure.what.clone(),
            advice: failure.advice.clone(),
            settings: fingerprint(settings),
        });
    }

    /// The authority was asked when to renew; `answer` is its window and when to ask again.
    pub(super) fn asked(
        &mut self,
        certificate: &Certificate,
        answer: Option<(Window, Duration)>,
        now: UnixTime,
    ) {
        let known = self.renewal.take().filter(|known| known.certificate == certificate.digest());
        let (window, ask_at) = match answer {
            Some((window, retry_after)) => (Some(window), schedule::ask_again(now, retry_after)),
            // The last window is better than none.
            None => {
                let window = known.and_then(|known| known.window);
                (window, schedule::ask_again_after_failure(now))
            }
        };
        self.renewal = Some(Renewal { certificate: certificate.digest(), window, ask_at });
    }

    fn renewal_of(&self, certificate: &Certificate) -> Option<&Renewal> {
        self.renewal.as_ref().filter(|renewal| renewal.certificate == certificate.digest())
    }
}

/// A number that differs for other settings. The same in every process: proxies share records.
fn fingerprint(settings: &Settings) -> u64 {
    let mut hasher = Xxh3::new();
    let Settings { directory, contact, store: _, challenge, eab, ca } = settings;
    directory.hash(&mut hasher);
    contact.hash(&mut hasher);
    challenge.label().hash(&mut hasher);
    eab.as_ref().map(|eab| (&eab.kid, &eab.hmac_file)).hash(&mut hasher);
    ca.hash(&mut hasher);
    hasher.finish()
}
