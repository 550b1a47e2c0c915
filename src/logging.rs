//! Logs by `tracing`: text for people, JSON for machines.
//!
//! Levels: `error` wakes someone, `warn` is for the operator's day, `info` is one line for each
//! start, handshake, refusal and tunnel's end, `debug` has every poll. A session id is never
//! logged in full: it is a bearer secret.
//!
//! Runs at start, at reload, or on a timer.

/// The `log:` section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How a line looks.
    pub format: Format,
    /// The least level that is written.
    pub level: tracing::Level,
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
        Self { format: Format::Text, level: tracing::Level::INFO }
    }
}
