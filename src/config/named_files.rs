//! The files that a configuration names.
//!
//! Runs at start, at reload, or on a timer.

use std::cell::OnceCell;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::RootCertStore;

use super::INCLUDE;
use crate::tls::{self, ReadFile};
use crate::yaml::include::{self, Included};
use crate::yaml::{KeyPath, Report};
use serde_yaml::Value;

/// Where the files of a configuration are, and whether they are read.
pub(super) struct NamedFiles {
    /// The file itself.
    path: PathBuf,
    /// The directory of the file whose values are read.
    base: PathBuf,
    included: Included,
    read: Option<ReadFile<'static>>,
    /// In seconds since 1970.
    now: i64,
    named: Vec<PathBuf>,
    /// The authorities that the system trusts, once an upstream needs them.
    system_roots: OnceCell<Arc<RootCertStore>>,
}

impl NamedFiles {
    /// The files of a configuration in the file at `path`.
    pub(super) fn of(path: &Path) -> Self {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let base = absolute.parent().map(Path::to_owned).unwrap_or_default();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        Self { path: absolute, base, read: Some(&tls::read_file), now, ..Self::unread() }
    }

    /// No file is read: what they hold is not the question.
    pub(super) fn unread() -> Self {
        Self {
            path: PathBuf::from("/"),
            base: PathBuf::from("/"),
            included: Included::default(),
            read: None,
            now: 0,
            named: Vec::new(),
            system_roots: OnceCell::new(),
        }
    }

    /// Adds to `tree` what other files have, unless no file is read.
    pub(super) fn include(&mut self, tree: &mut Value, report: &mut Report<'_>) {
        if self.read.is_none() {
            return include::check(INCLUDE, tree, report);
        }
        self.included = include::include(INCLUDE, &self.path, tree, report);
        self.named.extend(self.included.paths.iter().cloned());
    }

    /// Whether there are other files.
    pub(super) fn are_included(&self) -> bool {
        !self.included.paths.is_empty()
    }

    /// The files and directories that are included.
    pub(super) fn included(&self) -> Vec<PathBuf> {
        self.included.paths.clone()
    }

    /// Takes what follows as relative to the file that has the value at `path`.
    pub(super) fn enter_file_of(&mut self, path: &KeyPath, report: &Report<'_>) {
        let number = report.file_of(path);
        let included = number.checked_sub(1).and_then(|index| self.included.directories.get(index));
        if let Some(directory) = included.map(PathBuf::as_path).or_else(|| self.path.parent()) {
            directory.clone_into(&mut self.base);
        }
    }

    /// The file that is written `path`: a relative one is relative to the file that names it.
    pub(super) fn locate(&mut self, path: &str) -> PathBuf {
        let located = self.base.join(path);
        self.named.push(located.clone());
        located
    }

    /// The path that is written `path`, of what is not read with the configuration.
    pub(super) fn absolute(&self, path: &str) -> PathBuf {
        self.base.join(path)
    }

    /// Adds a file that the configuration names by a name within it.
    pub(super) fn name(&mut self, path: &Path) {
        self.named.push(path.to_owned());
    }

    /// How they are read; `None` if they are not.
    pub(super) fn reader(&self) -> Option<(ReadFile<'static>, i64)> {
        self.read.map(|read| (read, self.now))
    }

    /// The authorities that the system trusts. They are read once.
    ///
    /// # Errors
    ///
    /// There are none, or they cannot be read in time.
    pub(super) fn system_roots(&self) -> io::Result<Arc<RootCertStore>> {
        if let Some(known) = self.system_roots.get() {
            return Ok(known.clone());
        }
        let found = Arc::new(tls::roots::store(tls::roots::of_system()?));
        Ok(self.system_roots.get_or_init(|| found).clone())
    }

    /// All files that were named.
    pub(super) fn into_named(self) -> Vec<PathBuf> {
        self.named
    }
}
