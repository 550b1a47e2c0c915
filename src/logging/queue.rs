//! Log lines on their way to standard error, which may be a pipe that is not read.
//!
//! Logging never waits: a separate thread writes, from a bounded queue. Lines that find the queue full
//! are lost and counted. The loss is logged when the queue is empty again.
//!
//! The thread writes a line that comes alone immediately, and then pauses for [`PAUSE`]: the lines of a
//! busy proxy are written together. Otherwise each line would wake the thread, which costs more than the
//! rest of the line.
//!
//! Runs for every request.

use std::io::{self, Write};
use std::sync::{Arc, OnceLock, mpsc};
use std::thread;
use std::time::Duration;

use tracing::warn;
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};

/// Owns the thread that writes. It must be dropped last at the end of the process: it waits for the lines
/// that are not written yet, at most two seconds.
#[derive(Debug)]
#[must_use = "dropped, it ends the log"]
pub(crate) struct LogWriter(Option<WorkerGuard>);

/// How many lines were lost.
#[derive(Clone, Debug, Default)]
pub(super) struct LostLines(Arc<OnceLock<ErrorCounter>>);

/// A queue of lines for `sink`, the owner of the thread that writes them, and the count of lost lines.
pub(super) fn queue(sink: impl Write + Send + 'static) -> (NonBlocking, LogWriter, LostLines) {
    let lost = LostLines::default();
    let sink = Sink { sink, unwritten: Vec::new(), lost: lost.clone(), logged: 0 };
    let builder = NonBlockingBuilder::default().thread_name("sockeye-log");
    let (lines, guard) = builder.buffered_lines_limit(LINES_MAX).finish(sink);
    // It was created here and is empty.
    let _ = lost.0.set(lines.error_counter());
    (lines, LogWriter(Some(guard)), lost)
}

impl LogWriter {
    /// For a process whose log is not written by this module.
    pub(super) fn none() -> Self {
        Self(None)
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        let Some(guard) = self.0.take() else { return };
        // The guard waits by itself, but prints to standard output after a timeout, which may be the pipe
        // that is not read.
        let (done, is_done) = mpsc::channel();
        thread::spawn(move || {
            drop(guard);
            // Fails if it took too long.
            let _ = done.send(());
        });
        let _ = is_done.recv_timeout(END_TIMEOUT);
    }
}

impl LostLines {
    pub(super) fn lines(&self) -> u64 {
        self.0.get().map_or(0, |counter| counter.dropped_lines() as u64)
    }
}

/// The target of the thread.
struct Sink<W> {
    sink: W,
    /// Whole lines.
    unwritten: Vec<u8>,
    lost: LostLines,
    /// How many lost lines were logged.
    logged: u64,
}

impl<W: Write> Sink<W> {
    fn write_out(&mut self) -> io::Result<()> {
        let outcome = self.sink.write_all(&self.unwritten).and_then(|()| self.sink.flush());
        // Also after a failure: lines that nobody can read must not fill the memory.
        self.unwritten.clear();
        outcome
    }
}

impl<W: Write> Write for Sink<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.unwritten.extend_from_slice(line);
        if self.unwritten.len() >= UNWRITTEN_MAX {
            self.write_out()?;
        }
        Ok(line.len())
    }

    /// Called when the queue is empty.
    fn flush(&mut self) -> io::Result<()> {
        let lost = self.lost.lines();
        let lines = lost - std::mem::replace(&mut self.logged, lost);
        if lines > 0 {
            warn!(lines, "log lines were lost: standard error was not read fast enough");
        }
        if self.unwritten.is_empty() {
            return Ok(());
        }
        self.write_out()?;
        thread::sleep(PAUSE);
        Ok(())
    }
}

/// How long lines may wait to be written with others. Short enough for a person who reads along.
const PAUSE: Duration = Duration::from_millis(10);

/// How many bytes are written together, in bytes: a pipe of Linux holds as many. A line may exceed it.
const UNWRITTEN_MAX: usize = 64 * 1024;

/// Some seconds of a busy proxy's log, about 2 MB.
const LINES_MAX: usize = 8192;

/// Longer than the thread's own timeout for the last lines, 1.1 s.
const END_TIMEOUT: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    /// A pipe that takes some lines whenever the test reads.
    struct Pipe(mpsc::SyncSender<Vec<u8>>);

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.to_vec()).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_that_find_the_queue_full_are_lost_and_counted() {
        let (pipe, reader) = mpsc::sync_channel(0);
        let (mut lines, writer, lost) = queue(Pipe(pipe));
        // More than the queue, and what the thread takes before it writes.
        let long = [b'-'; 100];
        let taken_max = UNWRITTEN_MAX / long.len() + 1;
        let sent = LINES_MAX + taken_max + 100;
        for number in 0..sent {
            lines.write_all(&[format!("{number:5}").as_bytes(), &long, b"\n"].concat()).unwrap();
        }
        let lost = lost.lines() as usize;
        assert!((100..=100 + taken_max).contains(&lost), "{lost}");

        let mut read = Vec::new();
        while read.iter().filter(|byte| **byte == b'\n').count() < sent - lost {
            read.extend(reader.recv().unwrap());
        }
        let read = String::from_utf8(read).unwrap();
        let numbers: Vec<usize> =
            read.lines().map(|line| line[..5].trim().parse().unwrap()).collect();
        assert!(numbers.is_sorted(), "lines changed their order");
        drop(writer);
    }

    #[test]
    fn the_last_lines_are_written_before_the_end() {
        let (pipe, reader) = mpsc::sync_channel(2);
        let (mut lines, writer, _) = queue(Pipe(pipe));
        for line in [b"one", b"two"] {
            lines.write_all(line).unwrap();
        }
        drop(writer);
        assert_eq!(reader.try_iter().collect::<Vec<_>>().concat(), b"onetwo");
    }

    #[test]
    fn lines_of_a_busy_process_are_written_together() {
        let (pipe, reader) = mpsc::sync_channel(1000);
        let (mut lines, writer, _) = queue(Pipe(pipe));
        for _ in 0..1000 {
            lines.write_all(b"line\n").unwrap();
        }
        drop(writer);
        let written: Vec<_> = reader.try_iter().collect();
        assert_eq!(written.iter().map(Vec::len).sum::<usize>(), 5000);
        assert!(written.len() < 200, "{} writes", written.len());
    }

    #[test]
    fn a_pipe_that_is_not_read_does_not_delay_the_end() {
        let (pipe, _reader) = mpsc::sync_channel(0);
        let (mut lines, writer, _) = queue(Pipe(pipe));
        for _ in 0..2 * LINES_MAX {
            lines.write_all(b"line").unwrap();
        }
        let (ended, end) = mpsc::channel();
        thread::spawn(move || {
            drop(writer);
            ended.send(()).unwrap();
        });
        assert_eq!(end.recv_timeout(END_TIMEOUT + Duration::from_secs(1)), Ok(()));
    }
}
