//! What fuzz targets share. Each file in `bin/` is a target, and what it asserts must hold for all
//! bytes that a stranger may send.

/// `bytes` as reads may bring them: cut at places that are made of the bytes themselves, so that a
/// case is one file and always the same.
pub fn pieces(bytes: &[u8]) -> Vec<&[u8]> {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in bytes {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    let mut pieces = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        hash ^= hash << 13;
        hash ^= hash >> 7;
        hash ^= hash << 17;
        // Short ones mostly: what is cut inside a head matters, not inside a payload.
        let longest = if hash & 0x700 == 0 { 4096 } else { 8 };
        let length = 1 + (hash >> 32) as usize % longest;
        let (piece, behind) = rest.split_at(length.min(rest.len()));
        pieces.push(piece);
        rest = behind;
    }
    pieces
}

/// `bytes`, each on its own.
pub fn single_bytes(bytes: &[u8]) -> Vec<&[u8]> {
    bytes.chunks(1).collect()
}
