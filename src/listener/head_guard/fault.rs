//! The faults of a request's raw bytes.
//!
//! Pure. Runs for every request.

use http::StatusCode;

use super::{CHUNK_LINE_BYTES_MAX, TRAILER_BYTES_MAX};

/// Why a request is refused because of its raw bytes. `Display` is the sentence in the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// More than the one empty line before a request line that RFC 9112, section 2.2 allows.
    #[error("there is more than one empty line before the request line")]
    BlankLines,
    /// The head is longer than this many bytes, see [`HeadLimits`](super::HeadLimits).
    #[error("the head of the request is longer than {0} bytes")]
    HeadTooLarge(usize),
    /// The head has more field lines than this, see [`HeadLimits`](super::HeadLimits).
    #[error("the head of the request has more than {0} fields")]
    TooManyFields(usize),
    /// A line ends without CR. A recipient may accept that as a line end or not (RFC 9112,
    /// section 2.2), so two recipients may see different requests.
    #[error("a line ends in LF without CR")]
    BareLineFeed,
    /// A CR without LF (RFC 9112, section 2.2).
    #[error("there is a CR inside a line")]
    BareCarriageReturn,
    /// A NUL, where readers in C stop (RFC 9110, section 5.5).
    #[error("there is a NUL inside a line")]
    Nul,
    /// A request line that does not end in a supported version: HTTP/0.9 has none.
    #[error("the request line does not end in HTTP/1.1 or HTTP/1.0")]
    Version,
    /// A fragment is for clients only (RFC 3986, section 3.5), and servers treat it differently.
    #[error("there is a # in the target")]
    Fragment,
    /// A byte that a path cannot contain (RFC 3986, section 3.3). Routes match the path as it is.
    #[error("there is a \", < or > in the path, which must be percent-encoded")]
    PathByte,
    /// A line that begins with white space: `obs-fold`, or white space before the first field
    /// (RFC 9112, sections 2.2 and 5.2).
    #[error("a field line begins with white space")]
    FoldedLine,
    /// RFC 9112, section 5.1: such a request must be answered with 400.
    #[error("there is white space between a field name and its colon")]
    SpaceBeforeColon,
    /// A line in the head without a field name or without a colon.
    #[error("a field line has no name or no colon")]
    NoField,
    /// RFC 9112, section 3.2.
    #[error("the Host field is missing")]
    HostMissing,
    /// RFC 9112, section 3.2.
    #[error("there is more than one Host field")]
    HostRepeated,
    /// Several lengths, even if they are equal: RFC 9112, section 6.3 allows to refuse them.
    #[error("there is more than one Content-Length field")]
    LengthRepeated,
    /// Not `1*DIGIT` below 2^63: signed, listed, empty or too great.
    #[error("the value of Content-Length is not one decimal number")]
    LengthInvalid,
    /// Two framings: the classic case of request smuggling (RFC 9112, section 6.1).
    #[error("there are both Content-Length and Transfer-Encoding")]
    LengthAndCoding,
    /// Any Transfer-Encoding except one field with the value `chunked`, in any letter case.
    #[error("the only supported Transfer-Encoding is chunked")]
    Coding,
    /// RFC 9112, section 6.1: the framing is faulty.
    #[error("an HTTP/1.0 request cannot have Transfer-Encoding")]
    CodingInHttp10,
    /// A chunk that breaks RFC 9112, section 7.1.
    #[error("the framing of a chunk is broken")]
    Chunk,
    /// A chunk's size line is longer than [`CHUNK_LINE_BYTES_MAX`]: the limit that RFC 9112,
    /// section 7.1.1 demands for chunk extensions.
    #[error("the size line of a chunk is longer than {CHUNK_LINE_BYTES_MAX} bytes")]
    ChunkLineTooLong,
    /// The trailers are longer than [`TRAILER_BYTES_MAX`].
    #[error("the trailer section is longer than {TRAILER_BYTES_MAX} bytes")]
    TrailersTooLarge,
}

impl Fault {
    /// The status of the answer: 431 for a head that is too large, otherwise 400.
    pub fn status(self) -> StatusCode {
        match self {
            Self::HeadTooLarge(_) | Self::TooManyFields(_) | Self::TrailersTooLarge => {
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            }
            Self::BlankLines
            | Self::BareLineFeed
            | Self::BareCarriageReturn
            | Self::Nul
            | Self::Version
            | Self::Fragment
            | Self::PathByte
            | Self::FoldedLine
            | Self::SpaceBeforeColon
            | Self::NoField
            | Self::HostMissing
            | Self::HostRepeated
            | Self::LengthRepeated
            | Self::LengthInvalid
            | Self::LengthAndCoding
            | Self::Coding
            | Self::CodingInHttp10
            | Self::Chunk
            | Self::ChunkLineTooLong => StatusCode::BAD_REQUEST,
        }
    }
}
