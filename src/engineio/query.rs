//! The query of a request target, read as Node's `querystring` reads it.
//!
//! Keys and values stay encoded; [`Encoded`] compares what they decode to, without a copy. A `+`
//! is a space, and a `%` before anything but two hexadecimal digits is itself.
//!
//! Pure. Runs for every request.

use std::fmt::Write as _;

/// The parameters of `query`, in order.
pub(crate) fn pairs(query: &str) -> impl Iterator<Item = Pair<'_>> {
    pieces(query).filter(|piece| !piece.is_empty()).map(Pair::parse)
}

/// The first value of the parameter `name`, decoded.
pub(crate) fn value_of(query: &str, name: &str) -> Option<Vec<u8>> {
    let pair = pairs(query).find(|pair| pair.key.means(name))?;
    Some(pair.value.bytes().collect())
}

/// Appends `query` with the value of each parameter `name` replaced by `value`, which is encoded
/// where needed; everything else byte for byte.
pub(crate) fn put_with_value(written: &mut String, query: &str, name: &str, value: &str) {
    written.reserve(query.len() + value.len());
    for (index, piece) in pieces(query).enumerate() {
        if index > 0 {
            written.push('&');
        }
        // Nearly always the first byte shows that it is another one.
        let first = piece.as_bytes().first();
        let may_be = matches!(first, Some(b'%' | b'+')) || first == name.as_bytes().first();
        match may_be.then(|| Pair::parse(piece).key).filter(|key| key.means(name)) {
            Some(key) => {
                written.push_str(key.0);
                written.push('=');
                encode(value, written);
            }
            None => written.push_str(piece),
        }
    }
}

/// The pieces between the `&` of `query`: at least one, which may be empty.
fn pieces(query: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(query);
    std::iter::from_fn(move || {
        let (piece, behind) = match cut(rest?, b'&') {
            Some((piece, behind)) => (piece, Some(behind)),
            None => (rest?, None),
        };
        rest = behind;
        Some(piece)
    })
}

/// The text before and after the first `byte`, which is ASCII.
fn cut(text: &str, byte: u8) -> Option<(&str, &str)> {
    let at = memchr::memchr(byte, text.as_bytes())?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

/// One `key=value`; without `=` the value is empty.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair<'a> {
    pub(crate) key: Encoded<'a>,
    pub(crate) value: Encoded<'a>,
}

impl<'a> Pair<'a> {
    fn parse(piece: &'a str) -> Self {
        let (key, value) = cut(piece, b'=').unwrap_or((piece, ""));
        Self { key: Encoded(key), value: Encoded(value) }
    }
}

/// Encoded text of a query. Equal if it decodes to the same.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Encoded<'a>(&'a str);

impl<'a> Encoded<'a> {
    /// Whether it decodes to `text`.
    pub(crate) fn means(self, text: &str) -> bool {
        match (self.0.as_bytes().first(), text.as_bytes().first()) {
            (Some(b'%' | b'+'), _) => self.bytes().eq(text.bytes()),
            // Nearly always the first bytes differ, or nothing is encoded.
            (own, other) if own != other => false,
            _ => self.0 == text || self.bytes().eq(text.bytes()),
        }
    }

    /// Whether it is empty.
    pub(crate) fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// The decoded text, if nothing in it is encoded.
    pub(crate) fn plain(self) -> Option<&'a str> {
        memchr::memchr2(b'%', b'+', self.0.as_bytes()).is_none().then_some(self.0)
    }

    /// The decoded bytes; not always UTF-8.
    pub(crate) fn bytes(self) -> impl Iterator<Item = u8> + use<'a> {
        let mut rest = self.0.as_bytes();
        std::iter::from_fn(move || {
            let (&first, behind) = rest.split_first()?;
            rest = behind;
            match first {
                b'+' => Some(b' '),
                b'%' if let Some((byte, behind)) = hex_pair(behind) => {
                    rest = behind;
                    Some(byte)
                }
                _ => Some(first),
            }
        })
    }
}

impl PartialEq for Encoded<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.bytes().eq(other.bytes())
    }
}

/// The byte of two hexadecimal digits, and the rest after them.
fn hex_pair(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let (&[high, low], behind) = bytes.split_first_chunk()?;
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some((digit(high)? << 4 | digit(low)?, behind))
}

/// Appends `text`, encoded like by the clients' `encodeURIComponent`.
fn encode(text: &str, written: &mut String) {
    if text.bytes().all(is_unreserved) {
        return written.push_str(text);
    }
    for byte in text.bytes() {
        if is_unreserved(byte) {
            written.push(char::from(byte));
        } else {
            write!(written, "%{byte:02X}").expect("a String takes all that is written to it");
        }
    }
}

fn is_unreserved(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z')
        || matches!(byte, b'-' | b'_' | b'.' | b'~' | b'!' | b'*' | b'(' | b')')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_decoded_as_node_does() {
        let check = |raw: &str, expected: &[u8]| {
            let value = Pair::parse(raw).key;
            assert_eq!(value.bytes().collect::<Vec<_>>(), expected, "{raw}");
            assert!(str::from_utf8(expected).is_ok_and(|text| value.means(text)) || raw == "%FF");
        };
        check("", b"");
        check("a+b%20c", b"a b c");
        check("%2B", b"+");
        check("%2e%2E", b"..");
        check("100%", b"100%");
        check("%4", b"%4");
        check("%zz%41", b"%zzA");
        check("%+1", b"% 1");
        check("%%41", b"%A");
        check("%FF", b"\xff");
        check("ü", "ü".as_bytes());
    }

    #[test]
    fn a_value_is_found_by_the_meaning_of_its_key() {
        let check = |query: &str, expected: Option<&str>| {
            let value = value_of(query, "room");
            assert_eq!(value.as_deref(), expected.map(str::as_bytes), "{query}");
        };
        check("", None);
        check("rooms=1&oom=2", None);
        check("a=1&room=x%20y&room=z", Some("x y"));
        check("r%6fom=7", Some("7"));
        check("room", Some(""));
        check("room=a=b", Some("a=b"));
    }

    #[test]
    fn only_the_value_is_replaced() {
        let check = |query: &str, value: &str, expected: &str| {
            let mut written = "before ".to_owned();
            put_with_value(&mut written, query, "sid", value);
            assert_eq!(written, format!("before {expected}"));
        };
        check("EIO=4&sid=ABC.tag&t=x%2ey", "ABC", "EIO=4&sid=ABC&t=x%2ey");
        check("s%69d=1&&x+y=&=&z", "ü +", "s%69d=%C3%BC%20%2B&&x+y=&=&z");
        check("sid", "a", "sid=a");
        check("EIO=4", "a", "EIO=4");
        check("", "a", "");
    }
}
