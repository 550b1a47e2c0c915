//! Parses the head of an answer from the bytes that have arrived.
//!
//! Tolerated, because the meaning stays clear: empty lines before the status line, several spaces
//! between its parts, white space between a field's name and its colon, and values that continue on
//! the next line (each CR and LF of such a fold becomes a space). Refused: control characters in
//! values, a CR without LF, a name without a colon; and a LF without CR, where RFC 9112, section 2.2
//! leaves the choice. Readers that choose differently see different fields, and a stranger who can
//! put a LF into a value that a node sends back would write fields of his own.
//!
//! Pure. Runs for every request.

use std::mem::MaybeUninit;

use bytes::{Buf, Bytes, BytesMut};
use http::header::{HeaderMap, HeaderName, HeaderValue, InvalidHeaderValue};
use http::{Method, StatusCode, Version};
use httparse::{ParserConfig, Response, Status};
use memchr::memchr_iter;

use super::fault::HeadFault;
use super::framing::{BodyFraming, frame};
use super::persistence::Persistence;

/// The limits of the head of a request or a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// Bytes from the first line to the empty line, both included. Each interim response has the same
    /// limit of its own.
    pub bytes_max: usize,
    /// Field lines; in a response at most 256.
    pub fields_max: usize,
}

impl HeadLimits {
    /// The default of `bytes_max`: single sign-on makes cookies large. Node.js refuses heads over
    /// 16 KiB by default.
    pub const BYTES_MAX: usize = 64 * 1024;

    /// The default of `fields_max`.
    pub const FIELDS_MAX: usize = 200;
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self { bytes_max: Self::BYTES_MAX, fields_max: Self::FIELDS_MAX }
    }
}

/// Parses the final head of one answer. It remembers how much it has scanned: a head that arrives
/// byte by byte is scanned once and parsed at most three times over.
#[derive(Clone, Debug)]
pub struct HeadParser {
    limits: HeadLimits,
    /// No head ends within the first so many bytes of the buffer.
    scanned: usize,
    /// The length at which an unfinished head is checked for faults again.
    check_at: usize,
    /// Bytes of empty lines that were skipped.
    skipped: usize,
    interim: u32,
}

/// What the buffer begins with.
#[derive(Debug)]
pub enum Parsed {
    /// A part of a head, which stays in the buffer.
    NeedMore,
    /// A 1xx other than 101, taken out of the buffer: the final head is still to come.
    Interim(StatusCode),
    /// The final head, taken out of the buffer: what is left there is body, or behind it.
    Head(Head),
}

/// The head of a final answer.
#[derive(Debug)]
pub struct Head {
    /// 101, or from 200 to 999.
    pub status: StatusCode,
    /// All fields, without Transfer-Encoding and with at most one Content-Length, a canonical one.
    /// Connection-specific fields are still there. Each value is a slice of the read buffer: as long
    /// as one lives, so does the memory of the whole buffer.
    pub headers: HeaderMap,
    /// Where the body ends.
    pub framing: BodyFraming,
    /// Whether the connection may be used for another request.
    pub persistence: Persistence,
}

impl HeadParser {
    /// For one answer.
    pub fn new(limits: HeadLimits) -> Self {
        Self { limits, scanned: 0, check_at: 0, skipped: 0, interim: 0 }
    }

    /// Looks for a head at the beginning of `buffer`. Between two calls bytes may be added to the
    /// buffer and nothing else. `request_method` is that of the request: an answer to HEAD has no
    /// body.
    ///
    /// # Errors
    ///
    /// The answer is malformed, too long or ambiguous. What is left in `buffer` is then meaningless.
    pub fn parse(
        &mut self,
        buffer: &mut BytesMut,
        request_method: &Method,
    ) -> Result<Parsed, HeadFault> {
        self.skip_empty_lines(buffer)?;
        let end = self.end_of_head(buffer)?.filter(|end| *end <= self.limits.bytes_max);
        let Some(end) = end else {
            self.check_part(buffer)?;
            return Ok(Parsed::NeedMore);
        };
        (self.scanned, self.check_at) = (0, 0);
        let bytes = buffer.split_to(end).freeze();
        let mut lines = [const { MaybeUninit::uninit() }; FIELDS_CAPACITY];
        let head = self.read(&bytes, &mut lines)?;
        // An empty line ends every head, so this cannot happen.
        let Some(head) = head else { return Err(HeadFault::LineEnd) };
        let (status, version) = (status_of(&head)?, version_of(&head));
        if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS {
            self.interim += 1;
            let too_many = HeadFault::TooManyInterim { max: INTERIM_MAX };
            return if self.interim > INTERIM_MAX {
                Err(too_many)
            } else {
                Ok(Parsed::Interim(status))
            };
        }
        let mut headers = fields_of(&head, &bytes)?;
        let mut persistence = Persistence::new(version, &headers);
        let framing = frame(status, version, request_method, &mut headers)?;
        persistence.is_reusable &=
            framing != BodyFraming::UntilClose && status != StatusCode::SWITCHING_PROTOCOLS;
        Ok(Parsed::Head(Head { status, headers, framing, persistence }))
    }

    /// Some nodes send one after the body of their previous answer. Bounded like a head.
    fn skip_empty_lines(&mut self, buffer: &mut BytesMut) -> Result<(), HeadFault> {
        loop {
            let Some(rest) = buffer.strip_prefix(b"\r\n") else { return Ok(()) };
            let line = buffer.len() - rest.len();
            buffer.advance(line);
            self.scanned = 0;
            self.skipped += line;
            if self.skipped > self.limits.bytes_max {
                return Err(HeadFault::TooLong { max: self.limits.bytes_max });
            }
        }
    }

