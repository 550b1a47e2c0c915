//! Reads the text to parse from a file, a pipe or standard input, within a deadline.
//!
//! A dead network mount, or a pipe without a writer, would block its reader forever. So a separate
//! thread reads, and is abandoned after the deadline.
//!
//! Runs at start, at reload, or on a timer.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::OFlags;

use crate::Instant;

/// Whether the configuration at `path` can be read only once: standard input, written `-`, or a
/// pipe. A path that does not exist counts as a file.
pub(crate) fn is_read_once(path: &Path) -> bool {
    is_standard_input(path)
        || path.metadata().is_ok_and(|found| !found.is_file() && !found.is_dir())
}

/// The name of the configuration at `path` in messages, on one line.
pub(crate) fn name_of(path: &Path) -> String {
    match is_standard_input(path) {
        true => "standard input".to_owned(),
        false => on_one_line(path),
    }
}

/// `path` with its control characters as text.
pub(crate) fn on_one_line(path: &Path) -> String {
    let name = path.display().to_string();
    match name.contains(char::is_control) {
        true => name.escape_debug().to_string(),
        false => name,
    }
}

/// The bytes at `path`, at most `bytes_max` and one more.
///
/// # Errors
///
/// The error of the system; [`io::ErrorKind::TimedOut`] after [`READ_TIMEOUT`].
pub(crate) fn read(path: &Path, bytes_max: usize) -> io::Result<Vec<u8>> {
    let path = path.to_owned();
    within_deadline(move |end| read_until(end, &path, bytes_max))
}

/// The bytes of the regular file at `path`, at most `bytes_max` and one more: a pipe is not waited for, and a
/// device is not opened.
///
/// # Errors
///
/// As [`read`], or the file is of another kind.
pub(crate) fn read_regular(path: &Path, bytes_max: usize) -> io::Result<Vec<u8>> {
    let path = path.to_owned();
    within_deadline(move |end| {
        check_kind(&path)?;
        read_until(end, &path, bytes_max)
    })
}

/// Checks that there is a regular file at `path`.
///
/// # Errors
///
/// There is none, or one of another kind.
pub(crate) fn check_kind(path: &Path) -> io::Result<()> {
    let found = path.metadata()?;
    match (found.is_file(), found.is_dir()) {
        (true, _) => Ok(()),
        (false, true) => Err(io::ErrorKind::IsADirectory.into()),
        (false, false) => Err(io::Error::other("it is not a regular file")),
    }
}

/// The result of `work`, which gets its deadline but may ignore it and block. Blocks this thread for
/// [`READ_TIMEOUT`] and a moment at most.
///
/// # Errors
///
/// As `work`; [`io::ErrorKind::TimedOut`] if it blocks, or if too many others are blocked.
pub(crate) fn within_deadline<T: Send + 'static>(
    work: impl FnOnce(Instant) -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    if HANGING.load(Ordering::Relaxed) >= HANGING_MAX {
        return Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "earlier reads of it are still blocked",
        ));
    }
    let (sender, answer) = mpsc::channel();
    let end = Instant::now() + READ_TIMEOUT;
    // Set by the first of the two: the thread when it is done, or the caller when it stops waiting.
    let is_over = Arc::new(AtomicBool::new(false));
    let is_left_behind = is_over.clone();
    thread::Builder::new().name("sockeye-read".to_owned()).spawn(move || {
        // After the deadline, nobody receives it.
        let _ = sender.send(work(end));
        if is_left_behind.swap(true, Ordering::Relaxed) {
            HANGING.fetch_sub(1, Ordering::Relaxed);
        }
    })?;
    answer.recv_timeout(READ_TIMEOUT + LAST_MOMENT).unwrap_or_else(|_| {
        if !is_over.swap(true, Ordering::Relaxed) {
            HANGING.fetch_add(1, Ordering::Relaxed);
        }
        Err(timed_out())
    })
}

