//! The files: account, certificates with their keys, what is known of each name, challenges.
//!
//! Only the user of the process can read them. Each is replaced as a whole, so that a reader sees the old
//! one or the new one, also after a crash. The process that orders holds the lock, so that of several
//! proxies with one store a single one orders.
//!
//! Runs at start, at reload, or on a timer.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::task::spawn_blocking;
use xxhash_rust::xxh3::xxh3_64;

use super::failure::Failure;
use super::record::Record;
use crate::tls::Challenges;

/// The directory of the store.
#[derive(Clone, Debug)]
pub(super) struct Store {
    root: Arc<Path>,
}

/// The right to order. Given back when it is dropped, or when the process ends.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Store {
    /// The store at `root`, whose directories are made if they are missing.
    ///
    /// # Errors
    ///
    /// They cannot be made, or anyone may write to them.
    pub(super) async fn open(root: &Path) -> Result<Self, Failure> {
        let store = Self { root: root.into() };
        store.run(Self::prepare).await?;
        Ok(store)
    }

    /// Does `work` on a thread that may wait for disks.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let store = self.clone();
        spawn_blocking(move || work(&store))
            .await
            .unwrap_or_else(|broken| Err(Failure::of_store(&self.root, &io::Error::other(broken))))
    }

    /// The lock. `None` if another process has it.
    ///
    /// # Errors
    ///
    /// The file system has no locks, or the store cannot be written.
    pub(super) fn try_lock(&self) -> Result<Option<Lock>, Failure> {
        let path = self.root.join(LOCK);
        let failed = |error| Failure::of_store(&path, &error);
        let mut options = OpenOptions::new();
        let file = options.create(true).truncate(false).write(true).mode(0o600).open(&path);
        let file = file.map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// The file of a name's certificate, with its key.
    pub(super) fn certificate_path(&self, name: &str) -> PathBuf {
        certificate_path(&self.root, name)
    }

    /// The file of the account at the authority with this directory.
    pub(super) fn account_path(&self, directory: &str) -> PathBuf {
        self.root.join(ACCOUNTS).join(format!("{:016x}.json", xxh3_64(directory.as_bytes())))
    }

    /// The answers to challenges.
    pub(super) fn challenges(&self) -> Challenges {
        Challenges::new(&self.root)
    }

    fn prepare(&self) -> Result<(), Failure> {
        let root = &*self.root;
        let challenges = self.challenges().directories();
        let own = [ACCOUNTS, CERTIFICATES, STATE].map(|name| root.join(name));
        for directory in own.iter().chain(&challenges) {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
            made.map_err(|error| Failure::of_store(directory, &error))?;
        }
        let found = root.metadata().map_err(|error| Failure::of_store(root, &error))?;
        if found.mode() & OTHERS_MAY_WRITE != 0 {
            let error = io::Error::other("every user of this host may write to it");
            return Err(Failure::of_store(root, &error));
        }
        Ok(())
    }

    /// What is known of a name. A file that cannot be understood is as good as none.
    pub(super) fn record(&self, name: &str) -> Result<Record, Failure> {
        Ok(self.read_json(&self.record_path(name))?.unwrap_or_default())
    }

    /// Replaces what is known of a name.
    pub(super) fn write_record(&self, name: &str, record: &Record) -> Result<(), Failure> {
        self.write_json(&self.record_path(name), record)
    }

    /// The content of a file as JSON. `None` if there is none that can be understood.
    pub(super) fn read_json<T: DeserializeOwned>(&self, path: &Path) -> Result<Option<T>, Failure> {
        Ok(self.read(path)?.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// Replaces a file by JSON.
    pub(super) fn write_json(&self, path: &Path, content: &impl Serialize) -> Result<(), Failure> {
        let bytes = serde_json::to_vec_pretty(content).map_err(io::Error::other);
        self.write(path, &bytes.map_err(|error| Failure::of_store(path, &error))?)
    }

    /// The content of a file. `None` if there is none.
    pub(super) fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, Failure> {
        let mut bytes = Vec::new();
        let read =
            File::open(path).and_then(|file| file.take(FILE_BYTES_MAX).read_to_end(&mut bytes));
        match read {
            Ok(_) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Failure::of_store(path, &error)),
        }
    }

    /// Replaces a file, which exists with all of `bytes` when this returns, or is as before.
    pub(super) fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), Failure> {
        let temporary = self.root.join(format!("{TEMPORARY}{:016x}", fastrand::u64(..)));
        let written =
            write_and_sync(&temporary, bytes).and_then(|()| fs::rename(&temporary, path)).and_then(
                |()| path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all()),
            );
        written.map_err(|error| {
            // It may not even exist.
            let _ = fs::remove_file(&temporary);
            Failure::of_store(path, &error)
        })
    }

    /// Moves a file aside, so that it is not read any more.
    pub(super) fn set_aside(&self, path: &Path) -> Result<(), Failure> {
        let aside = path.with_extension("old");
        fs::rename(path, &aside).map_err(|error| Failure::of_store(path, &error))
    }

    /// Removes what a process left behind that ended within an order: challenges and half-written files.
    /// The caller holds the lock.
    pub(super) fn sweep(&self) -> Result<(), Failure> {
        let [tokens, names] = self.challenges().directories();
        for directory in [&*self.root, &tokens, &names] {
            let is_root = directory == &*self.root;
            for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
                let is_temporary = entry.file_name().to_string_lossy().starts_with(TEMPORARY);
                if (is_temporary || !is_root) && is_old(&entry) {
                    // Another process may be faster.
                    let _ = fs::remove_file(entry.path());
                }
            }
        }
        Ok(())
    }

    fn record_path(&self, name: &str) -> PathBuf {
        self.root.join(STATE).join(format!("{name}.json"))
    }
}

/// The file of a name's certificate, with its key, in the store at `root`.
pub(super) fn certificate_path(root: &Path, name: &str) -> PathBuf {
    root.join(CERTIFICATES).join(format!("{name}.pem"))
}

fn write_and_sync(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Whether a file is older than any order takes.
fn is_old(entry: &fs::DirEntry) -> bool {
    let modified = entry.metadata().and_then(|found| found.modified());
    let age = modified.ok().and_then(|modified| SystemTime::now().duration_since(modified).ok());
    age.is_some_and(|age| age > OLD)
}

const ACCOUNTS: &str = "accounts";
const CERTIFICATES: &str = "certificates";
const STATE: &str = "state";
const LOCK: &str = "lock";
const TEMPORARY: &str = ".new-";

const OTHERS_MAY_WRITE: u32 = 0o002;

/// More than any of the files has.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

const OLD: Duration = Duration::from_hours(1);
