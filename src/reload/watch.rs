//! Notices that the configuration file, or a file that it names, may have changed.
//!
//! Both the file and its *directory* are watched. The file alone is not enough: editors replace a file
//! with another one of the same name, and Kubernetes replaces a symlink next to it (`..data`). The
//! directory alone is not enough: the changes of a file that is mounted by itself are those of another
//! directory. If the file is a symlink, its target and the target's directory are watched too. A network
//! mount reports nothing, so the file's [`Stamp`] is also checked every [`CHECK_INTERVAL`].
//!
//! Events in the directory may concern other files, such as a log that is written all the time. Those of
//! names that do not lead to the file are left out; for all others, the file counts as changed only if its
//! stamp changed.
//!
//! Runs at start, at reload, or on a timer.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::{timeout, timeout_at};
use tracing::{debug, warn};

use super::stamp::{Stamp, is_mount_point};
use crate::Instant;

/// Watches the configuration file, and the files that it names.
#[derive(Debug)]
pub(super) struct FileWatch {
    path: PathBuf,
    /// Such as certificates; sorted.
    others: Vec<PathBuf>,
    /// `None` if the system has no watches left.
    watcher: Option<RecommendedWatcher>,
    /// Files and directories.
    watched: BTreeSet<PathBuf>,
    names: Arc<Mutex<Names>>,
    events: mpsc::Receiver<()>,
    had_event: bool,
    /// Of the configuration file; `None` before the first check.
    stamp: Option<Stamp>,
    /// Of the others.
    other_stamps: Vec<Stamp>,
}

impl FileWatch {
    /// Watches the file at `path`, which need not exist, and `others`.
    pub(super) fn new(path: &Path, others: Vec<PathBuf>) -> Self {
        let (sender, events) = mpsc::channel(1);
        let names = Arc::new(Mutex::new(Names::default()));
        let known = names.clone();
        let send = move |event: notify::Result<Event>| {
            let names = known.lock().unwrap_or_else(PoisonError::into_inner);
            // A full channel has an event already. After a failure of the watch, the file is checked.
            if event.map_or(true, |event| may_change(event.kind) && names.concern(&event)) {
                let _ = sender.try_send(());
            }
        };
        let watcher = notify::recommended_watcher(send).inspect_err(|error| {
            let seconds = CHECK_INTERVAL.as_secs();
            warn!(%error, seconds, "cannot watch the file, polling it");
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
            others: Vec::new(),
            watcher: watcher.ok(),
            watched: BTreeSet::new(),
            names,
            events,
            // The file may have changed since it was read.
            had_event: true,
            stamp: None,
            other_stamps: Vec::new(),
        };
        watch.follow_others(others);
        watch.follow();
        watch
    }

    /// Watches these files besides the configuration, and no longer those that are not among them.
    pub(super) fn follow_others(&mut self, mut others: Vec<PathBuf>) {
        others.sort();
        others.dedup();
        if others != self.others {
            self.others = others;
            self.other_stamps.clear();
            // They may have changed since they were read.
            self.had_event = true;
        }
    }

    /// Waits until a file may have changed and there was no event for a moment. Cancel safe.
    pub(super) async fn changed(&mut self) {
        loop {
            self.wait_for_event().await;
            let stamp = Stamp::read(&self.path).await;
            // If the check timed out, watching would block too. One more check covers the time before a
            // path was watched.
            self.had_event = !stamp.timed_out() && self.follow();
            let mut other_stamps = Vec::with_capacity(self.others.len());
            for path in &self.others {
                other_stamps.push(Stamp::read(path).await);
            }
            if self.stamp.as_ref() == Some(&stamp) && self.other_stamps == other_stamps {
                continue;
            }
            self.other_stamps = other_stamps;
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

    /// Waits for an event and then for a moment without events, or until the next check is due.
    async fn wait_for_event(&mut self) {
        if !self.had_event {
            match timeout(CHECK_INTERVAL, self.events.recv()).await {
                Ok(Some(())) => (),
                // There is no watch, so that only the checks remain.
                Ok(None) => tokio::time::sleep(CHECK_INTERVAL).await,
                Err(_elapsed) => return,
            }
            self.had_event = true;
        }
        let end = Instant::now() + EVENTS_TIME_MAX;
        while let Ok(Ok(Some(()))) = timeout_at(end, timeout(QUIET, self.events.recv())).await {}
    }

    /// Watches the file at its current place, and its directories. Returns whether any of them is new.
    fn follow(&mut self) -> bool {
        let Some(watcher) = &mut self.watcher else { return false };
        let paths = [&self.path].into_iter().chain(&self.others);
        let wanted: BTreeSet<PathBuf> = paths.clone().flat_map(|path| places_of(path)).collect();
        let names = Names::new(paths.map(PathBuf::as_path), &wanted);
        let former = {
            let mut known = self.names.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *known, names.clone())
        };
        for left in self.watched.difference(&wanted) {
            // Fails for a path that was deleted, which is no longer watched anyway.
            let _ = watcher.unwatch(left);
        }
        for path in &wanted {
            // Also if it is watched already: another file may have its name now.
            let watched = watcher.watch(path, RecursiveMode::NonRecursive);
            // Logged once: if the log is next to the file, each line would be an event.
            if self.watched.contains(path) {
                continue;
            }
            match watched {
                Ok(()) => debug!(path = %path.display(), "watching"),
                Err(error) => warn!(
                    path = %path.display(), %error,
                    "cannot watch it, polling it"
                ),
            }
        }
        // An event of a new name was left out until now.
        let is_new = !wanted.is_subset(&self.watched) || former != names;
        self.watched = wanted;
        is_new
    }
}

/// The file at `path` at its current place, its directory, and that of `path`.
fn places_of(path: &Path) -> impl Iterator<Item = PathBuf> {
    let target = path.canonicalize().ok();
    let directories = [directory_of(path), target.as_deref().and_then(directory_of)];
    directories.into_iter().flatten().chain(target)
}

fn directory_of(path: &Path) -> Option<PathBuf> {
    let parent = path.parent()?;
    Some(if parent.as_os_str().is_empty() { PathBuf::from(".") } else { parent.to_owned() })
}

/// The names of which an event may change a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Names {
    /// In any directory: of the files, and of the links and directories on the way to them.
    entries: BTreeSet<OsString>,
    /// Files and directories whose own events count.
    watched: BTreeSet<PathBuf>,
}

impl Names {
    fn new<'p>(paths: impl Iterator<Item = &'p Path>, watched: &BTreeSet<PathBuf>) -> Self {
        let mut entries = BTreeSet::new();
        for path in paths {
            add_names(path, &mut entries, LINKS_MAX);
        }
        Self { entries, watched: watched.clone() }
    }

