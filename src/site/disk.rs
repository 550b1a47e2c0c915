//! Files below a directory, opened and read on the blocking threads of the runtime: a slow disk delays
//! nobody who does not wait for it.
//!
//! A symbolic link is followed if it leads to something below the same directory. No more than
//! [`THREADS_MAX`] threads wait for one directory: a network mount that is dead leaves threads to all else.
//!
//! Runs for every request.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::compression::Coding;
use crate::descriptors::Reserve;

/// The files below a directory.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    root: Arc<Path>,
    threads: Arc<Semaphore>,
}

/// What is at a path.
#[derive(Debug)]
pub(super) enum Entry {
    /// A regular file, and in which coding it is although its name was not asked for.
    File(OpenFile, Metadata, Option<Coding>),
    /// A directory.
    Directory,
    /// Nothing that is served.
    Nothing,
}

/// A file that is open.
#[derive(Clone, Debug)]
pub(super) struct OpenFile {
    file: Arc<fs::File>,
    threads: Arc<Semaphore>,
}

/// Why a file is not sent that may be there.
#[derive(Debug)]
pub(crate) enum FileError {
    /// This process can open no more files now.
    Busy(io::Error),
    /// The file cannot be read.
    Failed(io::Error),
}

impl Disk {
    /// The files below `root`.
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.into(), threads: Arc::new(Semaphore::new(THREADS_MAX)) }
    }

    /// What is at `path`, which begins with a slash: the file in the first of `codings` that there is, else
    /// the plain file. Lost if the future is dropped: only the result.
    ///
    /// # Errors
    ///
    /// There is something, and it cannot be opened.
    pub(super) async fn open(&self, path: &str, codings: Vec<Coding>) -> Result<Entry, FileError> {
        let (root, path) = (self.root.clone(), path.trim_start_matches('/').to_owned());
        let Ok(Ok(permit)) = timeout(WAIT_MAX, self.threads.clone().acquire_owned()).await else {
            let error = "the files that were asked for before have not been opened yet";
            return Err(FileError::Busy(io::Error::new(io::ErrorKind::TimedOut, error)));
        };
        let threads = self.threads.clone();
        let work = move || find(&root, &path, &codings, threads);
        blocking(permit, work).await.map_err(FileError::Failed)?
    }
}

impl OpenFile {
    /// At most `length` bytes from `position` on; none at the end of the file. Lost if the future is
    /// dropped: only the result.
    pub(super) async fn read(self, position: u64, length: usize) -> io::Result<Bytes> {
        let permit = self.threads.clone().acquire_owned().await.map_err(io::Error::other)?;
        let work = move || {
            let mut bytes = vec![0; length];
            let count = loop {
                match self.file.read_at(&mut bytes, position) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                    done => break done?,
                }
            };
            bytes.truncate(count);
            Ok(Bytes::from(bytes))
        };
        blocking(permit, work).await?
    }
}

async fn blocking<T: Send + 'static>(
    permit: OwnedSemaphorePermit,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let work = move || {
        // Given back when the disk has answered, even if nobody waits for that any more.
        let _permit = permit;
        work()
    };
    spawn_blocking(work).await.map_err(io::Error::other)
}

/// Blocks until the disk has answered.
fn find(
    root: &Path,
    path: &str,
    codings: &[Coding],
    threads: Arc<Semaphore>,
) -> Result<Entry, FileError> {
    let Some(root) = present(root.canonicalize())? else { return Ok(Entry::Nothing) };
    let plain = root.join(path);
    // Before the files that are compressed in advance: `docs.gz` next to `docs/` is not the directory.
    if present(fs::metadata(&plain))?.is_some_and(|it| it.is_dir()) {
        let is_below = present(located(&root, &plain))?.is_some();
        return Ok(if is_below { Entry::Directory } else { Entry::Nothing });
    }
    for coding in codings {
        let mut named = plain.clone().into_os_string();
        named.push(coding.extension());
        match open(&root, &PathBuf::from(named)) {
            Ok(Some((file, metadata))) => {
                let file = OpenFile { file: Arc::new(file), threads };
                return Ok(Entry::File(file, metadata, Some(*coding)));
            }
            Err(FileError::Busy(error)) => return Err(FileError::Busy(error)),
            // Whatever is wrong with it, the plain file may be sent.
            Ok(None) | Err(FileError::Failed(_)) => (),
        }
    }
    Ok(match open(&root, &plain)? {
        Some((file, metadata)) => {
            Entry::File(OpenFile { file: Arc::new(file), threads }, metadata, None)
        }
        None => Entry::Nothing,
    })
}

