//! Log lines on their way to standard error, which may be a pipe that is not read.
//!
//! Logging never waits: a separate thread writes, from a bounded queue. Lines that find the queue full
//! are lost and counted. The loss is logged when the queue is empty again.
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
    let sink = Sink { sink, lost: lost.clone(), logged: 0 };
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
    lost: LostLines,
    /// How many lost lines were logged.
    logged: u64,
}

impl<W: Write> Write for Sink<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.sink.write(bytes)
    }

    /// Called when the queue is empty.
    fn flush(&mut self) -> io::Result<()> {
        let lost = self.lost.lines();
        let lines = lost - std::mem::replace(&mut self.logged, lost);
        if lines > 0 {
            warn!(lines, "log lines were lost: standard error was not read fast enough");
        }
        self.sink.flush()
    }
}

/// Some seconds of a busy proxy's log, about 2 MB.
const LINES_MAX: usize = 8192;

/// Longer than the thread's own timeout for the last lines, 1.1 s.
const END_TIMEOUT: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    /// A pipe that takes a line whenever the test reads one.
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
        let sent = LINES_MAX + 100;
        for number in 0..sent {
            lines.write_all(number.to_string().as_bytes()).unwrap();
        }
        // The thread may have taken the first line.
        assert!((99..=100).contains(&lost.lines()), "{}", lost.lines());

        let kept = sent - lost.lines() as usize;
        for number in 0..kept {
            assert_eq!(reader.recv().unwrap(), number.to_string().as_bytes());
        }
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
        assert_eq!(reader.try_iter().collect::<Vec<_>>(), [b"one", b"two"]);
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
