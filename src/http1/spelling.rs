//! The usual spelling of field names. Names are case-insensitive (RFC 9110, section 5.1), but some
//! servers compare them as they are usually written.
//!
//! Pure. Runs for every request.

use bytes::BytesMut;
use http::HeaderName;

/// Appends `name` as its specification spells it, else with a capital after each hyphen.
pub(super) fn write_name(out: &mut BytesMut, name: &HeaderName) {
    let name = name.as_str();
    if let Some(special) = special_name(name) {
        out.extend_from_slice(special.as_bytes());
        return;
    }
    let start = out.len();
    out.extend_from_slice(name.as_bytes());
    let mut begins_word = true;
    for byte in out.get_mut(start..).unwrap_or_default() {
        if begins_word {
            byte.make_ascii_uppercase();
        }
        begins_word = *byte == b'-';
    }
}

/// The usual spelling of `name`, which is in lower case, if that has other capitals than the first
/// letter and those after hyphens.
pub(crate) fn special_name(name: &str) -> Option<&'static str> {
    // By length and last letter first, so that hardly any name is compared with another one.
    let candidates = SPECIAL_NAMES.get(name.len()).copied().unwrap_or_default();
    let last = name.as_bytes().last();
    let may_be =
        |special: &&str| special.as_bytes().last().map(u8::to_ascii_lowercase) == last.copied();
    candidates.iter().copied().filter(may_be).find(|special| special.eq_ignore_ascii_case(name))
}

/// All names of the kind, each at the place of its length.
pub(crate) const SPECIAL_NAMES: [&[&str]; 30] = [
    &[],
    &[],
    &["IM", "TE"],
    &["DNT", "DPR", "ECT", "NEL", "RTT", "TCN", "DAV"],
    &["A-IM", "ALPN", "DPoP", "ETag"],
    &[],
    &[],
    &["Sec-GPC"],
    &["CDN-Loop"],
    &["Accept-CH", "Expect-CT", "Sec-CH-UA", "SourceMap", "X-Real-IP"],
    &["SOAPAction", "DPoP-Nonce", "Sec-CH-DPR"],
    &["Content-MD5", "Critical-CH", "Content-DPR"],
    &["MIME-Version", "X-Request-ID", "Sec-CH-Width"],
    &["Last-Event-ID"],
    &["HTTP2-Settings", "Sec-CH-UA-Arch"],
    &["Sec-CH-UA-Model", "Sec-CH-UA-WoW64", "X-UA-Compatible"],
    &["WWW-Authenticate", "Sec-CH-UA-Mobile", "X-XSS-Protection"],
    &["Sec-WebSocket-Key", "Sec-CH-UA-Bitness", "CDN-Cache-Control"],
    &["Sec-CH-UA-Platform"],
    &[],
    &["Sec-WebSocket-Accept"],
    &["Sec-WebSocket-Version", "Sec-CH-Viewport-Width"],
    &[
        "Sec-WebSocket-Protocol",
        "Sec-CH-UA-Form-Factors",
        "Sec-CH-UA-Full-Version",
        "X-DNS-Prefetch-Control",
    ],
    &[],
    &["Sec-WebSocket-Extensions"],
    &[],
    &["Sec-CH-UA-Platform-Version"],
    &["Sec-CH-UA-Full-Version-List", "Sec-CH-Prefers-Color-Scheme"],
    &[],
    &["Sec-CH-Prefers-Reduced-Motion"],
];
