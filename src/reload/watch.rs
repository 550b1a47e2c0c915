//! Sees that the configuration's file may have changed.
//!
//! Both the file and its *directory* are watched. The file alone would not do: editors replace a
//! file by another one of its name, and Kubernetes swaps a symlink beside it (`..data`). The
//! directory alone would not do: of a file that is mounted by itself the changes are those of
//! another directory. Where the file is a symlink, both are watched at its target too. A network
//! mount tells nothing at all, so the file's [`Stamp`] is looked at every [`LOOK_EVERY`] besides.
//!
//! What happens in the directory may concern other files, such as a log that is written all the
//! time: the file counts as changed only if its stamp did.
//!
//! Runs at start, at reload, or on a timer.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::{timeout, timeout_at};
use tracing::{debug, warn};

use super::stamp::{Stamp, is_mount_point};
use crate::Instant;

/// Watches one file.
#[derive(Debug)]
pub(super) struct FileWatch {
    path: PathBuf,
    /// None where the system has no watches left.
    watcher: Option<RecommendedWatcher>,
    /// Files and directories.
    watched: BTreeSet<PathBuf>,
    touched: mpsc::Receiver<()>,
    is_touched: bool,
    /// None before the first look.
    stamp: Option<Stamp>,
}

impl FileWatch {
    /// Watches the file at `path`, which need not exist.
    pub(super) fn new(path: &Path) -> Self {
        let (sender, touched) = mpsc::channel(1);
        let tell = move |event: notify::Result<Event>| {
            // If there is no room, it is told already. Of a failure all that we can do is to look.
            if event.map_or(true, |event| may_change(event.kind)) {
                let _ = sender.try_send(());
            }
        };
        let watcher = notify::recommended_watcher(tell).inspect_err(|error| {
            let seconds = LOOK_EVERY.as_secs();
            warn!(%error, seconds, "the file is not watched, but looked at from time to time");
        });
        if is_mount_point(path) {
            warn!(
                path = %path.display(),
                "the file is a mount of its own: edits in place are followed, but a file that \
                 replaces it on the host is not seen; mount its directory instead"
            );
        }
        let mut watch = Self {
            path: path.to_owned(),
            watcher: watcher.ok(),
            watched: BTreeSet::new(),
            touched,
            // It may have changed since it was read.
            is_touched: true,
            stamp: None,
        };
        watch.follow();
        watch
    }

    /// Waits until the file may have changed and nothing more has happened for a moment. Nothing is
    /// lost if the future is dropped.
    pub(super) async fn changed(&mut self) {
        loop {
            self.wait_for_a_touch().await;
            let stamp = Stamp::of(&self.path).await;
            // Where a look hangs, so would watching. What happened before something was watched is
            // seen by one more look.
            self.is_touched = !stamp.hangs() && self.follow();
            if self.stamp.as_ref() == Some(&stamp) {
                continue;
            }
            let was_linked = self.stamp.as_ref().is_some_and(|stamp| !stamp.is_unlinked());
            if was_linked && stamp.is_unlinked() {
                warn!(
                    path = %self.path.display(),
                    "the file was replaced where this process cannot see it: mount its directory \
                     and restart"
                );
            }
            self.stamp = Some(stamp);
            return;
        }
    }

    /// Waits until something has happened near the file and then nothing for a moment, or until it
    /// is time for a look.
    async fn wait_for_a_touch(&mut self) {
        if !self.is_touched {
            match timeout(LOOK_EVERY, self.touched.recv()).await {
                Ok(Some(())) => (),
                // Nobody tells: then this is the only look.
                Ok(None) => tokio::time::sleep(LOOK_EVERY).await,
                Err(_elapsed) => return,
            }
            self.is_touched = true;
        }
        let end = Instant::now() + UNREST_MAX;
        while let Ok(Ok(Some(()))) = timeout_at(end, timeout(QUIET, self.touched.recv())).await {}
    }

    /// Watches the file where it is now, and its directories; whether any of them is new.
    fn follow(&mut self) -> bool {
        let Some(watcher) = &mut self.watcher else { return false };
        let target = self.path.canonicalize().ok();
        let directories = [Some(self.path.as_path()), target.as_deref()]
            .into_iter()
            .flatten()
            .filter_map(directory_of);
        let wanted: BTreeSet<PathBuf> = directories.chain(target.clone()).collect();
        for left in self.watched.difference(&wanted) {
            // One that was deleted is watched no more already.
            let _ = watcher.unwatch(left);
        }
        for path in &wanted {
            // Again even if it is known: one of that name may have taken its place.
            let watched = watcher.watch(path, RecursiveMode::NonRecursive);
            // Told once: a line in a log beside the file would be what wakes us next.
            if self.watched.contains(path) {
                continue;
            }
            match watched {
                Ok(()) => debug!(path = %path.display(), "watching"),
                Err(error) => warn!(
                    path = %path.display(), %error,
                    "it is not watched, but looked at from time to time"
                ),
            }
        }
        let is_new = !wanted.is_subset(&self.watched);
        self.watched = wanted;
        is_new
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

/// How soon a change is seen where the system tells of none.
const LOOK_EVERY: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    async fn watch(path: &Path) -> FileWatch {
        let mut watch = FileWatch::new(path);
        seen(&mut watch).await;
        watch
    }

    async fn seen(watch: &mut FileWatch) {
        timeout(LOOK_EVERY * 3, watch.changed()).await.expect("the change is seen");
    }

    #[tokio::test]
    async fn a_file_beside_it_that_changes_all_the_time_is_no_change() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sockeye.yaml");
        fs::write(&path, "one").unwrap();
        let mut watch = watch(&path).await;
        let log = directory.path().join("log");
        for number in 0..5 {
            fs::write(&log, number.to_string()).unwrap();
            assert!(timeout(QUIET * 2, watch.changed()).await.is_err(), "{number}");
        }
        fs::write(&path, "two").unwrap();
        seen(&mut watch).await;
    }

    /// As a file that is mounted by itself: what happens to it happens in another directory.
    #[tokio::test]
    async fn an_edit_in_place_is_seen_where_the_directory_hears_nothing() {
        let (here, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (path, real) = (here.path().join("sockeye.yaml"), elsewhere.path().join("real.yaml"));
        fs::write(&real, "one").unwrap();
        fs::hard_link(&real, &path).unwrap();
        let mut watch = watch(&path).await;
        for text in ["three", "four"] {
            let begun = Instant::now();
            fs::write(&real, text).unwrap();
            seen(&mut watch).await;
            assert!(begun.elapsed() < LOOK_EVERY, "it was told, and not found by a look");
        }
    }

    #[tokio::test]
    async fn a_file_that_replaces_it_is_followed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sockeye.yaml");
        fs::write(&path, "one").unwrap();
        let mut watch = watch(&path).await;
        for text in ["two", "three"] {
            let new = directory.path().join("new");
            fs::write(&new, text).unwrap();
            fs::rename(&new, &path).unwrap();
            seen(&mut watch).await;
        }
        fs::write(&path, "in place").unwrap();
        seen(&mut watch).await;
    }
}
