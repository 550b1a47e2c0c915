//! HTTP/1.1 as a proxy speaks it to a node: requests become bytes, bytes become answers.
//!
//! There is no I/O here and no time: a connection reads into a buffer and asks what is in it.
//!
//! ```text
//! write_head(&mut out, …);                    // then the body, in chunks if it is Chunked
//! let head = loop {
//!     match parser.parse(&mut buffer, &method)? {
//!         Parsed::NeedMore => read more,
//!         Parsed::Interim(_) => (),
//!         Parsed::Head(head) => break head,
//!     }
//! };
//! let mut body = BodyDecoder::new(head.framing);
//! match body.decode(&mut buffer)? { … }       // until Decoded::End
//! ```
//!
//! An answer is taken in the one way in which RFC 9112 lets it be read, or refused: what is passed
//! on has one framing only, so that no other reader finds a second answer in it.
//!
//! Pure. Runs for every byte.

mod body;
mod chunked;
mod fault;
mod fields;
mod framing;
mod persistence;
mod request;
mod response;
mod spelling;
#[cfg(test)]
mod tests;

pub use body::{BodyDecoder, Decoded};
pub use fault::{BodyFault, Coding, HeadFault};
pub use framing::BodyFraming;
pub use persistence::Persistence;
pub use request::{CHUNK_END, LAST_CHUNK, RequestFraming, write_chunk_head, write_head};
pub use response::{Head, HeadLimits, HeadParser, Parsed};
