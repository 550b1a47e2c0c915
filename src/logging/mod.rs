//! Logs by `tracing`: text for people, JSON for machines.
//!
//! Levels: `error` should wake someone, `warn` is for the operator's working hours, `info` is one line for
//! each start, handshake, refusal and end of a tunnel, `debug` includes every poll. A session id is never
//! logged completely: it is a bearer secret. Logging never waits for the reader of the log: `queue`. An
//! event is one line, whatever its fields contain: `one_line`.
//!
//! Runs at start, at reload, or on a timer.

mod error_chain;
mod one_line;
mod queue;

use std::io;
use std::sync::OnceLock;

use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, Registry, fmt, reload};

pub(crate) use error_chain::{error_chain, errors};
use one_line::OneLine;
pub(crate) use queue::LogWriter;
use queue::LostLines;

/// The `log:` section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How a line looks.
    pub format: Format,
    /// The lowest level that is written.
    pub level: Level,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for Settings {
    fn default() -> Self {
        Self { format: Format::Text, level: Level::INFO }
    }
}

/// Writes the logs of this process to standard error until the returned value is dropped. A second call
/// changes nothing, nor does a call after an embedder has set its own subscriber.
pub(crate) fn init(settings: Settings) -> LogWriter {
    if LIVE.get().is_some() {
        return LogWriter::none();
    }
    let (lines, writer, lost) = queue::queue(io::stderr());
    let (dispatch, level) = dispatch(settings, lines);
    if tracing::dispatcher::set_global_default(dispatch).is_err() {
        return LogWriter::none();
    }
    // Empty before, because only the first dispatcher can be set.
    let _ = LIVE.set(Live { level, lost });
    writer
}

/// Writes no lines below `level` from now on. Does nothing if [`init`] did nothing.
pub(crate) fn set_level(level: Level) {
    if let Some(live) = LIVE.get() {
        // Fails only if the dispatcher was dropped, and the global one never is.
        let _ = live.level.reload(filter(level));
    }
}

/// How many lines were lost since the start because the log was not read. 0 if [`init`] did nothing.
pub(crate) fn lost_lines() -> u64 {
    LIVE.get().map_or(0, |live| live.lost.lines())
}

/// The parts of [`init`]'s result that change.
struct Live {
    level: LiveLevel,
    lost: LostLines,
}

static LIVE: OnceLock<Live> = OnceLock::new();

type LiveLevel = reload::Handle<Targets, Registry>;

/// What is written at `level`. The DNS library warns of each reply that does not match its question, which
/// anybody can send who guesses the port: h2 warns of clients that reset too many requests. That must
/// not fill the log: what comes of a lookup or a connection is logged and counted by ourselves.
fn filter(level: Level) -> Targets {
    let of_libraries = if level >= Level::DEBUG { level } else { Level::ERROR };
    let targets = Targets::new().with_default(level);
    targets.with_target("hickory", of_libraries).with_target("h2", of_libraries)
}

/// A dispatcher that writes to `writer`, and its level.
fn dispatch<W>(settings: Settings, writer: W) -> (tracing::Dispatch, LiveLevel)
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let (level, live) = reload::Layer::new(filter(settings.level));
    let lines = fmt::layer().with_target(false).with_writer(OneLine(writer));
    let lines = match settings.format {
        Format::Text => lines.with_ansi(false).boxed(),
        Format::Json => lines.json().flatten_event(true).with_current_span(false).boxed(),
    };
    (Registry::default().with(level).with(lines).into(), live)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Checks what is written for one event of each level.
    fn check(format: Format, level: Level, expected: &[&str]) {
        let lines = Lines::default();
        let writer = lines.clone();
        let (dispatch, _) = dispatch(Settings { format, level }, move || writer.clone());
        tracing::dispatcher::with_default(&dispatch, || {
            tracing::info!(node = "n1", "tunnel ended");
            tracing::debug!("poll");
        });
        let written = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert_eq!(written.lines().count(), expected.len(), "{written}");
        for (line, part) in written.lines().zip(expected) {
            assert!(line.contains(part), "{line}");
        }
    }

    #[test]
    fn lines_below_the_level_are_not_written() {
        check(Format::Text, Level::INFO, &["INFO tunnel ended node=\"n1\""]);
        check(Format::Text, Level::DEBUG, &["tunnel ended", "DEBUG poll"]);
        check(Format::Text, Level::WARN, &[]);
    }

    #[test]
    fn the_level_can_change() {
        let lines = Lines::default();
        let writer = lines.clone();
        let (dispatch, live) = dispatch(Settings::default(), move || writer.clone());
        tracing::dispatcher::with_default(&dispatch, || {
            for level in [Level::INFO, Level::DEBUG] {
                live.reload(filter(level)).unwrap();
                tracing::debug!("poll");
                tracing::error!("end");
            }
        });
        let written = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert_eq!(written.matches("poll").count(), 1, "{written}");
        assert_eq!(written.matches("end").count(), 2, "{written}");
    }

    #[test]
    fn what_a_stranger_sends_to_libraries_does_not_fill_the_log() {
        for (level, expected) in [(Level::INFO, 1), (Level::DEBUG, 3)] {
            let lines = Lines::default();
            let writer = lines.clone();
            let settings = Settings { format: Format::Text, level };
            let (dispatch, _) = dispatch(settings, move || writer.clone());
            tracing::dispatcher::with_default(&dispatch, || {
                tracing::warn!(target: "hickory_net::udp::udp_client_stream", "expected message id");
                tracing::warn!(target: "h2::proto::streams", "streams reached limit");
                tracing::warn!("a lookup failed");
            });
            let written = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
            assert_eq!(written.lines().count(), expected, "{written}");
            assert!(written.contains("a lookup failed"), "{written}");
        }
    }

    #[test]
    fn an_event_is_one_line() {
        let lines = Lines::default();
        let writer = lines.clone();
        let (dispatch, _) = dispatch(Settings::default(), move || writer.clone());
        tracing::dispatcher::with_default(&dispatch, || {
            tracing::info!(cause = %"one\ntwo\r\nthree", "a\nb");
        });
        let written = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert!(written.ends_with("a\\nb cause=one\\ntwo\\r\\nthree\n"), "{written}");
        assert_eq!(written.lines().count(), 1, "{written}");
    }

    #[test]
    fn json_has_the_fields_at_the_top() {
        check(Format::Json, Level::INFO, &[r#""message":"tunnel ended","node":"n1""#]);
    }
}
