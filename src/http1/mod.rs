//! HTTP/1.1 between a proxy and a node: requests are written as bytes, answers are parsed from them.
//!
//! There is no I/O and no clock: a connection reads into a buffer and parses what the buffer holds.
//!
//! ```text
//! write_head(&mut out, …);                    // then the body, in chunks if it is Chunked
//! let head = loop {
//!     match parser.parse(&mut buffer, &method)? {
//!         Parsed::NeedMore => read more into the buffer,
//!         Parsed::Interim(_) => (),
//!         Parsed::Head(head) => break head,
//!     }
//! };
//! let mut body = BodyDecoder::new(head.framing);
//! match body.decode(&mut buffer)? { … }       // until Decoded::End
//! ```
//!
//! An answer whose framing is ambiguous is refused or reduced to one framing (RFC 9112, section 6.3),
//! so that no client finds a second answer in what we pass on.
//!
//! Pure. Runs for every byte.

mod body;
mod chunked;
mod cookies;
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
pub(crate) use cookies::cookie_values;
pub use fault::{BodyFault, Coding, HeadFault};
pub use framing::BodyFraming;
pub use persistence::Persistence;
pub use request::{CHUNK_END, LAST_CHUNK, RequestFraming, write_chunk_head, write_head};
pub use response::{Head, HeadLimits, HeadParser, Parsed};
pub(crate) use spelling::{SPECIAL_NAMES, special_name};
