//! Where the body of an answer ends (RFC 9112, section 6.3).
//!
//! The fields that remain have one meaning: no Transfer-Encoding, and at most one Content-Length,
//! which has digits only.
//!
//! Pure. Runs for every request.

use http::header::{CONTENT_LENGTH, HeaderMap, HeaderValue, TRANSFER_ENCODING};
use http::{Method, StatusCode, Version};

use super::fault::{Coding, HeadFault};
use super::fields::members;

/// How the end of an answer's body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFraming {
    /// There is none, whatever the fields say: an answer to HEAD, or 101, 204, 304.
    None,
    /// So many bytes.
    Length(u64),
    /// By the last chunk.
    Chunked,
    /// All until the node closes the connection.
    UntilClose,
}

/// Takes what frames the body out of `headers`; a Content-Length stays, in its canonical form.
///
/// A Content-Length next to a Transfer-Encoding is removed, as RFC 9112 requires of a proxy.
/// `identity` alone or before `chunked` means nothing; HTTP/1.1 had it until 2014.
///
/// # Errors
///
/// The fields contradict each other or say what cannot be passed on.
pub(super) fn frame(
    status: StatusCode,
    version: Version,
    request_method: &Method,
    headers: &mut HeaderMap,
) -> Result<BodyFraming, HeadFault> {
    if matches!(status, StatusCode::SWITCHING_PROTOCOLS | StatusCode::NO_CONTENT) {
        // Neither field may be there (RFC 9110, section 8.6; RFC 9112, section 6.1).
        headers.remove(TRANSFER_ENCODING);
        headers.remove(CONTENT_LENGTH);
        return Ok(BodyFraming::None);
    }
    let has_no_body = status == StatusCode::NOT_MODIFIED || request_method == Method::HEAD;
    let framing = match headers.contains_key(TRANSFER_ENCODING) {
        true if has_no_body => BodyFraming::None,
        true => by_coding(version, headers)?,
        false => return by_length(has_no_body, headers),
    };
    headers.remove(TRANSFER_ENCODING);
    headers.remove(CONTENT_LENGTH);
    Ok(framing)
}

fn by_coding(version: Version, headers: &HeaderMap) -> Result<BodyFraming, HeadFault> {
    if version == Version::HTTP_10 {
        return Err(HeadFault::TransferEncodingInHttp10);
    }
    let mut framing = BodyFraming::UntilClose;
    for coding in members(headers, &TRANSFER_ENCODING).filter(|coding| !coding.is_empty()) {
        match framing {
            BodyFraming::UntilClose if coding.eq_ignore_ascii_case(b"identity") => (),
            BodyFraming::UntilClose if coding.eq_ignore_ascii_case(b"chunked") => {
                framing = BodyFraming::Chunked;
            }
            // Chunks inside chunks too, and any coding around chunks.
            BodyFraming::None
            | BodyFraming::Length(_)
            | BodyFraming::Chunked
            | BodyFraming::UntilClose => {
                return Err(HeadFault::TransferCoding(Coding::new(coding)));
            }
        }
    }
    Ok(framing)
}

fn by_length(has_no_body: bool, headers: &mut HeaderMap) -> Result<BodyFraming, HeadFault> {
    let Some(length) = canonical_length(headers)? else {
        return Ok(if has_no_body { BodyFraming::None } else { BodyFraming::UntilClose });
    };
    Ok(if has_no_body { BodyFraming::None } else { BodyFraming::Length(length) })
}

/// The Content-Length, of which one field remains. Equal ones are one (RFC 9112, section 6.3).
fn canonical_length(headers: &mut HeaderMap) -> Result<Option<u64>, HeadFault> {
    let mut length = None;
    let mut is_canonical = true;
    for member in members(headers, &CONTENT_LENGTH) {
        let bytes = number(member).ok_or(HeadFault::LengthMalformed)?;
        match length {
            None => is_canonical = member.len() == 1 || !member.starts_with(b"0"),
            Some(before) if before == bytes => is_canonical = false,
            Some(_) => return Err(HeadFault::LengthsDiffer),
        }
        length = Some(bytes);
    }
    if let Some(length) = length.filter(|_| !is_canonical) {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    Ok(length)
}

/// Digits only: `u64::from_str` would take a sign.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| match digit {
        b'0'..=b'9' => number.checked_mul(10)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    })
}
