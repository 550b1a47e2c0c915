//! Which part of a file a client asks for by `Range` (RFC 9110, section 14).
//!
//! Pure. Runs for every request.

use http::HeaderMap;
use http::header::RANGE;

/// What of a file is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it.
    Whole,
    /// The bytes from the first to the last, both included.
    Bytes(u64, u64),
    /// Nothing: the file has no such bytes.
    Nothing,
}

/// What a GET with these fields asks for of a file that has `length` bytes.
///
/// Fields that name not one range of bytes are ignored (RFC 9110, section 14.2), and so are all for an empty
/// file: some clients ask for a range of everything.
pub(super) fn part(headers: &HeaderMap, length: u64) -> Part {
    let mut fields = headers.get_all(RANGE).into_iter();
    let (Some(field), None, Some(last_byte)) =
        (fields.next(), fields.next(), length.checked_sub(1))
    else {
        return Part::Whole;
    };
    let Some((first, last)) = field.to_str().ok().and_then(range) else { return Part::Whole };
    match (first, last) {
        (Some(first), Some(last)) if last < first => Part::Whole,
        (Some(first), _) if first > last_byte => Part::Nothing,
        (Some(first), last) => Part::Bytes(first, last.unwrap_or(last_byte).min(last_byte)),
        (None, Some(0)) => Part::Nothing,
        // More than there is means all of it.
        (None, Some(count)) => Part::Bytes(length.saturating_sub(count), last_byte),
        (None, None) => Part::Whole,
    }
}

/// The two numbers around the hyphen, as far as they are written.
fn range(field: &str) -> Option<(Option<u64>, Option<u64>)> {
    let (unit, range) = field.split_once('=')?;
    let (first, last) = range.trim().split_once('-')?;
    unit.trim().eq_ignore_ascii_case("bytes").then_some((number(first)?, number(last)?))
}

/// `Some(None)` if `text` is empty. What is larger than any file is the largest number.
fn number(text: &str) -> Option<Option<u64>> {
    let text = text.trim();
    match text.is_empty() {
        true => Some(None),
        false if text.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(Some(text.parse().unwrap_or(u64::MAX)))
        }
        false => None,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn one_range_of_bytes_is_sent_and_every_other_field_is_ignored() {
        let check = |field: &'static str, length: u64, expected: Part| {
            let headers = HeaderMap::from_iter([(RANGE, HeaderValue::from_static(field))]);
            assert_eq!(part(&headers, length), expected, "{field} of {length}");
        };
        check("bytes=0-4", 10, Part::Bytes(0, 4));
        check("Bytes= 5- ", 10, Part::Bytes(5, 9));
        check("bytes=9-9", 10, Part::Bytes(9, 9));
        check("bytes=2-99999999999999999999", 10, Part::Bytes(2, 9));
        check("bytes=-7", 10, Part::Bytes(3, 9));
        check("bytes=-10", 10, Part::Bytes(0, 9));
        check("bytes=-1000", 10, Part::Bytes(0, 9));
        check("bytes=10-", 10, Part::Nothing);
        check("bytes=99999999999999999999-", 10, Part::Nothing);
        check("bytes=-0", 10, Part::Nothing);
        for ignored in
            ["bytes=-", "bytes=a-b", "bytes=4-2", "bytes=0-1,3-4", "items=0-4", "bytes", ""]
        {
            check(ignored, 10, Part::Whole);
        }
        for all_of_nothing in ["bytes=0-", "bytes=-1", "bytes=0-0"] {
            check(all_of_nothing, 0, Part::Whole);
        }
    }

    #[test]
    fn two_fields_are_ignored_as_two_ranges_are() {
        let one = (RANGE, HeaderValue::from_static("bytes=0-1"));
        let mut headers = HeaderMap::from_iter([one.clone()]);
        headers.append(one.0, one.1);
        assert_eq!(part(&headers, 10), Part::Whole);
        assert_eq!(part(&HeaderMap::new(), 10), Part::Whole);
    }
}
