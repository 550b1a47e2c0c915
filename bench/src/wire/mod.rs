//! HTTP and WebSocket as far as loads and nodes speak them.

mod frame;
mod http;

use std::io;

pub(crate) use frame::{Frame, FrameReader, Mask, Opcode, put_frame};
pub(crate) use http::{Head, read_body, read_head};

/// The stream does not say what was agreed.
pub(crate) fn invalid(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}