    /// The length of the head, if its empty line has arrived.
    fn end_of_head(&mut self, buffer: &[u8]) -> Result<Option<usize>, HeadFault> {
        let begin = self.scanned;
        for line_end in memchr_iter(b'\n', buffer.get(begin..).unwrap_or_default()) {
            let next = begin + line_end + 1;
            // What is behind the limit is no part of a head that can pass.
            if next <= self.limits.bytes_max
                && let Some(line) = buffer.get(..next)
                && !line.ends_with(b"\r\n")
            {
                return Err(self.fault_until_line_end(line));
            }
            match buffer.get(next..) {
                Some([b'\r', b'\n', ..]) => return Ok(Some(next + 2)),
                None | Some([] | [b'\r']) => {
                    self.scanned = next - 1;
                    return Ok(None);
                }
                Some(_) => (),
            }
        }
        self.scanned = buffer.len();
        Ok(None)
    }

    /// The first fault of a `part` whose last line does not end in CRLF: however the bytes are cut into
    /// reads, it is the same.
    fn fault_until_line_end(&self, part: &[u8]) -> HeadFault {
        let mut lines = [const { MaybeUninit::uninit() }; FIELDS_CAPACITY];
        self.read(part, &mut lines).err().unwrap_or(HeadFault::LineEnd)
    }

    /// Finds faults before the head is complete: a node that speaks another protocol may wait for us
    /// to speak. The length doubles from check to check, so that all of them are linear in the head.
    fn check_part(&mut self, buffer: &[u8]) -> Result<(), HeadFault> {
        let is_too_long = buffer.len() >= self.limits.bytes_max;
        if buffer.len() < self.check_at && !is_too_long {
            return Ok(());
        }
        self.check_at = buffer.len() * 2;
        let part = buffer.get(..self.limits.bytes_max).unwrap_or(buffer);
        let mut lines = [const { MaybeUninit::uninit() }; FIELDS_CAPACITY];
        self.read(part, &mut lines)?;
        if is_too_long {
            return Err(HeadFault::TooLong { max: self.limits.bytes_max });
        }
        Ok(())
    }

    /// The head in `bytes`, if it is complete.
    fn read<'lines, 'bytes>(
        &self,
        bytes: &'bytes [u8],
        lines: &'lines mut [MaybeUninit<httparse::Header<'bytes>>],
    ) -> Result<Option<Response<'lines, 'bytes>>, HeadFault> {
        let fields_max = self.limits.fields_max.min(FIELDS_CAPACITY);
        let (lines, _) = lines.split_at_mut_checked(fields_max).unwrap_or((&mut [], &mut []));
        let mut head = Response::new(&mut []);
        let parsed = parser().parse_response_with_uninit_headers(&mut head, bytes, lines);
        match parsed {
            Ok(Status::Complete(_)) => Ok(Some(head)),
            Ok(Status::Partial) => Ok(None),
            Err(httparse::Error::Version) => Err(HeadFault::Version),
            Err(httparse::Error::Status | httparse::Error::Token) => Err(HeadFault::StatusLine),
            Err(httparse::Error::HeaderName) => Err(HeadFault::FieldName),
            Err(httparse::Error::HeaderValue) => Err(HeadFault::FieldValue),
            Err(httparse::Error::NewLine) => Err(HeadFault::LineEnd),
            Err(httparse::Error::TooManyHeaders) => {
                Err(HeadFault::TooManyFields { max: fields_max })
            }
        }
    }
}

fn parser() -> ParserConfig {
    let mut config = ParserConfig::default();
    config
        .allow_spaces_after_header_name_in_responses(true)
        .allow_obsolete_multiline_headers_in_responses(true)
        .allow_multiple_spaces_in_response_status_delimiters(true);
    config
}

fn status_of(head: &Response<'_, '_>) -> Result<StatusCode, HeadFault> {
    let code = head.code.unwrap_or_default();
    StatusCode::from_u16(code).map_err(|_| HeadFault::StatusCode(code))
}

fn version_of(head: &Response<'_, '_>) -> Version {
    if head.version == Some(1) { Version::HTTP_11 } else { Version::HTTP_10 }
}

fn fields_of(head: &Response<'_, '_>, bytes: &Bytes) -> Result<HeaderMap, HeadFault> {
    let mut headers = HeaderMap::with_capacity(head.headers.len());
    for field in &*head.headers {
        let name =
            HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| HeadFault::FieldName)?;
        let value = HeaderValue::from_maybe_shared(bytes.slice_ref(field.value))
            .or_else(|_| unfolded(field.value))
            .map_err(|_| HeadFault::FieldValue)?;
        headers.append(name, value);
    }
    Ok(headers)
}

/// A value of several lines as one (RFC 9112, section 5.2).
fn unfolded(value: &[u8]) -> Result<HeaderValue, InvalidHeaderValue> {
    let in_one_line = |byte: &u8| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte };
    HeaderValue::from_bytes(&value.iter().map(in_one_line).collect::<Vec<u8>>())
}

/// The size of the array on the stack.
const FIELDS_CAPACITY: usize = 256;

/// A node may send 102 repeatedly while it works on a long request; this is far above that.
const INTERIM_MAX: u32 = 100;
