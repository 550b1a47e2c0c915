//! A file with keys or users that is read again when it changes.
//!
//! It is small and read as a whole: so each change is noticed, however the file is replaced, without a
//! watch of the system. What cannot be used leaves the keys as they are.
//!
//! Runs at start, at reload, or on a timer.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwap, Guard};
use tracing::{error, info};

use crate::yaml::source;

/// A file, and what it says.
#[derive(Debug)]
pub(super) struct FollowedFile<T> {
    path: PathBuf,
    parse: fn(&[u8]) -> Result<T, String>,
    current: ArcSwap<T>,
    /// What was read last, so that a file is parsed, and a fault is reported, once.
    read: Mutex<Read>,
}

/// What a file held when it was read.
#[derive(Debug, PartialEq, Eq)]
enum Read {
    Bytes(Vec<u8>),
    Failed(io::ErrorKind),
}

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot be used: {}: {reason}", path.display())]
pub struct FileFault {
    path: PathBuf,
    reason: String,
}

impl<T> FollowedFile<T> {
    /// Reads the file. Blocks for some seconds at most.
    pub(super) fn open(
        path: &Path,
        parse: fn(&[u8]) -> Result<T, String>,
    ) -> Result<Arc<Self>, FileFault> {
        let path = path.to_owned();
        let fault = |reason| FileFault { path: path.clone(), reason };
        let bytes =
            source::read_regular(&path, BYTES_MAX).map_err(|error| fault(error.to_string()))?;
        let current = ArcSwap::from_pointee(parsed(&bytes, parse).map_err(fault)?);
        Ok(Arc::new(Self { path, parse, current, read: Mutex::new(Read::Bytes(bytes)) }))
    }

    /// What it says.
    pub(super) fn current(&self) -> Guard<Arc<T>> {
        self.current.load()
    }

    /// Reads it again. Blocks for some seconds at most.
    pub(super) fn refresh(&self) {
        let read = source::read_regular(&self.path, BYTES_MAX);
        let now = match &read {
            Ok(bytes) => Read::Bytes(bytes.clone()),
            Err(error) => Read::Failed(error.kind()),
        };
        let mut before = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = *before == now;
        *before = now;
        drop(before);
        if is_known {
            return;
        }
        let path = self.path.display();
        let bytes = read.map_err(|error| error.to_string());
        match bytes.and_then(|bytes| parsed(&bytes, self.parse)) {
            Ok(value) => {
                self.current.store(Arc::new(value));
                info!(%path, "the file was read again");
            }
            Err(reason) => {
                error!(%path, reason, "the file cannot be used, what it said before stays")
            }
        }
    }
}

fn parsed<T>(bytes: &[u8], parse: fn(&[u8]) -> Result<T, String>) -> Result<T, String> {
    match bytes.len() > BYTES_MAX {
        true => Err(format!("it is longer than {} KiB", BYTES_MAX / 1024)),
        false => parse(bytes),
    }
}

/// Far more than the keys of an issuer take.
const BYTES_MAX: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn number(bytes: &[u8]) -> Result<u32, String> {
        let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
        text.parse().map_err(|_| "it is no number".to_owned())
    }

    #[test]
    fn a_change_is_followed_and_a_fault_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("number");
        let fault = FollowedFile::open(&path, number).unwrap_err();
        assert!(fault.to_string().contains("No such file"), "{fault}");
        fs::write(&path, "one").unwrap();
        let fault = FollowedFile::open(&path, number).unwrap_err().to_string();
        assert!(fault.ends_with("it is no number"), "{fault}");

        fs::write(&path, "1").unwrap();
        let file = FollowedFile::open(&path, number).unwrap();
        let check = |change: &dyn Fn(), expected: u32| {
            change();
            file.refresh();
            assert_eq!(**file.current(), expected);
        };
        check(&|| (), 1);
        check(&|| fs::write(&path, "2").unwrap(), 2);
        check(&|| fs::write(&path, "two").unwrap(), 2);
        check(&|| fs::write(&path, "3").unwrap(), 3);
        check(&|| fs::remove_file(&path).unwrap(), 3);
        check(&|| fs::write(&path, "3").unwrap(), 3);
        check(&|| fs::write(&path, "4".repeat(BYTES_MAX + 1)).unwrap(), 3);
        check(&|| fs::write(&path, "5").unwrap(), 5);
    }
}
