//! What can be wrong with the answer of a node.
//!
//! Pure. Runs for every request.

use std::fmt;

/// Why the head of an answer cannot be passed on. The connection must be closed: what follows on it
/// cannot be trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadFault {
    /// Another version, or another protocol.
    #[error("the response does not begin with HTTP/1.1 or HTTP/1.0")]
    Version,
    /// The line has no code of three digits, or a control character in its reason.
    #[error("the response's status line is malformed")]
    StatusLine,
    /// A code that no class of RFC 9110, section 15 covers.
    #[error("the response's status code is {0}, codes begin with 100")]
    StatusCode(u16),
    /// A name that is empty, has no colon after it, or has a character that names cannot have.
    #[error("a field of the response has a malformed name")]
    FieldName,
    /// NUL or another control character, or a CR without its LF.
    #[error("a field of the response has a control character in its value")]
    FieldValue,
    /// A CR without its LF, or a LF without its CR.
    #[error("a line of the response's head does not end in CRLF")]
    LineEnd,
    /// See [`HeadLimits::fields_max`](super::HeadLimits::fields_max).
    #[error("the response has more than {max} fields")]
    TooManyFields {
        /// The limit.
        max: usize,
    },
    /// See [`HeadLimits::bytes_max`](super::HeadLimits::bytes_max).
    #[error("the response's head is longer than {max} bytes")]
    TooLong {
        /// The limit.
        max: usize,
    },
    /// Too many interim answers (1xx) without a final one.
    #[error("more than {max} interim responses came before the final one")]
    TooManyInterim {
        /// The limit.
        max: u32,
    },
    /// RFC 9112, section 6.3, rule 5.
    #[error("the response's Content-Length fields differ")]
    LengthsDiffer,
    /// RFC 9112, section 6.3, rule 5.
    #[error("the response's Content-Length is not a number of bytes")]
    LengthMalformed,
    /// The coding belongs to one connection (RFC 9112, section 7), and we do not decode it.
    #[error("the response has the transfer coding `{0}`, only chunked can be passed on")]
    TransferCoding(Coding),
    /// RFC 9112, section 6.1: the framing of such an answer is faulty.
    #[error("the response is HTTP/1.0 and has a Transfer-Encoding")]
    TransferEncodingInHttp10,
}

/// The name of a transfer coding, as far as it can be shown: its first bytes, escaped.
#[derive(Clone, PartialEq, Eq)]
pub struct Coding(Box<[u8]>);

impl Coding {
    pub(super) fn new(name: &[u8]) -> Self {
        Self(name.iter().copied().take(SHOWN_BYTES_MAX).collect())
    }
}

impl fmt::Display for Coding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.escape_ascii().fmt(f)
    }
}

impl fmt::Debug for Coding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// Why the rest of a body cannot be decoded. The connection must be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyFault {
    /// The node closed the connection too early.
    #[error("the response's body ended early: {received} of {expected} bytes")]
    EndedEarly {
        /// Bytes of the body that arrived.
        received: u64,
        /// The answer's Content-Length.
        expected: u64,
    },
    /// The node closed the connection too early.
    #[error("the response's body ended before its last chunk")]
    EndedInChunks,
    /// The line before a chunk does not begin with hexadecimal digits, or neither an extension nor
    /// CRLF follows them.
    #[error("a chunk of the response has a malformed size")]
    ChunkSize,
    /// More digits than 64 bits need.
    #[error("a chunk of the response has a size of more than {max} digits")]
    ChunkSizeTooLong {
        /// The limit.
        max: u32,
    },
    /// A chunk is longer than its size says, or the next begins on the same line.
    #[error("a chunk of the response does not end in CRLF")]
    ChunkEnd,
    /// All chunks of the body together.
    #[error("the chunk extensions of the response are longer than {max} bytes")]
    ExtensionsTooLong {
        /// The limit.
        max: usize,
    },
    /// A field after the last chunk.
    #[error("a trailer field of the response is malformed")]
    Trailer,
    /// All trailer fields together.
    #[error("the response's trailer fields are longer than {max} bytes")]
    TrailersTooLong {
        /// The limit.
        max: usize,
    },
    /// Too many fields after the last chunk.
    #[error("the response has more than {max} trailer fields")]
    TooManyTrailers {
        /// The limit.
        max: usize,
    },
}

/// Longer than any registered name.
const SHOWN_BYTES_MAX: usize = 64;
