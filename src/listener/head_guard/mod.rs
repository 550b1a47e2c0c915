//! Checks the raw bytes of requests before hyper reads them.
//!
//! hyper forgives: it erases a Content-Length beside Transfer-Encoding, equal doubled lengths,
//! bare LF and leading blank lines, so that nobody behind it can refuse what another HTTP reader
//! may see as two requests. The guard looks at the same bytes first, follows bodies to find each
//! head of a kept-alive connection. It is at least as strict as hyper about where requests begin
//! and end: what it lets pass has one meaning, and what it refuses has not reached hyper as a
//! whole, because the end of a faulty head is always behind the fault.
//!
//! It changes no byte, with one exception: `"`, `<` and `>` in a query, which RFC 3986 has
//! percent-encoded and many clients and servers do not, are to be passed on encoded, so that
//! whoever reads the target behind the guard reads the same. It says which bytes these are; who
//! passes the bytes on encodes them.
//!
//! Verdicts do not depend on how the bytes are cut into reads.
//!
//! Pure. Runs for every byte.

mod fault;
mod head;
mod request_line;
#[cfg(test)]
mod tests;

pub use fault::Fault;
use head::{Head, Next};
use request_line::Target;
pub use request_line::{ENCODED_BYTES, encode};

/// Follows the bytes that one client sends.
#[derive(Debug, Default)]
pub struct HeadGuard {
    limits: HeadLimits,
    state: State,
    /// The beginning of a line whose end was not read yet; owns nothing otherwise.
    partial: Vec<u8>,
    /// See [`HeadGuard::to_encode`].
    to_encode: Vec<usize>,
    heads: u32,
    fault: Option<Fault>,
}

/// How large the head of a request may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// Its bytes as they are passed on, with request line and line ends.
    pub bytes_max: usize,
    /// Its field lines.
    pub fields_max: usize,
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self { bytes_max: HEAD_BYTES_MAX, fields_max: HEAD_FIELDS_MAX }
    }
}

/// Where in its requests a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// No byte of the next request line has come.
    Between,
    /// A head has begun and is not complete.
    Head,
    /// A body has begun, or is announced, and is not complete.
    Body,
    /// Behind a request that may become a tunnel: nothing there is looked at.
    Tunnel,
}

/// Bytes were found that must not become a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What is wrong.
    pub fault: Fault,
    /// How many of the inspected bytes are before the line with the fault and may be passed on.
    pub clean: usize,
}

#[derive(Debug)]
enum State {
    /// Before or in a request line; whether the one permitted empty line has been there.
    RequestLine {
        blank_seen: bool,
        target: Target,
    },
    /// In the field lines of a head; how long it is so far.
    Fields {
        head: Head,
        bytes: usize,
    },
    /// In a body with so many bytes to come; never 0.
    Length(u64),
    /// Before a chunk's size line.
    ChunkSize,
    /// In a chunk with so many bytes to come; never 0.
    ChunkContent(u64),
    /// Before the line end behind a chunk's content.
    ChunkEnd,
    /// Behind the last chunk; how long the trailer section is so far.
    Trailers {
        bytes: usize,
    },
    Tunnel,
}

impl Default for State {
    fn default() -> Self {
        Self::RequestLine { blank_seen: false, target: Target::default() }
    }
}

impl HeadGuard {
    /// A guard at the beginning of a connection.
    pub fn new(limits: HeadLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Looks at the bytes that follow those inspected before. After the first refusal nothing is
    /// clean any more.
    ///
    /// # Errors
    ///
    /// [`Refusal`] if the bytes from its `clean` on must not be passed on.
    pub fn inspect(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        if let Some(fault) = self.fault {
            return Err(Refusal { fault, clean: 0 });
        }
        self.to_encode.clear();
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.step(rest, bytes.len() - rest.len()) {
                Ok(behind) => rest = behind,
                Err(fault) => {
                    self.fault = Some(fault);
                    self.partial = Vec::new();
                    return Err(Refusal { fault, clean: bytes.len() - rest.len() });
                }
            }
        }
        Ok(())
    }

