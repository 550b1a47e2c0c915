//! What reads the bytes of a client, as our own fuzz targets see it, through `crate::internal`. Not a
//! public interface.
//!
//! Runs for every byte.

use http::request::Parts;

use super::frame_guard::FrameGuard;
use super::request;
use crate::Instant;
use crate::listener::head_guard::HeadLimits;

/// What the frame guard makes of a connection that arrives in these `reads`: how many frames have begun,
/// what the last byte has left open, and why the client is refused.
pub fn follow_frames(reads: &[&[u8]]) -> (u32, String, Option<String>) {
    let now = Instant::now();
    let (mut guard, mut frames, mut flood) = (FrameGuard::new(now), 0, None);
    for read in reads {
        match guard.follow(read, || now) {
            Ok(begun) => frames += begun,
            Err(found) => {
                flood = Some(found.to_string());
                break;
            }
        }
    }
    // Where a refused frame is in a read decides how many before it are counted.
    let frames = if flood.is_some() { 0 } else { frames };
    (frames, format!("{:?}", guard.stage()), flood)
}

/// Checks a head and gives it the form for the service. The error is the sentence of the refusal.
///
/// # Errors
///
/// The request is refused.
pub fn prepare(head: &mut Parts, is_ended: bool) -> Result<(), String> {
    request::prepare(head, is_ended, HeadLimits::default()).map_err(|fault| fault.to_string())
}
