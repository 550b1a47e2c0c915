//! Everything that Sockeye knows of Engine.IO.
//!
//! Bytes only: this room parses and rewrites queries and beginnings of bodies; other rooms send
//! them.
//!
//! Pure. Runs for every request.

mod call;
mod open;
pub(crate) mod query;
mod refusal;
mod session_bounds;
mod sid;
mod timings;

pub(crate) use call::CallError;
pub(crate) use call::put_with_sid;
pub use call::{Call, Transport, with_sid};
pub(crate) use open::Form;
pub use open::{OpenPacket, Scan};
pub(crate) use refusal::{REFUSAL_BYTES_MAX, is_unknown_sid};
pub use session_bounds::SessionBounds;
pub use sid::Sid;
pub(crate) use timings::Timings;
