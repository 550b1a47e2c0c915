//! A body in chunks (RFC 9112, section 7.1).
//!
//! Every line must end in CRLF. Extensions are skipped; they are bounded over the whole body, and so
//! is the trailer section.
//!
//! Pure. Runs for every byte.

use bytes::{Buf, BytesMut};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use httparse::{EMPTY_HEADER, Status, parse_headers};
use memchr::memchr_iter;

use super::body::{Decoded, take};
use super::fault::BodyFault;

/// How far a body in chunks has been decoded.
#[derive(Debug)]
pub(super) struct Chunks {
    place: Place,
    /// Bytes between a size and the end of its line, in all chunks.
    extension_bytes: usize,
}

/// What the next byte is.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// A digit of a size that has so many already, or what follows it.
    Size {
        size: u64,
        digits: u32,
    },
    /// White space after a size.
    AfterSize {
        size: u64,
    },
    Extension {
        size: u64,
    },
    /// The LF after a size.
    SizeLf {
        size: u64,
    },
    /// Data, at least one byte.
    Data {
        remaining: u64,
    },
    /// The CR after data.
    DataCr,
    DataLf,
    /// Trailer fields. The first so many bytes of the buffer are whole lines.
    Trailers {
        scanned: usize,
    },
}

impl Chunks {
    pub(super) fn new() -> Self {
        Self { place: NEXT_CHUNK, extension_bytes: 0 }
    }

    /// The next data, or the end.
    pub(super) fn decode(&mut self, buffer: &mut BytesMut) -> Result<Decoded, BodyFault> {
        loop {
            match self.place {
                Place::Data { remaining } => {
                    if buffer.is_empty() {
                        return Ok(Decoded::NeedMore);
                    }
                    let data = take(buffer, remaining);
                    self.place = match remaining - data.len() as u64 {
                        0 => Place::DataCr,
                        remaining => Place::Data { remaining },
                    };
                    return Ok(Decoded::Data(data));
                }
                Place::Trailers { scanned } => return self.trailers(buffer, scanned),
                Place::Size { .. }
                | Place::AfterSize { .. }
                | Place::Extension { .. }
                | Place::SizeLf { .. }
                | Place::DataCr
                | Place::DataLf => {
                    let Some(byte) = buffer.first().copied() else { return Ok(Decoded::NeedMore) };
                    buffer.advance(1);
                    self.place = self.after(byte)?;
                }
            }
        }
    }

    /// What follows `byte`, which is not data.
    fn after(&mut self, byte: u8) -> Result<Place, BodyFault> {
        let place = self.place;
        match (place, byte) {
            (Place::Size { size, digits }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                longer(size, digits, digit)
            }
            (Place::Size { digits: 0, .. }, _) => Err(BodyFault::ChunkSize),
            (
                Place::Size { size, .. } | Place::AfterSize { size } | Place::Extension { size },
                b'\r',
            ) => Ok(Place::SizeLf { size }),
            (Place::Size { size, .. } | Place::AfterSize { size }, b' ' | b'\t') => {
                self.count_extension(Place::AfterSize { size })
            }
            (Place::Size { size, .. } | Place::AfterSize { size }, b';') => {
                self.count_extension(Place::Extension { size })
            }
            (Place::Extension { .. }, byte) if byte != b'\n' => self.count_extension(place),
            (Place::SizeLf { size: 0 }, b'\n') => Ok(Place::Trailers { scanned: 0 }),
            (Place::SizeLf { size }, b'\n') => Ok(Place::Data { remaining: size }),
            (Place::DataCr, b'\r') => Ok(Place::DataLf),
            (Place::DataLf, b'\n') => Ok(NEXT_CHUNK),
            (Place::DataCr | Place::DataLf, _) => Err(BodyFault::ChunkEnd),
            (
                Place::Size { .. }
                | Place::AfterSize { .. }
                | Place::Extension { .. }
                | Place::SizeLf { .. }
                | Place::Data { .. }
                | Place::Trailers { .. },
                _,
            ) => Err(BodyFault::ChunkSize),
        }
    }