/// Opens a regular file. `None` if there is none, or one of another kind.
fn open(root: &Path, path: &Path) -> Result<Option<(fs::File, Metadata)>, FileError> {
    let Some(real) = present(located(root, path))? else { return Ok(None) };
    // To open a device can do something. A pipe that takes its place is opened without waiting.
    if present(fs::metadata(&real))?.is_none_or(|it| !it.is_file()) {
        return Ok(None);
    }
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = rustix::fs::open(real, flags, Mode::empty()).map_err(io::Error::from);
    let Some(file) = present(opened.map(fs::File::from))? else { return Ok(None) };
    if Reserve::new().contains(&file) {
        let error = "no descriptors are left for files: the rest is for connections to nodes";
        return Err(FileError::Busy(io::Error::other(error)));
    }
    let metadata = file.metadata().map_err(FileError::from)?;
    Ok(metadata.is_file().then_some((file, metadata)))
}

/// Where `path` really is, if that is below `root`, which has no links.
fn located(root: &Path, path: &Path) -> io::Result<PathBuf> {
    let real = path.canonicalize()?;
    match real.starts_with(root) {
        true => Ok(real),
        false => Err(io::ErrorKind::NotFound.into()),
    }
}

/// `None` if nothing is there, or nothing that could be a file.
fn present<T>(result: io::Result<T>) -> Result<Option<T>, FileError> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if is_absence(&error) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn is_absence(error: &io::Error) -> bool {
    let absences = [
        Errno::NOENT,
        Errno::NOTDIR,
        Errno::ISDIR,
        Errno::NAMETOOLONG,
        Errno::LOOP,
        Errno::NXIO,
        Errno::NODEV,
    ];
    Errno::from_io_error(error).is_some_and(|errno| absences.contains(&errno))
        || matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidInput)
}

impl From<io::Error> for FileError {
    fn from(error: io::Error) -> Self {
        match Errno::from_io_error(&error) {
            Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM) => Self::Busy(error),
            Some(_) | None => Self::Failed(error),
        }
    }
}

/// How many threads may wait for the disk of one directory. Each worker has 512 threads, for all directories
/// and for everything else that blocks.
const THREADS_MAX: usize = 64;

/// How long a file waits for a thread before it is opened.
const WAIT_MAX: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    async fn found(disk: &Disk, path: &str, codings: &[Coding]) -> String {
        match disk.open(path, codings.to_vec()).await {
            Ok(Entry::File(file, metadata, coding)) => {
                let bytes = file.read(0, 100).await.unwrap();
                assert_eq!(bytes.len() as u64, metadata.len());
                format!("{} {coding:?}", String::from_utf8_lossy(&bytes))
            }
            Ok(Entry::Directory) => "directory".to_owned(),
            Ok(Entry::Nothing) => "nothing".to_owned(),
            Err(error) => format!("{error:?}"),
        }
    }

    #[tokio::test]
    async fn a_file_in_a_coding_that_cannot_be_opened_leaves_the_plain_one() {
        use Coding::{Br, Gzip, Zstd};
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            fs::write(directory.path().join(name), text).unwrap();
        };
        write("a", "plain");
        write("a.br", "br");
        symlink("a.gz", directory.path().join("a.gz")).unwrap();
        fs::create_dir(directory.path().join("a.zst")).unwrap();
        let disk = Disk::new(directory.path());
        assert_eq!(found(&disk, "/a", &[Zstd, Gzip, Br]).await, "br Some(Br)");
        assert_eq!(found(&disk, "/a", &[Zstd, Gzip]).await, "plain None");
        assert_eq!(found(&disk, "/a", &[]).await, "plain None");

        write("b", "plain");
        let _socket =
            std::os::unix::net::UnixListener::bind(directory.path().join("b.gz")).unwrap();
        assert_eq!(found(&disk, "/b", &[Gzip]).await, "plain None");
        // The name in a coding is longer than names may be.
        let long = "c".repeat(255);
        write(&long, "plain");
        assert_eq!(found(&disk, &format!("/{long}"), &[Gzip]).await, "plain None");
    }

    #[tokio::test]
    async fn what_is_no_file_is_nothing() {
        let directory = tempfile::tempdir().unwrap();
        symlink("loop", directory.path().join("loop")).unwrap();
        fs::write(directory.path().join("file"), "x").unwrap();
        fs::create_dir(directory.path().join("below")).unwrap();
        fs::write(directory.path().join("below.gz"), "x").unwrap();
        let disk = Disk::new(directory.path());
        for path in ["/none", "/loop", "/file/x", "/file/"] {
            assert_eq!(found(&disk, path, &[Coding::Gzip]).await, "nothing", "{path}");
        }
        assert_eq!(found(&disk, "/below", &[Coding::Gzip]).await, "directory");
        let none = Disk::new(&directory.path().join("none"));
        assert_eq!(found(&none, "/file", &[]).await, "nothing");
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_waits_for_a_thread_only_so_long() {
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::new(directory.path());
        let all = u32::try_from(THREADS_MAX).unwrap();
        let _hanging = disk.threads.clone().acquire_many_owned(all).await.unwrap();
        let error = disk.open("/a", Vec::new()).await.unwrap_err();
        assert!(matches!(error, FileError::Busy(_)), "{error:?}");
    }
}
