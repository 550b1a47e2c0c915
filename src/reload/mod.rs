//! Hot reload: requests for it, what is read, and the outcome.
//!
//! The file is watched, and SIGHUP and the admin listener make requests through a [`Reloader`].
//! [`Reloads`] serves one request after the other. Everything that can fail is done before anything is
//! changed: a file with problems or an address that is taken leaves everything as it is.
//!
//! Runs at start, at reload, or on a timer.

mod error;
mod stamp;
mod watch;

use std::collections::VecDeque;
use std::future::pending;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::{mpsc, oneshot, watch as latest};
use tokio::task::{JoinHandle, spawn_blocking};
use tracing::{debug, error, info, warn};

use crate::config::{self, Changes, Config, Loaded, Outline, Source};
use crate::logging::error_chain;
use crate::{metrics, systemd};
pub use error::ReloadError;
use watch::FileWatch;

/// Requests reloads, and knows the outcomes of the last ones. Clones belong to the same server.
#[derive(Clone, Debug)]
pub struct Reloader {
    requests: mpsc::Sender<ReloadRequest>,
    past: latest::Receiver<PastReloads>,
    counts: Arc<metrics::Reloads>,
}

/// The reloads that are over.
#[derive(Clone, Debug, Default)]
struct PastReloads {
    /// The last one. `None` if there was none, or if the file has been corrected without a change.
    last: Option<LastReload>,
    /// The last ones, the latest at the end.
    recent: VecDeque<LastReload>,
}

/// The outcome of a reload: what changed, which may be nothing, or why nothing was changed.
pub(crate) type Outcome = Result<Changes, Arc<ReloadError>>;

/// The last reload.
#[derive(Clone, Debug)]
pub struct LastReload {
    /// When it ended.
    pub at: SystemTime,
    /// Its outcome.
    pub outcome: Outcome,
}

/// The server's side: the file, and the requests to reload it.
#[derive(Debug)]
pub(crate) struct Reloads {
    source: Source,
    /// The outline of the configuration in force.
    outline: Outline,
    requests: mpsc::Receiver<ReloadRequest>,
    /// The file that is being read, and the request for it.
    reading: Option<(ReloadRequest, JoinHandle<Loaded>)>,
    past: latest::Sender<PastReloads>,
    counts: Arc<metrics::Reloads>,
    /// `None` if the configuration can be read only once.
    file: Option<FileWatch>,
}

/// A configuration that was read, and is to be applied with [`Reloads::finish`].
#[derive(Debug)]
pub(crate) struct PendingReload {
    request: ReloadRequest,
    read: Result<(Config, Outline), ReloadError>,
}

/// A request for a reload.
#[derive(Debug)]
enum ReloadRequest {
    /// The requester waits for the outcome.
    Waiting(oneshot::Sender<Outcome>),
    /// The requester does not wait.
    Detached,
    /// The file may have changed. If it has not, nothing is logged.
    FileTouched,
}

impl Reloader {
    /// Reloads the file and returns the outcome. If the future is dropped, the reload takes place
    /// nevertheless.
    ///
    /// # Errors
    ///
    /// [`ReloadError`]; then nothing has changed.
    pub async fn reload(&self) -> Outcome {
        let (sender, outcome) = oneshot::channel();
        if self.requests.send(ReloadRequest::Waiting(sender)).await.is_err() {
            return Err(Arc::new(ReloadError::Stopping));
        }
        outcome.await.unwrap_or_else(|_| Err(Arc::new(ReloadError::Stopping)))
    }

    /// Requests a reload and does not wait for it. The outcome is logged.
    pub fn request(&self) {
        // If the queue is full, others have requested the same. If it is closed, the server stops.
        let _ = self.requests.try_send(ReloadRequest::Detached);
    }

    /// The last reload. `None` if there was none, or if the file has been corrected without a change.
    pub fn last(&self) -> Option<LastReload> {
        self.past.borrow().last.clone()
    }

    /// The last reloads, at most ten, the latest at the end. A file that was touched without a change is not
    /// among them.
    pub(crate) fn recent(&self) -> VecDeque<LastReload> {
        self.past.borrow().recent.clone()
    }

    /// How many reloads succeeded and failed. A file that was touched without a change is not counted.
    pub fn counts(&self) -> &metrics::Reloads {
        &self.counts
    }
}

impl ReloadRequest {
    /// Calls `notify` unless the file was merely touched: systemd did not request that, and mostly
    /// nothing has changed.
    fn notify_systemd(&self, notify: fn()) {
        match self {
            Self::Waiting(_) | Self::Detached => notify(),
            Self::FileTouched => (),
        }
    }
}

