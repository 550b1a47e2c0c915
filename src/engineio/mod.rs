//! What we know of Engine.IO, and no more.
//!
//! Bytes only: this room reads queries and heads of bodies and writes them anew; who sends them
//! where is the business of others.
//!
//! Pure. Runs for every request.

mod call;
mod open;
pub(crate) mod query;
mod refusal;
mod session_bounds;
mod sid;
mod timings;

pub(crate) use call::put_with_sid;
pub use call::{Call, CallError, Transport, Version, with_sid};
pub use open::{Form, OpenPacket, Scan};
pub use refusal::{REFUSAL_BYTES_MAX, is_unknown_sid};
pub use session_bounds::SessionBounds;
pub use sid::Sid;
pub use timings::Timings;
