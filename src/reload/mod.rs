//! Hot reload: who asks for it, what is read, and what came of it.
//!
//! The file is watched, SIGHUP and the admin room ask through a [`Reloader`], and [`Reloads`] serves
//! them one after the other. All that can fail is done before anything is changed: a file with
//! problems or an address that is taken leaves everything as it is.
//!
//! Runs at start, at reload, or on a timer.

mod stamp;
mod watch;

use std::convert::Infallible;
use std::error::Error;
use std::future::pending;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::{mpsc, oneshot, watch as latest};
use tokio::task::{JoinError, spawn_blocking};
use tracing::{debug, error, info, warn};

use crate::affinity::TagClash;
use crate::config::{self, Changes, Config, Outline, Problems};
use crate::listener::BindError;
use crate::{metrics, systemd};
use watch::FileWatch;

/// Asks for reloads and tells what came of the last one. Clones ask the same server.
#[derive(Clone, Debug)]
pub struct Reloader {
    asks: mpsc::Sender<Ask>,
    last: latest::Receiver<Option<Last>>,
    counts: Arc<metrics::Reloads>,
}

/// What came of a reload: what changed, nothing perhaps, or why all is as before.
pub type Outcome = Result<Changes, Arc<ReloadError>>;

/// The last reload.
#[derive(Clone, Debug)]
pub struct Last {
    /// When it ended.
    pub at: SystemTime,
    /// What came of it.
    pub outcome: Outcome,
}

/// Why a reload changed nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The file is wrong.
    #[error("{0}")]
    Problems(Problems),
    /// A new address cannot be listened on. One that overlaps with an address in use is taken
    /// too, `0.0.0.0:80` beside `127.0.0.1:80`, even if that one is to go: this needs a restart.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// Two nodes cannot be told apart by their tags.
    #[error(transparent)]
    TagClash(#[from] TagClash),
    /// The file could not be gone through.
    #[error("reading the configuration broke off")]
    Broken(#[source] JoinError),
    /// The configuration came from a pipe or from standard input.
    #[error(
        "the configuration came from a pipe, which can be read once only: restart to change it"
    )]
    ReadOnce,
    /// The process stops, and what it serves to its end does not change any more.
    #[error("the process is stopping")]
    Stopping,
}

/// The server's side: the file, and everyone who wants it to be read anew.
#[derive(Debug)]
pub struct Reloads {
    path: PathBuf,
    /// Of what is in force.
    outline: Outline,
    asks: mpsc::Receiver<Ask>,
    last: latest::Sender<Option<Last>>,
    counts: Arc<metrics::Reloads>,
    /// None of what can be read once only.
    file: Option<FileWatch>,
}

/// Someone wants a reload.
#[derive(Debug)]
enum Ask {
    /// And waits for the outcome.
    Waiting(oneshot::Sender<Outcome>),
    /// And has gone on.
    Unattended,
    /// The file may have changed: if it has not, that is no news.
    FileTouched,
}

impl Reloader {
    /// Reads the file anew and puts it in force, or says why not. If the future is dropped, the
    /// reload takes place all the same.
    ///
    /// # Errors
    ///
    /// [`ReloadError`]; then nothing has changed.
    pub async fn reload(&self) -> Outcome {
        let (told, outcome) = oneshot::channel();
        if self.asks.send(Ask::Waiting(told)).await.is_err() {
            return Err(Arc::new(ReloadError::Stopping));
        }
        outcome.await.unwrap_or_else(|_| Err(Arc::new(ReloadError::Stopping)))
    }

    /// As [`Reloader::reload`], and does not wait: the log tells what came of it.
    pub fn ask(&self) {
        // If there is no room, others wait for the same. If there is no server, it stops.
        let _ = self.asks.try_send(Ask::Unattended);
    }

    /// What came of the last reload; `None` if there was none, or none that found a change.
    pub fn last(&self) -> Option<Last> {
        self.last.borrow().clone()
    }

    /// How many succeeded and failed; a file that was touched and says the same is none.
    pub fn counts(&self) -> &metrics::Reloads {
        &self.counts
    }
}

impl ReloadError {
    /// What is wrong, with all its causes; problems of the file on several lines, as for a terminal.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = self.source();
        while let Some(cause) = source {
            text.push_str(&format!(": {cause}"));
            source = cause.source();
        }
        text
    }

    /// What is wrong, with all its causes, for a log.
    pub fn on_one_line(&self) -> String {
        match self {
            Self::Problems(problems) => problems.on_one_line(),
            Self::Bind(_)
            | Self::TagClash(_)
            | Self::Broken(_)
            | Self::ReadOnce
            | Self::Stopping => self.chain().split_whitespace().collect::<Vec<_>>().join(" "),
        }
    }

    /// How many problems the file has; `None` if it is not the file that is wrong.
    fn problems(&self) -> Option<usize> {
        match self {
            Self::Problems(problems) => Some(problems.iter().count()),
            Self::Bind(_)
            | Self::TagClash(_)
            | Self::Broken(_)
            | Self::ReadOnce
            | Self::Stopping => None,
        }
    }
}

