//! Which Pongs answer Pings of ours (RFC 6455, section 5.5.3).
//!
//! Pure. Runs for every byte.

use super::head::Head;

/// What our Pings through one tunnel carry.
pub(in crate::tunnel) type PingPayload = [u8; 8];

/// How long a Pong is that carries `own`, the payload of our Pings: `Some(None)` if it carries
/// something else, `None` if that cannot be told yet.
pub(super) fn own_pong(own: PingPayload, head: &Head, chunk: &[u8]) -> Option<Option<usize>> {
    if own.len() as u64 != head.payload_bytes {
        return Some(None);
    }
    let length = head.head_bytes + own.len();
    let payload = chunk.get(head.head_bytes..length)?;
    let mask = head.mask.unwrap_or_default();
    let unmasked = payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key);
    Some(unmasked.eq(own).then_some(length))
}
