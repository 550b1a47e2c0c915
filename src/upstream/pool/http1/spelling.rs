//! The usual spelling of field names. Names are case-insensitive (RFC 9110, section 5.1), but some
//! servers compare them as they are usually written.
//!
//! Pure. Runs for every request.

use bytes::BytesMut;
use http::HeaderName;

/// Appends `name` as its specification spells it, else with a capital after each hyphen.
pub(super) fn write_name(out: &mut BytesMut, name: &HeaderName) {
    let name = name.as_str();
    if let Some(special) = special(name) {
        out.extend_from_slice(special.as_bytes());
        return;
    }
    let start = out.len();
    out.extend_from_slice(name.as_bytes());
    let mut begins_word = true;
    for byte in out.iter_mut().skip(start) {
        if begins_word {
            byte.make_ascii_uppercase();
        }
        begins_word = *byte == b'-';
    }
}

/// Names that have other capitals than the first letter and those after hyphens.
fn special(name: &str) -> Option<&'static str> {
    // By length first, so that a name is compared with a few others at most.
    let candidates: &[&str] = match name.len() {
        2 => &["IM", "TE"],
        3 => &["DNT", "DPR", "ECT", "NEL", "RTT", "TCN", "DAV"],
        4 => &["A-IM", "ALPN", "DPoP", "ETag"],
        7 => &["Sec-GPC"],
        8 => &["CDN-Loop"],
        9 => &["Accept-CH", "Expect-CT", "Sec-CH-UA", "SourceMap", "X-Real-IP"],
        10 => &["SOAPAction", "DPoP-Nonce", "Sec-CH-DPR"],
        11 => &["Content-MD5", "Critical-CH", "Content-DPR"],
        12 => &["MIME-Version", "X-Request-ID", "Sec-CH-Width"],
        13 => &["Last-Event-ID"],
        14 => &["HTTP2-Settings", "Sec-CH-UA-Arch"],
        15 => &["Sec-CH-UA-Model", "Sec-CH-UA-WoW64", "X-UA-Compatible"],
        16 => &["WWW-Authenticate", "Sec-CH-UA-Mobile", "X-XSS-Protection"],
        17 => &["Sec-WebSocket-Key", "Sec-CH-UA-Bitness", "CDN-Cache-Control"],
        18 => &["Sec-CH-UA-Platform"],
        20 => &["Sec-WebSocket-Accept"],
        21 => &["Sec-WebSocket-Version", "Sec-CH-Viewport-Width"],
        22 => &[
            "Sec-WebSocket-Protocol",
            "Sec-CH-UA-Form-Factors",
            "Sec-CH-UA-Full-Version",
            "X-DNS-Prefetch-Control",
        ],
        24 => &["Sec-WebSocket-Extensions"],
        26 => &["Sec-CH-UA-Platform-Version"],
        27 => &["Sec-CH-UA-Full-Version-List", "Sec-CH-Prefers-Color-Scheme"],
        29 => &["Sec-CH-Prefers-Reduced-Motion"],
        _ => &[],
    };
    candidates.iter().copied().find(|candidate| candidate.eq_ignore_ascii_case(name))
}