impl Reloads {
    /// Reloads of the file at `path`, of which `outline` is in force.
    pub fn of(path: PathBuf, outline: Outline) -> (Reloader, Self) {
        let (sender, asks) = mpsc::channel(ASKS_MAX);
        let (last, seen_last) = latest::channel(None);
        let counts = Arc::new(metrics::Reloads::default());
        let reloader = Reloader { asks: sender, last: seen_last, counts: counts.clone() };
        let is_read_once = config::is_read_once(&path);
        if is_read_once {
            info!(path = %path.display(), "the configuration is read once only and not followed");
        }
        let file = (!is_read_once).then(|| FileWatch::new(&path));
        (reloader, Self { path, outline, asks, last, counts, file })
    }

    /// Serves everyone who asks, for as long as it is polled. `apply` puts a configuration in
    /// force, or changes nothing and says why. If the future is dropped, a reload is either done or
    /// not begun, and who waits for it hears that the process stops.
    pub async fn serve(
        mut self,
        mut apply: impl FnMut(Config) -> Result<(), ReloadError>,
    ) -> Infallible {
        loop {
            let ask = tokio::select! {
                Some(ask) = self.asks.recv() => ask,
                () = changed(&mut self.file) => Ask::FileTouched,
            };
            let outcome = match ask {
                Ask::Waiting(_) | Ask::Unattended => {
                    systemd::reloading();
                    let outcome = self.reload(&mut apply).await;
                    systemd::ready();
                    outcome
                }
                // systemd did not ask for it, and mostly there is nothing to tell.
                Ask::FileTouched => self.reload(&mut apply).await,
            };
            self.tell(ask, outcome.map_err(Arc::new));
        }
    }

    async fn reload(
        &mut self,
        apply: &mut impl FnMut(Config) -> Result<(), ReloadError>,
    ) -> Result<Changes, ReloadError> {
        if self.file.is_none() {
            return Err(ReloadError::ReadOnce);
        }
        let path = self.path.clone();
        // A large file takes some milliseconds, which this thread's tunnels would wait. One on a
        // mount that is dead takes until the deadline of its reading.
        let read = spawn_blocking(move || config::load_with_outline(&path)).await;
        let (config, outline) =
            read.map_err(ReloadError::Broken)?.map_err(ReloadError::Problems)?;
        let changes = self.outline.changes(&outline);
        if !changes.is_empty() {
            for warning in &config.warnings {
                warn!("{warning}");
            }
            apply(config)?;
            self.outline = outline;
        }
        Ok(changes)
    }

    /// Logs what came of a reload and tells it to those who want to know.
    fn tell(&self, ask: Ask, outcome: Outcome) {
        match (&outcome, &ask) {
            (Ok(changes), Ask::FileTouched) if changes.is_empty() => {
                debug!("the configuration's file was touched and says the same");
                // Nor is it news if the file says again what is in force, but then it is mended.
                self.last.send_if_modified(forget_failure);
                return;
            }
            (Ok(changes), _) if changes.is_empty() => info!("reloaded: nothing has changed"),
            (Ok(changes), _) => info!("reloaded: {changes}"),
            (Err(refused), Ask::FileTouched) if self.is_known(refused) => {
                return debug!("the configuration's file is as wrong as before");
            }
            (Err(refused), _) => error!(
                problems = refused.problems(),
                error = refused.on_one_line(),
                "not reloaded, all is as before"
            ),
        }
        match &outcome {
            Ok(_) => _ = self.counts.succeeded.inc(),
            Err(_) => _ = self.counts.failed.inc(),
        }
        self.last.send_replace(Some(Last { at: SystemTime::now(), outcome: outcome.clone() }));
        if let Ask::Waiting(waiting) = ask {
            // Who has gone meanwhile does not want to know.
            let _ = waiting.send(outcome);
        }
    }

    /// Whether the last reload said the same.
    fn is_known(&self, refused: &ReloadError) -> bool {
        let last = self.last.borrow();
        let known = last.as_ref().and_then(|last| last.outcome.as_ref().err());
        known.is_some_and(|known| known.chain() == refused.chain())
    }
}

/// Waits until the file may have changed; what can be read once only never does.
async fn changed(file: &mut Option<FileWatch>) {
    match file {
        Some(file) => file.changed().await,
        None => pending().await,
    }
}

/// Whether a failure was forgotten.
fn forget_failure(last: &mut Option<Last>) -> bool {
    let failed = last.as_ref().is_some_and(|last| last.outcome.is_err());
    if failed {
        *last = None;
    }
    failed
}

/// How many may ask before the first is served.
const ASKS_MAX: usize = 16;
