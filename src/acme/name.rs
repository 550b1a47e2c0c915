//! A name, with what the store has on it.
//!
//! Runs at start, at reload, or on a timer.

use super::Settings;
use super::certificate::Certificate;
use super::failure::Failure;
use super::record::Record;
use super::schedule::Step;
use super::status::NameStatus;
use super::store::Store;
use super::unix_time::UnixTime;

/// A name whose certificate is kept current.
#[derive(Debug)]
pub(super) struct Name {
    pub(super) name: String,
    /// `None`: there is none, or one that does not work.
    pub(super) certificate: Option<Certificate>,
    pub(super) record: Record,
}

impl Name {
    /// What the store has on `name`.
    pub(super) async fn read(name: &str, store: &Store) -> Result<Self, Failure> {
        let name = name.to_owned();
        store
            .run(move |store| {
                let pem = store.read(&store.certificate_path(&name))?;
                let certificate = pem.and_then(|pem| Certificate::parse(&pem, &name).ok());
                let record = store.record(&name)?;
                Ok(Self { name, certificate, record })
            })
            .await
    }

    /// What is to be done at `now`.
    pub(super) fn step(&self, settings: &Settings, now: UnixTime) -> Step {
        self.record.situation(self.certificate.as_ref(), settings).step(now)
    }

    /// Whether anything is to be done.
    pub(super) fn is_due(&self, settings: &Settings, now: UnixTime) -> bool {
        self.due_at(settings, now) <= now
    }

    /// When something is to be done, at the earliest.
    pub(super) fn due_at(&self, settings: &Settings, now: UnixTime) -> UnixTime {
        match self.step(settings, now) {
            Step::Order | Step::AskWindow => now,
            Step::Wait(until) => until,
        }
    }

    /// What an operator sees of it. `is_locked`: another process orders.
    pub(super) fn status(&self, settings: &Settings, now: UnixTime, is_locked: bool) -> NameStatus {
        let situation = self.record.situation(self.certificate.as_ref(), settings);
        let failure = self.record.last_failure.as_ref();
        NameStatus {
            name: self.name.clone(),
            expires: self.certificate.as_ref().map(|found| found.validity().until),
            next_order: Some(situation.order_at(now)),
            is_left_to_other: is_locked && self.is_due(settings, now),
            failures: self.record.failures,
            failure: failure.map(|failure| format!("{}: {}", failure.what, failure.advice)),
        }
    }
}
