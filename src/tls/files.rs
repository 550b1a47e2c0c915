//! The files of a listener's TLS, each read once, and a digest of all.
//!
//! Runs at start, at reload, or on a timer.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256};

use super::fault::{FILE_BYTES_MAX, Fault};
use crate::yaml::source;

/// What a file holds.
#[derive(Clone, Debug)]
pub(crate) struct Contents {
    /// Its bytes.
    pub(crate) bytes: Vec<u8>,
    /// Whether every user of the machine can read it.
    pub(crate) is_readable_by_all: bool,
}

/// How a file is read.
pub(crate) type ReadFile<'r> = &'r dyn Fn(&Path) -> io::Result<Contents>;

/// Files that are read once, though several settings name them.
pub(super) struct Files<'r> {
    read: ReadFile<'r>,
    known: BTreeMap<PathBuf, Contents>,
}

impl<'r> Files<'r> {
    pub(super) fn new(read: ReadFile<'r>) -> Self {
        Self { read, known: BTreeMap::new() }
    }

    /// What the file holds, at most [`FILE_BYTES_MAX`].
    pub(super) fn read(&mut self, path: &Path) -> Result<&Contents, Fault> {
        if !self.known.contains_key(path) {
            let shown = || path.display().to_string();
            let contents =
                (self.read)(path).map_err(|error| Fault::Unreadable { path: shown(), error })?;
            if contents.bytes.len() > FILE_BYTES_MAX {
                return Err(Fault::TooLarge { path: shown() });
            }
            self.known.insert(path.to_owned(), contents);
        }
        Ok(&self.known[path])
    }

    /// A digest of the files that were read and are `wanted`, to compare two loads.
    pub(super) fn digest(&self, wanted: impl Fn(&Path) -> bool) -> [u8; 32] {
        let mut context = Context::new(&SHA256);
        for (path, contents) in self.known.iter().filter(|(path, _)| wanted(path)) {
            let path = path.as_os_str().as_encoded_bytes();
            for part in [path, &contents.bytes] {
                context.update(&(part.len() as u64).to_be_bytes());
                context.update(part);
            }
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(context.finish().as_ref());
        digest
    }
}

/// Reads a file of the system, within a deadline.
///
/// # Errors
///
/// The error of the system; [`io::ErrorKind::TimedOut`] after some seconds.
pub(crate) fn read_file(path: &Path) -> io::Result<Contents> {
    let bytes = source::read_regular(path, FILE_BYTES_MAX)?;
    let path = path.to_owned();
    let metadata = source::within_deadline(move |_| path.metadata())?;
    Ok(Contents { bytes, is_readable_by_all: metadata.permissions().mode() & 0o004 != 0 })
}