    /// Whether `event` is of one of them. One that says not what it is of may be of any.
    fn concern(&self, event: &Event) -> bool {
        let is_known = |path: &PathBuf| {
            self.watched.contains(path)
                || path.file_name().is_none_or(|name| self.entries.contains(name))
        };
        event.need_rescan() || event.paths.is_empty() || event.paths.iter().any(is_known)
    }
}

/// Adds the names on the way to the file at `path`: each of them may be a link, such as `..data` of
/// Kubernetes, which is replaced.
fn add_names(path: &Path, names: &mut BTreeSet<OsString>, links_left: usize) {
    for place in path.ancestors() {
        names.extend(place.file_name().map(OsStr::to_owned));
        if let Some(left) = links_left.checked_sub(1)
            && let Ok(target) = place.read_link()
        {
            add_names(&target_of(place, &target), names, left);
        }
    }
}

fn target_of(link: &Path, target: &Path) -> PathBuf {
    link.parent().map_or_else(|| target.to_owned(), |directory| directory.join(target))
}

/// Whether a file's content may have changed. Reads do not count: reading the file would cause the next
/// event.
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

/// The system follows 40 links on the way to a file.
const LINKS_MAX: usize = 40;

/// An editor saves a file with several events within milliseconds.
const QUIET: Duration = Duration::from_millis(100);

/// A directory with continuous events must not hide a change of the file.
const EVENTS_TIME_MAX: Duration = Duration::from_secs(1);

/// How soon a change is noticed if the system reports no event.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    async fn watch(path: &Path) -> FileWatch {
        let mut watch = FileWatch::new(path, Vec::new());
        seen(&mut watch).await;
        watch
    }

    async fn seen(watch: &mut FileWatch) {
        timeout(CHECK_INTERVAL * 3, watch.changed()).await.expect("the change is seen");
    }

    #[tokio::test]
    async fn a_neighbor_that_changes_all_the_time_is_not_a_change() {
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

    #[tokio::test]
    async fn a_neighbor_wakes_nobody() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sockeye.yaml");
        fs::write(&path, "one").unwrap();
        let mut watch = watch(&path).await;
        // What the check before has caused.
        while timeout(QUIET * 2, watch.events.recv()).await.is_ok() {}
        let log = directory.path().join("log");
        fs::write(&log, "a line").unwrap();
        fs::rename(&log, directory.path().join("log.1")).unwrap();
        assert!(timeout(QUIET * 2, watch.events.recv()).await.is_err());
        fs::write(&path, "two").unwrap();
        assert!(timeout(QUIET * 2, watch.events.recv()).await.is_ok());
    }

    /// As Kubernetes updates a ConfigMap: the file is a link to one in `..data`, a link that is replaced.
    #[tokio::test]
    async fn a_link_on_the_way_that_is_replaced_is_noticed_by_its_event() {
        use std::os::unix::fs::symlink;
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let put = |version: &str| {
            fs::create_dir(at(version)).unwrap();
            fs::write(at(version).join("sockeye.yaml"), version).unwrap();
            symlink(version, at("..data_tmp")).unwrap();
            fs::rename(at("..data_tmp"), at("..data")).unwrap();
        };
        put("..1");
        symlink("..data/sockeye.yaml", at("sockeye.yaml")).unwrap();
        let mut watch = watch(&at("sockeye.yaml")).await;
        for version in ["..2", "..3"] {
            let begun = Instant::now();
            put(version);
            seen(&mut watch).await;
            assert!(begun.elapsed() < CHECK_INTERVAL, "it was an event and not a check");
        }
    }

    /// Like a file that is mounted by itself: its events are in another directory.
    #[tokio::test]
    async fn an_edit_in_place_is_noticed_without_an_event_of_the_directory() {
        let (here, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (path, real) = (here.path().join("sockeye.yaml"), elsewhere.path().join("real.yaml"));
        fs::write(&real, "one").unwrap();
        fs::hard_link(&real, &path).unwrap();
        let mut watch = watch(&path).await;
        for text in ["three", "four"] {
            let begun = Instant::now();
            fs::write(&real, text).unwrap();
            seen(&mut watch).await;
            assert!(begun.elapsed() < CHECK_INTERVAL, "it was an event and not a check");
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