    /// Where the client is. After a refusal: where the fault was found.
    pub fn stage(&self) -> Stage {
        match self.state {
            // The one permitted empty line begins no head: a client that sends CR LF behind a
            // body and then waits is not slow.
            State::RequestLine { .. } if matches!(*self.partial, [] | [b'\r']) => Stage::Between,
            State::RequestLine { .. } | State::Fields { .. } => Stage::Head,
            State::Length(_)
            | State::ChunkSize
            | State::ChunkContent(_)
            | State::ChunkEnd
            | State::Trailers { .. } => Stage::Body,
            State::Tunnel => Stage::Tunnel,
        }
    }

    /// The places of those bytes among the inspected ones, in order, that must be passed on
    /// percent-encoded, see [`encode`]; nearly always there is none.
    pub fn to_encode(&self) -> &[usize] {
        &self.to_encode
    }

    /// How many heads were complete and without fault. Wraps.
    pub fn heads(&self) -> u32 {
        self.heads
    }

    /// What was refused.
    pub fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// Takes at least one byte of `bytes`, which are not empty and the inspected ones from `at` on,
    /// and gives back the others.
    fn step<'a>(&mut self, bytes: &'a [u8], at: usize) -> Result<&'a [u8], Fault> {
        match &mut self.state {
            State::Length(left) => {
                let behind = skip(left, bytes);
                if *left == 0 {
                    self.state = State::default();
                }
                Ok(behind)
            }
            State::ChunkContent(left) => {
                let behind = skip(left, bytes);
                if *left == 0 {
                    self.state = State::ChunkEnd;
                }
                Ok(behind)
            }
            State::Tunnel => Ok(&[]),
            State::RequestLine { .. }
            | State::Fields { .. }
            | State::ChunkSize
            | State::ChunkEnd
            | State::Trailers { .. } => self.gather(bytes, at),
        }
    }

    /// Takes bytes up to the end of a line, and the line if that end is there.
    fn gather<'a>(&mut self, bytes: &'a [u8], at: usize) -> Result<&'a [u8], Fault> {
        let found = memchr::memchr(b'\n', bytes);
        let taken = found.map_or(bytes.len(), |at| at + 1);
        let (fresh, behind) = bytes.split_at_checked(taken).unwrap_or((bytes, &[]));

        if let State::RequestLine { target, .. } = &mut self.state {
            target.follow(fresh, |place| self.to_encode.push(at + place));
        }
        let (longest, too_long) = self.line_limit();
        if self.partial.len() + fresh.len() > longest {
            return Err(too_long);
        }
        if found.is_none() {
            self.partial.extend_from_slice(fresh);
        } else if self.partial.is_empty() {
            self.line(fresh)?;
        } else {
            let mut whole = std::mem::take(&mut self.partial);
            whole.extend_from_slice(fresh);
            self.line(&whole)?;
        }
        Ok(behind)
    }

    /// How long the line that comes may be with its end, and what is wrong if it is longer.
    fn line_limit(&self) -> (usize, Fault) {
        match &self.state {
            State::RequestLine { target, .. } => {
                let max = self.limits.bytes_max;
                (max.saturating_sub(target.added()), Fault::HeadTooLarge(max))
            }
            State::Fields { bytes, .. } => {
                let max = self.limits.bytes_max;
                (max.saturating_sub(*bytes), Fault::HeadTooLarge(max))
            }
            State::ChunkSize => (CHUNK_LINE_BYTES_MAX, Fault::ChunkLineTooLong),
            State::ChunkEnd => (b"\r\n".len(), Fault::Chunk),
            State::Trailers { bytes } => {
                (TRAILER_BYTES_MAX.saturating_sub(*bytes), Fault::TrailersTooLarge)
            }
            State::Length(_) | State::ChunkContent(_) | State::Tunnel => {
                debug_assert!(false, "there are no lines in this state");
                (0, Fault::Chunk)
            }
        }
    }

    /// Takes a whole line, which ends in LF.
    fn line(&mut self, raw: &[u8]) -> Result<(), Fault> {
        let line = without_line_end(raw)?;
        match &mut self.state {
            State::RequestLine { blank_seen, .. } if line.is_empty() => {
                if std::mem::replace(blank_seen, true) {
                    return Err(Fault::BlankLines);
                }
            }
            State::RequestLine { target, .. } => {
                let bytes = raw.len() + target.added();
                request_line::check(line)?;
                let mut head = Head::default();
                head.request_line(line)?;
                self.state = State::Fields { head, bytes };
            }
            State::Fields { head, .. } if line.is_empty() => {
                self.state = match head.end()? {
                    Next::Length(0) => State::default(),
                    Next::Length(length) => State::Length(length),
                    Next::Chunks => State::ChunkSize,
                    Next::Tunnel => State::Tunnel,
                };
                self.heads = self.heads.wrapping_add(1);
            }
            State::Fields { head, bytes } => {
                head.field(line, self.limits.fields_max)?;
                *bytes += raw.len();
            }
            State::ChunkSize => {
                self.state = match chunk_size(line).ok_or(Fault::Chunk)? {
                    0 => State::Trailers { bytes: 0 },
                    size => State::ChunkContent(size),
                };
            }
            // The limit for this line leaves room for its end alone.
            State::ChunkEnd => self.state = State::ChunkSize,
            State::Trailers { .. } if line.is_empty() => self.state = State::default(),
            State::Trailers { bytes } => {
                head::split_field(line)?;
                *bytes += raw.len();
            }
            State::Length(_) | State::ChunkContent(_) | State::Tunnel => {
                debug_assert!(false, "there are no lines in this state");
            }
        }
        Ok(())
    }
}