impl Reloads {
    /// Reloads of the file of `source`, whose `config` with this `outline` is in force.
    pub(crate) fn new(source: Source, outline: Outline, config: &Config) -> (Reloader, Self) {
        let (sender, requests) = mpsc::channel(REQUESTS_MAX);
        let (past, past_receiver) = latest::channel(PastReloads::default());
        let counts = Arc::new(metrics::Reloads::default());
        let reloader = Reloader { requests: sender, past: past_receiver, counts: counts.clone() };
        let path = &source.path;
        let is_read_once = config::is_read_once(path);
        if is_read_once {
            info!(path = %path.display(), "the configuration can be read only once, changes need a restart");
        }
        let file = (!is_read_once).then(|| FileWatch::new(path, config.files()));
        (reloader, Self { source, outline, requests, reading: None, past, counts, file })
    }

    /// Waits for a request and reads the file. Cancel safe. When this is dropped, requesters that wait
    /// are told that the process stops.
    pub(crate) async fn next(&mut self) -> PendingReload {
        let (_, read) = match &mut self.reading {
            Some(reading) => reading,
            none => {
                let request = tokio::select! {
                    Some(request) = self.requests.recv() => request,
                    () = changed(&mut self.file) => ReloadRequest::FileTouched,
                };
                request.notify_systemd(systemd::reloading);
                if self.file.is_none() {
                    return PendingReload { request, read: Err(ReloadError::ReadOnce) };
                }
                let source = self.source.clone();
                // Parsing a large file takes some milliseconds, in which the tunnels of this thread
                // would wait. A dead mount takes until the deadline of the read.
                let read = spawn_blocking(move || config::load_with_files(&source));
                none.insert((request, read))
            }
        };
        let read = read.await.map_err(ReloadError::Broken);
        let read = read.and_then(|Loaded { outcome, files }| {
            if let Some(watch) = &mut self.file {
                // Also if they are the problem.
                watch.follow_others(files);
            }
            outcome.map_err(ReloadError::Problems)
        });
        let (request, _) = self.reading.take().expect("it was read above");
        PendingReload { request, read }
    }

    /// Applies a configuration with `apply`, which puts it in force, or changes nothing and fails.
    pub(crate) fn finish(
        &mut self,
        reload: PendingReload,
        apply: impl FnOnce(Config) -> Result<(), ReloadError>,
    ) {
        let PendingReload { request, read } = reload;
        let outcome = read.and_then(|(config, outline)| {
            let changes = self.outline.changes(&outline);
            if !changes.is_empty() {
                for warning in &config.warnings {
                    warn!("{warning}");
                }
                apply(config)?;
                self.outline = outline;
            }
            Ok(changes)
        });
        request.notify_systemd(systemd::ready);
        self.report(request, outcome.map_err(Arc::new));
    }

    /// Logs the outcome of a reload and sends it to the requester.
    fn report(&self, request: ReloadRequest, outcome: Outcome) {
        match (&outcome, &request) {
            (Ok(changes), ReloadRequest::FileTouched) if changes.is_empty() => {
                debug!("configuration file touched, content unchanged");
                // If the last reload failed, the file has been corrected.
                self.past.send_if_modified(forget_failure);
                return;
            }
            (Ok(changes), _) if changes.is_empty() => info!("reloaded: no changes"),
            (Ok(changes), _) => info!("reloaded: {changes}"),
            (Err(failure), ReloadRequest::FileTouched) if self.is_known(failure) => {
                return debug!("the configuration file has the same problems as before");
            }
            (Err(failure), _) => error!(
                problems = failure.problems(),
                error = failure.on_one_line(),
                "not reloaded, the configuration is unchanged"
            ),
        }
        match &outcome {
            Ok(_) => _ = self.counts.succeeded.inc(),
            Err(_) => _ = self.counts.failed.inc(),
        }
        let last = LastReload { at: SystemTime::now(), outcome: outcome.clone() };
        self.past.send_modify(|past| past.add(last));
        if let ReloadRequest::Waiting(requester) = request {
            // Fails if the requester no longer waits.
            let _ = requester.send(outcome);
        }
    }

    /// Whether the last reload failed in the same way.
    fn is_known(&self, failure: &ReloadError) -> bool {
        let past = self.past.borrow();
        let known = past.last.as_ref().and_then(|last| last.outcome.as_ref().err());
        known.is_some_and(|known| error_chain(&**known) == error_chain(failure))
    }
}

/// Waits until the file may have changed. Never returns without a file.
async fn changed(file: &mut Option<FileWatch>) {
    match file {
        Some(file) => file.changed().await,
        None => pending().await,
    }
}

/// Clears a failed reload. Returns whether there was one.
fn forget_failure(past: &mut PastReloads) -> bool {
    let failed = past.last.as_ref().is_some_and(|last| last.outcome.is_err());
    if failed {
        past.last = None;
    }
    failed
}

impl PastReloads {
    fn add(&mut self, last: LastReload) {
        if self.recent.len() == RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(last.clone());
        self.last = Some(last);
    }
}

/// As many as fit on a screen.
const RECENT_MAX: usize = 10;

/// How many requests may wait.
const REQUESTS_MAX: usize = 16;