    fn count_extension(&mut self, place: Place) -> Result<Place, BodyFault> {
        self.extension_bytes += 1;
        if self.extension_bytes > EXTENSION_BYTES_MAX {
            return Err(BodyFault::ExtensionsTooLong { max: EXTENSION_BYTES_MAX });
        }
        Ok(place)
    }

    /// The trailer fields, if all have arrived. Until then they stay in `buffer`.
    fn trailers(&mut self, buffer: &mut BytesMut, scanned: usize) -> Result<Decoded, BodyFault> {
        let section = buffer.get(..TRAILER_BYTES_MAX).unwrap_or(buffer);
        match end_of_trailers(section, scanned)? {
            TrailersEnd::At(end) => {
                let trailers = fields(&buffer[..end])?;
                buffer.advance(end);
                Ok(Decoded::End((!trailers.is_empty()).then_some(trailers)))
            }
            TrailersEnd::After(_) if buffer.len() >= TRAILER_BYTES_MAX => {
                Err(BodyFault::TrailersTooLong { max: TRAILER_BYTES_MAX })
            }
            TrailersEnd::After(scanned) => {
                self.place = Place::Trailers { scanned };
                Ok(Decoded::NeedMore)
            }
        }
    }
}

/// A size with one more digit. A bound on the digits keeps it from overflowing, and a node from
/// sending zeros without end.
fn longer(size: u64, digits: u32, digit: u32) -> Result<Place, BodyFault> {
    if digits == SIZE_DIGITS_MAX {
        return Err(BodyFault::ChunkSizeTooLong { max: SIZE_DIGITS_MAX });
    }
    Ok(Place::Size { size: size << 4 | u64::from(digit), digits: digits + 1 })
}

enum TrailersEnd {
    /// The length of the section, its empty line included.
    At(usize),
    /// The section does not end within so many bytes, which are whole lines.
    After(usize),
}

/// Where the first empty line after `scanned` bytes ends.
fn end_of_trailers(section: &[u8], scanned: usize) -> Result<TrailersEnd, BodyFault> {
    let mut line = scanned;
    let rest = section.get(scanned..).unwrap_or_default();
    for line_end in memchr_iter(b'\n', rest) {
        let end = scanned + line_end;
        match &section[line..end] {
            b"\r" => return Ok(TrailersEnd::At(end + 1)),
            [.., b'\r'] => line = end + 1,
            _ => return Err(BodyFault::Trailer),
        }
    }
    Ok(TrailersEnd::After(line))
}

fn fields(section: &[u8]) -> Result<HeaderMap, BodyFault> {
    let mut lines = [EMPTY_HEADER; TRAILERS_MAX];
    let fields = match parse_headers(section, &mut lines) {
        Ok(Status::Complete((_, fields))) => fields,
        Err(httparse::Error::TooManyHeaders) => {
            return Err(BodyFault::TooManyTrailers { max: TRAILERS_MAX });
        }
        Ok(Status::Partial) | Err(_) => return Err(BodyFault::Trailer),
    };
    let mut trailers = HeaderMap::with_capacity(fields.len());
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes());
        let value = HeaderValue::from_bytes(field.value);
        let (Ok(name), Ok(value)) = (name, value) else { return Err(BodyFault::Trailer) };
        trailers.append(name, value);
    }
    Ok(trailers)
}

const NEXT_CHUNK: Place = Place::Size { size: 0, digits: 0 };

/// As many as 64 bits have.
const SIZE_DIGITS_MAX: u32 = 16;

/// As hyper's.
const EXTENSION_BYTES_MAX: usize = 16 * 1024;

/// As hyper's.
const TRAILER_BYTES_MAX: usize = 16 * 1024;

const TRAILERS_MAX: usize = 64;
