//! Decodes the body of an answer from the bytes that have arrived.
//!
//! Data is returned as soon as it arrives, also in the middle of a chunk, and is never copied.
//!
//! Pure. Runs for every byte.

use bytes::{Bytes, BytesMut};
use http::HeaderMap;

use super::chunked::Chunks;
use super::fault::BodyFault;
use super::framing::BodyFraming;

/// Decodes the body of one answer.
#[derive(Debug)]
pub struct BodyDecoder {
    state: State,
}

/// What the buffer begins with.
#[derive(Debug, PartialEq, Eq)]
pub enum Decoded {
    /// The buffer is empty now, except for incomplete trailer fields: up to 16 KiB of these stay in
    /// it.
    NeedMore,
    /// A part of the body, never empty.
    Data(Bytes),
    /// The end, with the trailer fields if there are any. What is left in the buffer does not belong
    /// to this answer.
    End(Option<HeaderMap>),
}

#[derive(Debug)]
enum State {
    Length { received: u64, expected: u64 },
    Chunked(Chunks),
    UntilClose,
    End,
}

impl BodyDecoder {
    /// A decoder for the body that follows a head.
    pub fn new(framing: BodyFraming) -> Self {
        let state = match framing {
            BodyFraming::None | BodyFraming::Length(0) => State::End,
            BodyFraming::Length(expected) => State::Length { received: 0, expected },
            BodyFraming::Chunked => State::Chunked(Chunks::new()),
            BodyFraming::UntilClose => State::UntilClose,
        };
        Self { state }
    }

    /// Takes the next part out of `buffer`. After the end it returns [`Decoded::End`] without
    /// trailer fields and does not touch the buffer.
    ///
    /// # Errors
    ///
    /// The chunks are malformed, or have too much in them that is not data. Do not call it again
    /// after an error.
    pub fn decode(&mut self, buffer: &mut BytesMut) -> Result<Decoded, BodyFault> {
        let decoded = match &mut self.state {
            State::End => return Ok(Decoded::End(None)),
            State::Length { .. } | State::UntilClose if buffer.is_empty() => Decoded::NeedMore,
            State::UntilClose => Decoded::Data(buffer.split().freeze()),
            State::Length { received, expected } => {
                let data = take(buffer, *expected - *received);
                *received += data.len() as u64;
                if received == expected {
                    self.state = State::End;
                }
                Decoded::Data(data)
            }
            State::Chunked(chunks) => chunks.decode(buffer)?,
        };
        if matches!(decoded, Decoded::End(_)) {
            self.state = State::End;
        }
        Ok(decoded)
    }

    /// Whether the body may end here, where the node has closed the connection. Everything that
    /// arrived must have been decoded.
    ///
    /// # Errors
    ///
    /// A part is missing.
    pub fn at_eof(&self) -> Result<(), BodyFault> {
        match self.state {
            State::End | State::UntilClose => Ok(()),
            State::Length { received, expected } => {
                Err(BodyFault::EndedEarly { received, expected })
            }
            State::Chunked(_) => Err(BodyFault::EndedInChunks),
        }
    }

    /// The number of bytes of data that are still missing, if it is known: with a Content-Length,
    /// and at the end.
    pub fn remaining(&self) -> Option<u64> {
        match self.state {
            State::End => Some(0),
            State::Length { received, expected } => Some(expected - received),
            State::Chunked(_) | State::UntilClose => None,
        }
    }

    /// Whether the body is complete. With a Content-Length this is true as soon as the last data was
    /// returned, with chunks when [`Decoded::End`] was.
    pub fn is_end(&self) -> bool {
        matches!(self.state, State::End)
    }
}

/// The next bytes of `buffer`, at most `bytes_max`.
pub(super) fn take(buffer: &mut BytesMut, bytes_max: u64) -> Bytes {
    let bytes = usize::try_from(bytes_max).map_or(buffer.len(), |max| max.min(buffer.len()));
    buffer.split_to(bytes).freeze()
}