fn is_standard_input(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// The bytes at `path`, at most `bytes_max` and one more. A pipe is read until `end`.
pub(crate) fn read_until(end: Instant, path: &Path, bytes_max: usize) -> io::Result<Vec<u8>> {
    let mut file = match is_standard_input(path) {
        true => File::from(io::stdin().as_fd().try_clone_to_owned()?),
        false => open(path)?,
    };
    let mut bytes = Vec::new();
    let mut chunk = [0; CHUNK_BYTES];
    while bytes.len() <= bytes_max {
        wait_until_readable(&file, end)?;
        match file.read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => bytes.extend(chunk.iter().take(count)),
            Err(error) if is_of_the_moment(&error) => (),
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(bytes_max.saturating_add(1));
    Ok(bytes)
}

/// Opens without blocking: opening a pipe would wait for its writer.
fn open(path: &Path) -> io::Result<File> {
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

/// A regular file is always readable.
fn wait_until_readable(file: &File, end: Instant) -> io::Result<()> {
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).unwrap_or_default();
        let mut asked = [PollFd::new(file, PollFlags::IN)];
        match rustix::event::poll(&mut asked, Some(&timeout)) {
            Ok(0) => return Err(timed_out()),
            Ok(_) => return Ok(()),
            Err(rustix::io::Errno::INTR) => (),
            Err(error) => return Err(error.into()),
        }
    }
}

fn is_of_the_moment(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock)
}

fn timed_out() -> io::Error {
    let what = format!("it gave no response within {} s", READ_TIMEOUT.as_secs());
    io::Error::new(io::ErrorKind::TimedOut, what)
}

/// Abandoned threads that are still blocked.
static HANGING: AtomicUsize = AtomicUsize::new(0);

/// Each costs a thread until the system call returns.
const HANGING_MAX: usize = 8;

/// How long reading may take: a disk takes milliseconds, a working network mount a second or two.
pub(crate) const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// Grace for a result that is ready exactly at the deadline.
const LAST_MOMENT: Duration = Duration::from_millis(250);

const CHUNK_BYTES: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_file_is_read_up_to_its_bound() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.yaml");
        std::fs::write(&path, vec![b'x'; 100_000]).unwrap();
        assert_eq!(read(&path, 1 << 20).unwrap().len(), 100_000);
        assert_eq!(read(&path, 1000).unwrap().len(), 1001);
        assert!(!is_read_once(&path) && !is_read_once(&directory.path().join("none")));
        assert_eq!(read(directory.path(), 9).unwrap_err().kind(), io::ErrorKind::IsADirectory);
    }

    #[test]
    fn a_pipe_is_read_to_its_end_and_one_that_nobody_writes_to_ends_by_the_deadline() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pipe");
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        assert!(is_read_once(&path));
        let writer = path.clone();
        let writing = thread::spawn(move || std::fs::write(writer, vec![b'x'; 200_000]).unwrap());
        assert_eq!(read(&path, 1 << 20).unwrap().len(), 200_000);
        writing.join().unwrap();

        let soon = Instant::now() + Duration::from_millis(20);
        let error = read_until(soon, &path, 9).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{error}");
    }

    #[test]
    fn only_a_regular_file_is_read_where_one_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        for path in [&*pipe, Path::new("/dev/zero")] {
            let error = read_regular(path, 9).unwrap_err();
            assert_eq!(error.to_string(), "it is not a regular file", "{}", path.display());
        }
        let error = read_regular(directory.path(), 9).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::IsADirectory);
        let file = directory.path().join("file");
        std::fs::write(&file, "0123456789").unwrap();
        assert_eq!(read_regular(&file, 4).unwrap(), b"01234");
    }

    #[test]
    fn standard_input_has_a_name() {
        assert!(is_read_once(Path::new("-")));
        assert_eq!(name_of(Path::new("-")), "standard input");
        assert_eq!(name_of(Path::new("./-")), "./-");
        assert_eq!(name_of(Path::new("ü\x1b[2J\n.yaml")), "ü\\u{1b}[2J\\n.yaml");
    }
}