/// Takes up to `left` bytes and gives back those behind.
fn skip<'a>(left: &mut u64, bytes: &'a [u8]) -> &'a [u8] {
    let here = usize::try_from(*left).unwrap_or(usize::MAX);
    let behind = bytes.get(here..).unwrap_or(&[]);
    *left -= (bytes.len() - behind.len()) as u64;
    behind
}

/// `raw` without CR LF, if there is neither CR nor NUL before.
fn without_line_end(raw: &[u8]) -> Result<&[u8], Fault> {
    let line = raw.strip_suffix(b"\r\n").ok_or(Fault::BareLineFeed)?;
    match memchr::memchr2(b'\r', 0, line).and_then(|at| line.get(at)) {
        None => Ok(line),
        Some(0) => Err(Fault::Nul),
        Some(_) => Err(Fault::BareCarriageReturn),
    }
}

/// The size in a chunk's size line: `1*HEXDIG`, at most 15 of them, and extensions, which are
/// skipped (RFC 9112, section 7.1). White space is taken only before an extension.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let end = line.iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(line.len());
    let (digits, extensions) = line.split_at_checked(end)?;
    if !(1..=15).contains(&digits.len()) {
        return None;
    }
    if !extensions.is_empty() && !head::trim(extensions).starts_with(b";") {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// The longest head by default, with its request line and line ends, in bytes: single sign-on
/// fills cookies. Node.js refuses heads over 16 KiB unless it is told otherwise.
pub const HEAD_BYTES_MAX: usize = 64 * 1024;

/// How many field lines a head may have by default.
pub const HEAD_FIELDS_MAX: usize = 200;

/// The longest size line of a chunk with its extensions, in bytes.
pub const CHUNK_LINE_BYTES_MAX: usize = 256;

/// The longest trailer section, in bytes; hyper's limit is greater.
pub const TRAILER_BYTES_MAX: usize = 8 * 1024;
