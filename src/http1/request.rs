//! Writes the head of a request, and the frames of a body in chunks.
//!
//! Pure. Runs for every request.

use std::fmt::Write;
use std::num::NonZeroUsize;

use bytes::BytesMut;
use http::Method;
use http::header::{CONTENT_LENGTH, HeaderName, TRANSFER_ENCODING};

use super::spelling::write_name;

/// How the node finds the end of a request's body (RFC 9112, section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestFraming {
    /// There is none.
    None,
    /// So many bytes.
    Length(u64),
    /// By the last chunk.
    Chunked,
}

/// Appends the head of a request to `out`, its empty line included.
///
/// `target` is in origin form, and no byte of `fields` ends a line. A Content-Length or Transfer-Encoding
/// among them is ignored: `framing` alone decides. POST, PUT and PATCH without a body
/// get a Content-Length of 0 (RFC 9110, section 8.6).
pub fn write_head<'a>(
    out: &mut BytesMut,
    method: &Method,
    target: &str,
    fields: impl Iterator<Item = (&'a HeaderName, &'a [u8])>,
    framing: RequestFraming,
) {
    out.reserve(target.len() + FIELDS_BYTES_USUAL);
    out.extend_from_slice(method.as_str().as_bytes());
    // An absolute target may have a query without a path.
    out.extend_from_slice(if target.starts_with(['/', '*']) { b" " } else { b" /" });
    out.extend_from_slice(target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    for (name, value) in fields {
        if !is_written_by_us(name) {
            write_field(out, name, value);
        }
    }
    write_framing(out, method, framing);
    out.extend_from_slice(b"\r\n");
}

/// Appends what precedes the `len` bytes of a chunk; [`CHUNK_END`] follows them. A chunk of no bytes
/// would end the body.
pub fn write_chunk_head(out: &mut BytesMut, len: NonZeroUsize) {
    // Writing to a buffer in memory cannot fail.
    _ = write!(out, "{len:x}\r\n");
}

/// Follows the data of each chunk.
pub const CHUNK_END: &[u8] = b"\r\n";

/// Ends a body in chunks, without trailer fields.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

fn is_written_by_us(name: &HeaderName) -> bool {
    *name == CONTENT_LENGTH || *name == TRANSFER_ENCODING
}

fn write_field(out: &mut BytesMut, name: &HeaderName, value: &[u8]) {
    write_name(out, name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

fn write_framing(out: &mut BytesMut, method: &Method, framing: RequestFraming) {
    match framing {
        RequestFraming::None if !expects_body(method) => (),
        RequestFraming::None => out.extend_from_slice(b"Content-Length: 0\r\n"),
        RequestFraming::Length(bytes) => _ = write!(out, "Content-Length: {bytes}\r\n"),
        RequestFraming::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
    }
}

fn expects_body(method: &Method) -> bool {
    *method == Method::POST || *method == Method::PUT || *method == Method::PATCH
}

/// The head of a request of a browser fits, if it has no large cookies.
const FIELDS_BYTES_USUAL: usize = 1024;
