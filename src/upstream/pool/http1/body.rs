//! The body of an answer, out of the bytes that came so far.
//!
//! Data is given out as soon as it is there, also in the middle of a chunk, and is never copied.
//!
//! Pure. Runs for every byte.

use bytes::{Bytes, BytesMut};
use http::HeaderMap;

use super::chunked::Chunks;
use super::fault::BodyFault;
use super::framing::BodyFraming;

/// Takes the body of one answer out of a buffer.
#[derive(Debug)]
pub struct BodyDecoder {
    state: State,
}

/// What the buffer begins with.
#[derive(Debug, PartialEq, Eq)]
pub enum Decoded {
    /// All that was there is taken out, except for unfinished trailer fields: of these up to 16 KiB
    /// stay in the buffer.
    NeedMore,
    /// A part of the body, never an empty one.
    Data(Bytes),
    /// The end, and the trailer fields, if there are any. What is left in the buffer is not of this
    /// answer.
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
    /// For the body behind a head.
    pub fn new(framing: BodyFraming) -> Self {
        let state = match framing {
            BodyFraming::None | BodyFraming::Length(0) => State::End,
            BodyFraming::Length(expected) => State::Length { received: 0, expected },
            BodyFraming::Chunked => State::Chunked(Chunks::new()),
            BodyFraming::UntilClose => State::UntilClose,
        };
        Self { state }
    }

    /// Takes the next part out of `buffer`. After the end it is [`Decoded::End`] without trailer
    /// fields, and the buffer is left alone.
    ///
    /// # Errors
    ///
    /// The chunks are broken, or too long in what is not data. Not to be called again then.
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

    /// Whether a body may end where the node closed the connection, all that came before being
    /// decoded.
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

    /// How many bytes of data are still to come, where that is known: of a Content-Length, and at
    /// the end.
    pub fn remaining(&self) -> Option<u64> {
        match self.state {
            State::End => Some(0),
            State::Length { received, expected } => Some(expected - received),
            State::Chunked(_) | State::UntilClose => None,
        }
    }

    /// Whether nothing is to come. With a Content-Length that is known together with the last data;
    /// of chunks only once [`Decoded::End`] was given.
    pub fn is_end(&self) -> bool {
        matches!(self.state, State::End)
    }
}

/// The next bytes of `buffer`, at most `bytes_max`.
pub(super) fn take(buffer: &mut BytesMut, bytes_max: u64) -> Bytes {
    let bytes = usize::try_from(bytes_max).map_or(buffer.len(), |max| max.min(buffer.len()));
    buffer.split_to(bytes).freeze()
}
