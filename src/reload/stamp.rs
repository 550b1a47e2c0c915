//! Detects without reading it that a file may have changed.
//!
//! Runs at start, at reload, or on a timer.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use tokio::task::spawn_blocking;

use crate::config::within_deadline;

/// The metadata of the file at a path, symlinks followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stamp {
    /// A file. Writing changes its time, replacing it changes its inode.
    File {
        device: u64,
        inode: u64,
        bytes: u64,
        modified: (i64, i64),
        changed: (i64, i64),
        /// Whether its directory entry is gone, so that edits go to another file.
        is_unlinked: bool,
    },
    /// No file, or one without access.
    Unreachable(io::ErrorKind),
}

impl Stamp {
    /// Reads the metadata of the file at `path`.
    pub(super) async fn read(path: &Path) -> Self {
        let path = path.to_owned();
        let found = spawn_blocking(move || within_deadline(move |_| fs::metadata(path))).await;
        match found {
            Ok(Ok(found)) => Self::from_metadata(&found),
            Ok(Err(error)) => Self::Unreachable(error.kind()),
            Err(_broken) => Self::Unreachable(io::ErrorKind::Other),
        }
    }

    /// Whether the file was replaced in a place that this process cannot see.
    pub(super) fn is_unlinked(&self) -> bool {
        match self {
            Self::File { is_unlinked, .. } => *is_unlinked,
            Self::Unreachable(_) => false,
        }
    }

    /// Whether reading the metadata timed out.
    pub(super) fn timed_out(&self) -> bool {
        *self == Self::Unreachable(io::ErrorKind::TimedOut)
    }

    fn from_metadata(found: &Metadata) -> Self {
        Self::File {
            device: found.dev(),
            inode: found.ino(),
            bytes: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
            is_unlinked: found.nlink() == 0,
        }
    }
}

/// Whether `path` itself is a mount point, such as a single file that is mounted into a container. False
/// if the system has no list of mounts.
pub(super) fn is_mount_point(path: &Path) -> bool {
    let Ok(path) = path.canonicalize() else { return false };
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    path.to_str().is_some_and(|path| mount_points(&mounts).any(|point| point == path))
}

/// The mount points of a `mountinfo` (proc(5)): the fifth field of each line, with white space and
/// backslashes in octal.
fn mount_points(mounts: &str) -> impl Iterator<Item = String> {
    let escapes = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    mounts.lines().filter_map(|line| line.split(' ').nth(4)).map(move |point| {
        escapes.iter().fold(point.to_owned(), |point, (octal, c)| point.replace(octal, c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_that_was_written_or_replaced_has_another_stamp() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.yaml");
        assert_eq!(Stamp::read(&path).await, Stamp::Unreachable(io::ErrorKind::NotFound));
        fs::write(&path, "one").unwrap();
        let first = Stamp::read(&path).await;
        assert_eq!(Stamp::read(&path).await, first);
        fs::read(&path).unwrap();
        assert_eq!(Stamp::read(&path).await, first, "reading changes nothing");
        fs::write(&path, "three").unwrap();
        let second = Stamp::read(&path).await;
        assert_ne!(second, first);
        let other = directory.path().join("b.yaml");
        fs::write(&other, "three").unwrap();
        fs::rename(&other, &path).unwrap();
        assert_ne!(Stamp::read(&path).await, second);
    }

    #[test]
    fn mount_points_are_the_fifth_field() {
        let mounts = "36 35 98:0 /m /etc/my\\040conf/a.yaml rw - ext3 /dev/root rw\n\
                      37 35 98:0 / / rw shared:1 - ext3 /dev/root rw\nbroken\n";
        let points: Vec<String> = mount_points(mounts).collect();
        assert_eq!(points, ["/etc/my conf/a.yaml", "/"]);
        assert!(!is_mount_point(Path::new("Cargo.toml")));
        assert!(!is_mount_point(Path::new("nowhere")));
    }
}
