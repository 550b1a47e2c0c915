//! Checks the raw bytes of requests before hyper reads them.
//!
//! hyper is tolerant: it removes a Content-Length next to Transfer-Encoding, equal repeated lengths,
//! bare LF and leading blank lines, so that no code behind it can refuse what another HTTP reader may
//! see as two requests. The guard inspects the same bytes first, and follows bodies to find each head
//! of a kept-alive connection. It is at least as strict as hyper about where requests begin and end:
//! what it passes has one meaning, and what it refuses has not reached hyper completely, because the
//! end of a faulty head is always behind the fault.
//!
//! It changes no byte, with one exception: `"`, `<` and `>` in a query, which RFC 3986 wants
//! percent-encoded and many clients and servers do not encode, are to be passed on encoded, so that
//! every reader of the target behind the guard reads the same. The guard says which bytes these are;
//! its caller encodes them.
//!
//! Verdicts do not depend on how the bytes are split into reads.
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
pub use request_line::encode;

pub(crate) use crate::http1::HeadLimits;

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

/// The part of a request that a client sends next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// A request line, of which no byte has come.
    Between,
    /// The rest of a head.
    Head,
    /// A body, or its rest.
    Body,
    /// Bytes behind a request that may become a tunnel. They are not inspected.
    Tunnel,
}

/// The inspected bytes must not become a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The fault.
    pub fault: Fault,
    /// How many of the inspected bytes are before the line with the fault and may be passed on.
    pub clean: usize,
}

#[derive(Debug)]
enum State {
    /// Before or in a request line, and whether the one permitted empty line has been seen.
    RequestLine {
        blank_seen: bool,
        target: Target,
    },
    /// In the field lines of a head, and its length so far.
    Fields {
        head: Head,
        bytes: usize,
    },
    /// In a body, with this many bytes left; never 0.
    Length(u64),
    /// Before the size line of a chunk.
    ChunkSize,
    /// In a chunk, with this many bytes left; never 0.
    ChunkContent(u64),
    /// Before the line end behind the content of a chunk.
    ChunkEnd,
    /// Behind the last chunk, and the length of the trailer section so far.
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

    /// Inspects the next bytes. After the first refusal no byte is clean.
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

    /// The current stage. After a refusal: the one in which the fault was found.
    pub fn stage(&self) -> Stage {
        match self.state {
            // The one permitted empty line does not begin a head: a client that sends CR LF behind a
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

    /// The offsets of the last inspected bytes that must be passed on percent-encoded, in order, see
    /// [`encode`]. Nearly always empty.
    pub fn to_encode(&self) -> &[usize] {
        &self.to_encode
    }

    /// How many heads were complete and without fault. Wraps.
    pub fn heads(&self) -> u32 {
        self.heads
    }

    /// The fault, if a request was refused.
    pub fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// Takes at least one byte of `bytes`, which are not empty and begin at offset `at` of the inspected
    /// ones, and returns the others.
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

    /// Takes bytes up to the end of a line, and the line if it is complete.
    fn gather<'a>(&mut self, bytes: &'a [u8], at: usize) -> Result<&'a [u8], Fault> {
        let found = memchr::memchr(b'\n', bytes);
        let taken = found.map_or(bytes.len(), |at| at + 1);
        let (fresh, behind) = bytes.split_at_checked(taken).unwrap_or((bytes, &[]));

        if let State::RequestLine { target, .. } = &mut self.state {
            target.follow(fresh, |offset| self.to_encode.push(at + offset));
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

    /// How long the next line may be with its end, and the fault if it is longer.
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

    /// Takes a complete line, which ends in LF.
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
            // The limit for this line allows nothing but its end.
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

/// Skips up to `left` bytes and returns the rest.
fn skip<'a>(left: &mut u64, bytes: &'a [u8]) -> &'a [u8] {
    let here = usize::try_from(*left).unwrap_or(usize::MAX);
    let behind = bytes.get(here..).unwrap_or(&[]);
    *left -= (bytes.len() - behind.len()) as u64;
    behind
}

/// `raw` without CR LF. Fails if there is a CR or NUL before.
fn without_line_end(raw: &[u8]) -> Result<&[u8], Fault> {
    let line = raw.strip_suffix(b"\r\n").ok_or(Fault::BareLineFeed)?;
    match memchr::memchr2(b'\r', 0, line).and_then(|at| line.get(at)) {
        None => Ok(line),
        Some(0) => Err(Fault::Nul),
        Some(_) => Err(Fault::BareCarriageReturn),
    }
}

/// The size in the size line of a chunk: `1*HEXDIG`, at most 15 digits, then extensions, which are
/// skipped (RFC 9112, section 7.1). White space is allowed only before an extension.
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

/// The longest size line of a chunk with its extensions, in bytes.
pub(crate) const CHUNK_LINE_BYTES_MAX: usize = 256;

/// The longest trailer section, in bytes; hyper's limit is greater.
pub(crate) const TRAILER_BYTES_MAX: usize = 8 * 1024;
