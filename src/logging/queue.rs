//! Log lines on their way to standard error, which may be a pipe that nobody reads.
//!
//! Who logs never waits: a thread of its own writes, and between them is a queue with a bound. What
//! finds it full is lost and counted, and the first moment at which the queue is empty again is when
//! the loss is told.
//!
//! Runs for every request.

use std::io::{self, Write};
use std::sync::{Arc, OnceLock, mpsc};
use std::thread;
use std::time::Duration;

use tracing::warn;
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};

/// Keeps the thread that writes. At the end of the process it is to be dropped last: it waits for
/// the lines that are not written yet, for two seconds at most.
#[derive(Debug)]
#[must_use = "dropped, it ends the log"]
pub struct Writing(Option<WorkerGuard>);

/// How many lines found no place.
#[derive(Clone, Debug, Default)]
pub(super) struct Lost(Arc<OnceLock<ErrorCounter>>);

/// Where lines wait for `sink`, the thread that writes them, and how many were lost.
pub(super) fn queue(sink: impl Write + Send + 'static) -> (NonBlocking, Writing, Lost) {
    let lost = Lost::default();
    let sink = Sink { sink, lost: lost.clone(), told: 0 };
    let builder = NonBlockingBuilder::default().thread_name("sockeye-log");
    let (lines, guard) = builder.buffered_lines_limit(LINES_MAX).finish(sink);
    // Nobody else has set it: it was made here.
    let _ = lost.0.set(lines.error_counter());
    (lines, Writing(Some(guard)), lost)
}

impl Writing {
    /// Of a process whose log is not ours.
    pub(super) fn nothing() -> Self {
        Self(None)
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        let Some(guard) = self.0.take() else { return };
        // The guard waits itself, but complains on standard output if it does so in vain, and that
        // may be the pipe that nobody reads.
        let (done, is_done) = mpsc::channel();
        thread::spawn(move || {
            drop(guard);
            // Nobody waits any more if it took too long.
            let _ = done.send(());
        });
        let _ = is_done.recv_timeout(END_TIMEOUT);
    }
}

impl Lost {
    pub(super) fn lines(&self) -> u64 {
        self.0.get().map_or(0, |counter| counter.dropped_lines() as u64)
    }
}

/// What the thread writes to.
struct Sink<W> {
    sink: W,
    lost: Lost,
    /// How many lost lines were told of.
    told: u64,
}

impl<W: Write> Write for Sink<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.sink.write(bytes)
    }

    /// Comes when the queue has run empty.
    fn flush(&mut self) -> io::Result<()> {
        let lost = self.lost.lines();
        let lines = lost - std::mem::replace(&mut self.told, lost);
        if lines > 0 {
            warn!(lines, "log lines were lost: standard error was not read fast enough");
        }
        self.sink.flush()
    }
}

/// Some seconds of a busy proxy's log, 2 MB or so.
const LINES_MAX: usize = 8192;

/// Longer than the thread's own patience with the last lines, 1.1 s.
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
    fn what_finds_the_queue_full_is_lost_and_counted() {
        let (pipe, reader) = mpsc::sync_channel(0);
        let (mut lines, writing, lost) = queue(Pipe(pipe));
        let sent = LINES_MAX + 100;
        for number in 0..sent {
            lines.write_all(number.to_string().as_bytes()).unwrap();
        }
        // The thread may have taken the first one out to write it.
        assert!((99..=100).contains(&lost.lines()), "{}", lost.lines());

        let kept = sent - lost.lines() as usize;
        for number in 0..kept {
            assert_eq!(reader.recv().unwrap(), number.to_string().as_bytes());
        }
        drop(writing);
    }

    #[test]
    fn the_last_lines_are_written_before_the_end() {
        let (pipe, reader) = mpsc::sync_channel(2);
        let (mut lines, writing, _) = queue(Pipe(pipe));
        for line in [b"one", b"two"] {
            lines.write_all(line).unwrap();
        }
        drop(writing);
        assert_eq!(reader.try_iter().collect::<Vec<_>>(), [b"one", b"two"]);
    }

    #[test]
    fn a_pipe_that_nobody_reads_does_not_hold_the_end_up() {
        let (pipe, _reader) = mpsc::sync_channel(0);
        let (mut lines, writing, _) = queue(Pipe(pipe));
        for _ in 0..2 * LINES_MAX {
            lines.write_all(b"line").unwrap();
        }
        let (ended, end) = mpsc::channel();
        thread::spawn(move || {
            drop(writing);
            ended.send(()).unwrap();
        });
        assert_eq!(end.recv_timeout(END_TIMEOUT + Duration::from_secs(1)), Ok(()));
    }
}
