//! Files on disk, and standard input.
//!
//! Runs at start, at reload, or on a timer.

use std::cell::RefCell;
use std::fs;
use std::io;
use std::path::Path;

use super::whole::{Import, import};
use crate::Instant;
use crate::config::{read_until, within_deadline};
use crate::nginx::{Files, ReadError};

/// Imports the configuration at `path`; see [`import`]. Blocks for some seconds at most.
///
/// # Errors
///
/// The file cannot be read in time.
pub(crate) fn import_from_disk(path: &Path, command: &str) -> Result<Import, ReadError> {
    let (owned, command) = (path.to_owned(), command.to_owned());
    let imported = within_deadline(move |end| {
        let disk = Disk { end, standard_input: RefCell::new(None) };
        Ok(import(&owned, &disk, &command))
    });
    imported.unwrap_or_else(|error| Err(ReadError::Io(path.to_owned(), error)))
}

struct Disk {
    end: Instant,
    /// What was read of standard input, which can be read once.
    standard_input: RefCell<Option<Vec<u8>>>,
}

impl Files for Disk {
    fn read(&self, path: &Path, bytes_max: usize) -> io::Result<Vec<u8>> {
        if path.as_os_str() != "-" {
            if path.is_dir() {
                return Err(io::ErrorKind::IsADirectory.into());
            }
            return read_until(self.end, path, bytes_max);
        }
        let mut known = self.standard_input.borrow_mut();
        if known.is_none() {
            *known = Some(read_until(self.end, path, bytes_max)?);
        }
        Ok(known.iter().flatten().take(bytes_max.saturating_add(1)).copied().collect())
    }

    fn names(&self, path: &Path) -> io::Result<Vec<String>> {
        let entries = fs::read_dir(path)?.take(ENTRIES_MAX);
        Ok(entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect())
    }
}

/// Of one directory.
const ENTRIES_MAX: usize = 100_000;
