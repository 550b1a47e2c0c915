//! The task that keeps the certificates of all names current.
//!
//! Runs at start, at reload, or on a timer.

use std::future::pending;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{debug, error};

use super::Settings;
use super::failure::Failure;
use super::name::Name;
use super::status::{NameStatus, Status};
use super::store::Store;
use super::work::{Work, now};

/// What the configuration asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The `acme:` section.
    pub(crate) settings: Settings,
    /// The names of all listeners, each once.
    pub(crate) names: Vec<String>,
}

/// Tells the task what the configuration asks for. `None`: nothing.
pub(crate) type WantedNames = watch::Sender<Option<Wanted>>;

/// Keeps the certificates of all names current.
#[derive(Clone, Debug)]
pub(crate) struct Keeper {
    wanted: watch::Receiver<Option<Wanted>>,
    status: Status,
    /// What is wrong with the store.
    logged: Option<Failure>,
}

impl Keeper {
    /// A task that has nothing to do yet, and who tells it.
    pub(crate) fn new() -> (Self, WantedNames, Status) {
        let (sender, wanted) = watch::channel(None);
        let status = Status::default();
        (Self { wanted, status: status.clone(), logged: None }, sender, status)
    }

    /// Keeps the certificates current, until it is dropped.
    pub(crate) async fn run(mut self) {
        loop {
            let wanted = self.wanted.borrow_and_update().clone();
            let again = match &wanted {
                Some(wanted) if !wanted.names.is_empty() => self.look_after(wanted).await,
                _ => {
                    self.status.show(Vec::new());
                    Duration::MAX
                }
            };
            tokio::select! {
                () = sleep(again) => (),
                changed = self.wanted.changed() => {
                    if changed.is_err() {
                        pending::<()>().await;
                    }
                }
            }
        }
    }

    /// Does what is due for the names. Returns when to look again.
    async fn look_after(&mut self, wanted: &Wanted) -> Duration {
        match self.pass(wanted).await {
            Ok(again) => {
                self.logged = None;
                again
            }
            Err(failure) => {
                // Once, and not every half minute.
                if self.logged.as_ref() != Some(&failure) {
                    let Failure { what, advice, .. } = &failure;
                    error!(error = what, advice, "the store of certificates does not work");
                    self.logged = Some(failure.clone());
                }
                self.status.show(
                    wanted.names.iter().map(|name| NameStatus::lost(name, &failure)).collect(),
                );
                LOOK_EVERY
            }
        }
    }

    async fn pass(&self, wanted: &Wanted) -> Result<Duration, Failure> {
        let store = Store::open(&wanted.settings.store).await?;
        let mut names = Vec::new();
        for name in &wanted.names {
            names.push(Name::read(name, &store).await?);
        }
        self.show(&names, wanted, false);
        if !names.iter().any(|name| name.is_due(&wanted.settings, now())) {
            return Ok(pause(&names, &wanted.settings));
        }
        let Some(lock) = store.run(Store::try_lock).await? else {
            debug!("another process orders certificates");
            self.show(&names, wanted, true);
            return Ok(LOOK_WHILE_LOCKED);
        };
        store.run(Store::sweep).await?;
        let mut work = Work::new(&wanted.settings, &store, &self.status);
        for name in &mut names {
            // The process that had the lock before may have done it.
            *name = Name::read(&name.name, &store).await?;
            work.advance(name).await?;
        }
        drop(lock);
        self.show(&names, wanted, false);
        Ok(pause(&names, &wanted.settings))
    }

    fn show(&self, names: &[Name], wanted: &Wanted, is_locked: bool) {
        let shown = names.iter().map(|name| name.status(&wanted.settings, now(), is_locked));
        self.status.show(shown.collect());
    }
}

/// How long nothing is due.
fn pause(names: &[Name], settings: &Settings) -> Duration {
    let now = now();
    let next = names.iter().map(|name| name.due_at(settings, now).since(now)).min();
    next.unwrap_or(LOOK_EVERY).clamp(Duration::from_secs(1), LOOK_EVERY)
}

/// How often the store is looked at: another process or a person may have changed it.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// How often the store is looked at while another process orders.
const LOOK_WHILE_LOCKED: Duration = Duration::from_secs(2);
