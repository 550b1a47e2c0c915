//! Sees that the configuration's file may have changed.
//!
//! Its *directory* is watched: editors replace a file by another one of its name, and Kubernetes
//! swaps a symlink beside it (`..data`). Where the file is itself a symlink to another directory,
//! that directory is watched too. What happens there may concern other files, so whoever is told
//! has to look whether anything changed.
//!
//! Runs at start, at reload, or on a timer.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::{timeout, timeout_at};
use tracing::{debug, warn};

use crate::Instant;

/// Watches one file.
#[derive(Debug)]
pub(super) struct FileWatch {
    path: PathBuf,
    /// None where the system has no watches left.
    watcher: Option<RecommendedWatcher>,
    directories: BTreeSet<PathBuf>,
    touched: mpsc::Receiver<()>,
    is_touched: bool,
}

impl FileWatch {
    /// Watches the file at `path`, which need not exist.
    pub(super) fn of(path: &Path) -> Self {
        let (sender, touched) = mpsc::channel(1);
        let tell = move |event: notify::Result<Event>| {
            // If there is no room, it is told already. Of a failure all that we can do is to look.
            if event.map_or(true, |event| may_change(event.kind)) {
                let _ = sender.try_send(());
            }
        };
        let watcher = notify::recommended_watcher(tell)
            .inspect_err(|error| warn!(%error, "the file is not watched: reload by SIGHUP"));
        let mut watch = Self {
            path: path.to_owned(),
            watcher: watcher.ok(),
            directories: BTreeSet::new(),
            touched,
            // It may have changed since it was read.
            is_touched: true,
        };
        watch.follow();
        watch
    }

    /// Waits until the file may have changed and nothing more has happened for a moment. Nothing is
    /// lost if the future is dropped.
    pub(super) async fn changed(&mut self) {
        if !self.is_touched {
            if self.touched.recv().await.is_none() {
                return std::future::pending().await;
            }
            self.is_touched = true;
        }
        let end = Instant::now() + UNREST_MAX;
        while let Ok(Ok(Some(()))) = timeout_at(end, timeout(QUIET, self.touched.recv())).await {}
        self.is_touched = false;
        self.follow();
    }

    /// Watches the directories in which the file is now.
    fn follow(&mut self) {
        let Some(watcher) = &mut self.watcher else { return };
        let target = self.path.canonicalize().ok();
        let paths = [Some(self.path.as_path()), target.as_deref()].into_iter().flatten();
        let wanted: BTreeSet<PathBuf> = paths.filter_map(directory_of).collect();
        for left in self.directories.difference(&wanted) {
            // One that was deleted is watched no more already.
            let _ = watcher.unwatch(left);
        }
        for directory in &wanted {
            // Again even if it is known: one of that name may have taken its place.
            match watcher.watch(directory, RecursiveMode::NonRecursive) {
                Ok(()) => debug!(directory = %directory.display(), "watching"),
                Err(error) => warn!(
                    directory = %directory.display(), %error,
                    "the directory is not watched: reload by SIGHUP"
                ),
            }
        }
        self.directories = wanted;
    }
}

fn directory_of(path: &Path) -> Option<PathBuf> {
    let parent = path.parent()?;
    Some(if parent.as_os_str().is_empty() { PathBuf::from(".") } else { parent.to_owned() })
}

/// Whether a file's content may be another now. To be read does not change it, or we would wake
/// ourselves by reading.
fn may_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(_) => false,
        EventKind::Any
        | EventKind::Create(_)
        | EventKind::Modify(_)
        | EventKind::Remove(_)
        | EventKind::Other => true,
    }
}

/// An editor's save is some events within milliseconds.
const QUIET: Duration = Duration::from_millis(100);

/// A directory in which something happens all the time must not hide the file's change.
const UNREST_MAX: Duration = Duration::from_secs(1);
