//! The head of a request, as bytes, and what frames its body.
//!
//! Pure. Runs for every request.

use std::fmt::Write;
use std::num::NonZeroUsize;

use bytes::BytesMut;
use http::header::{CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING};
use http::{Method, Uri};

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

/// Writes the head of a request, its empty line included, behind what is in `out`.
///
/// Of `target` path and query are written. `Host` comes first, as RFC 9110, section 7.2 wants it.
/// A Content-Length or a Transfer-Encoding in `headers` is left out: `framing` alone decides. A
/// method whose requests mostly have a body says that there is none (RFC 9110, section 8.6).
pub fn write_head(
    out: &mut BytesMut,
    method: &Method,
    target: &Uri,
    headers: &HeaderMap,
    framing: RequestFraming,
) {
    let target = target.path_and_query().map_or("/", |target| target.as_str());
    let fields: usize = headers.iter().map(|(name, value)| line_bytes(name, value)).sum();
    out.reserve(method.as_str().len() + target.len() + fields + LINES_BYTES_MAX);

    out.extend_from_slice(method.as_str().as_bytes());
    // An absolute target may have a query without a path.
    out.extend_from_slice(if target.starts_with(['/', '*']) { b" " } else { b" /" });
    out.extend_from_slice(target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    if let Some(host) = headers.get(HOST) {
        write_field(out, &HOST, host);
    }
    for (name, value) in headers {
        if !is_written_by_us(name) {
            write_field(out, name, value);
        }
    }
    write_framing(out, method, framing);
    out.extend_from_slice(b"\r\n");
}

/// Writes what comes before the `len` bytes of a chunk; [`CHUNK_END`] comes behind them. There is
/// no chunk without data: it would end the body.
pub fn write_chunk_head(out: &mut BytesMut, len: NonZeroUsize) {
    // A buffer takes all that memory holds.
    _ = write!(out, "{len:x}\r\n");
}

/// Comes behind the data of each chunk.
pub const CHUNK_END: &[u8] = b"\r\n";

/// The end of a body in chunks, without trailer fields. It comes behind the last [`CHUNK_END`].
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

fn line_bytes(name: &HeaderName, value: &HeaderValue) -> usize {
    name.as_str().len() + ": ".len() + value.len() + "\r\n".len()
}

fn is_written_by_us(name: &HeaderName) -> bool {
    *name == HOST || *name == CONTENT_LENGTH || *name == TRANSFER_ENCODING
}

fn write_field(out: &mut BytesMut, name: &HeaderName, value: &HeaderValue) {
    write_name(out, name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value.as_bytes());
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

/// All that is neither the method, nor the target, nor a field of the caller's.
const LINES_BYTES_MAX: usize =
    " / HTTP/1.1\r\n".len() + "Content-Length: 18446744073709551615\r\n".len() + "\r\n".len();
