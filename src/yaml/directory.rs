//! Reads the files that another file includes, all of them within one deadline.
//!
//! Of a directory, these are the files that end in `.yaml` or `.yml`, sorted by name. Names that begin
//! with a dot are skipped: editors and Kubernetes keep their own files there.
//!
//! Runs at start, at reload, or on a timer.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::source::{check_kind, read_until, within_deadline};
use crate::Instant;

/// What is at one path that a file includes.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) is_directory: bool,
    /// Sorted by name.
    pub(crate) files: Vec<FoundFile>,
}

/// A file to include.
#[derive(Debug)]
pub(crate) struct FoundFile {
    pub(crate) path: PathBuf,
    /// Its path without symlinks: two paths may lead to one file.
    pub(crate) identity: PathBuf,
    pub(crate) bytes: io::Result<Vec<u8>>,
}

/// What is at each of `paths`, of which at most `bytes_max` bytes are read, and one more. Blocks as
/// [`within_deadline`] does.
pub(crate) fn read_places(paths: &[PathBuf], bytes_max: usize) -> Vec<io::Result<Place>> {
    let asked = paths.to_vec();
    let work = move |end| {
        let mut reader = Reader { end, bytes_left: bytes_max, files_left: FILES_MAX };
        Ok(asked.iter().map(|path| reader.place(path)).collect())
    };
    within_deadline(work).unwrap_or_else(|error: io::Error| {
        let again = || Err(io::Error::new(error.kind(), error.to_string()));
        paths.iter().map(|_| again()).collect()
    })
}

struct Reader {
    end: Instant,
    bytes_left: usize,
    files_left: usize,
}

impl Reader {
    fn place(&mut self, path: &Path) -> io::Result<Place> {
        let is_directory = fs::metadata(path)?.is_dir();
        let paths = if is_directory { files_in(path)? } else { vec![path.to_owned()] };
        self.files_left = self.files_left.checked_sub(paths.len()).ok_or_else(|| {
            io::Error::other(format!("there are more than {FILES_MAX} files in all"))
        })?;
        let files = paths.into_iter().map(|path| self.file(path)).collect();
        Ok(Place { is_directory, files })
    }

    fn file(&mut self, path: PathBuf) -> FoundFile {
        let bytes = self.bytes(&path);
        let read = bytes.as_ref().map_or(0, Vec::len);
        self.bytes_left = self.bytes_left.saturating_sub(read);
        FoundFile { identity: identity(&path), path, bytes }
    }

    fn bytes(&self, path: &Path) -> io::Result<Vec<u8>> {
        check_kind(path)?;
        read_until(self.end, path, self.bytes_left)
    }
}

/// The path of the file at `path` without symlinks.
pub(crate) fn identity(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// The files of `directory` that are to be included.
fn files_in(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut names = Vec::new();
    for (count, entry) in fs::read_dir(directory)?.enumerate() {
        if count >= ENTRIES_MAX {
            return Err(io::Error::other(format!("it has more than {ENTRIES_MAX} entries")));
        }
        let name = entry?.file_name();
        if is_included(&name) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names.into_iter().map(|name| directory.join(name)).collect())
}

fn is_included(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    !name.starts_with(b".") && (name.ends_with(b".yaml") || name.ends_with(b".yml"))
}

/// All files that a configuration includes.
const FILES_MAX: usize = 1000;

/// Entries of a directory that are looked at.
const ENTRIES_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn names(place: &Place) -> Vec<String> {
        let name = |file: &FoundFile| file.path.file_name().unwrap().to_string_lossy().into();
        place.files.iter().map(name).collect()
    }

    #[test]
    fn a_directory_gives_its_yaml_files_by_name() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["b.yaml", "a.yml", "C.yaml", ".a.yaml", ".#a.yaml", "a.yaml~", "readme.md"] {
            fs::write(directory.path().join(name), name).unwrap();
        }
        let places = read_places(&[directory.path().to_owned()], 1000);
        let place = places[0].as_ref().unwrap();
        assert!(place.is_directory);
        assert_eq!(names(place), ["C.yaml", "a.yml", "b.yaml"]);
        assert_eq!(place.files[2].bytes.as_ref().unwrap(), b"b.yaml");
    }

    #[test]
    fn all_files_share_one_bound() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["a.yaml", "b.yaml", "c.yaml"] {
            fs::write(directory.path().join(name), vec![b'x'; 400]).unwrap();
        }
        let places = read_places(&[directory.path().to_owned()], 700);
        let read = places[0].as_ref().unwrap().files.iter();
        let read: Vec<usize> = read.map(|file| file.bytes.as_ref().unwrap().len()).collect();
        assert_eq!(read, [400, 301, 1]);
    }

    #[test]
    fn what_is_no_file_is_an_error_and_does_not_block() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("a.yaml")).unwrap();
        let pipe = directory.path().join("b.yaml");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        std::os::unix::fs::symlink("nowhere", directory.path().join("c.yaml")).unwrap();
        let missing = directory.path().join("none");
        let places = read_places(&[directory.path().to_owned(), missing], 1000);
        let files = &places[0].as_ref().unwrap().files;
        let kind = |index: usize| files[index].bytes.as_ref().unwrap_err().kind();
        let kinds = [kind(0), kind(1), kind(2)];
        let expected = [io::ErrorKind::IsADirectory, io::ErrorKind::Other, io::ErrorKind::NotFound];
        assert_eq!(kinds, expected);
        assert_eq!(places[1].as_ref().unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
