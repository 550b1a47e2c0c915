//! JSONP: the payload as a string in a script, `___eio[2]("...");`.
//!
//! The payload is unescaped for parsing, and each byte keeps its position in the script, so that
//! the script can be changed in one position and stay the same byte for byte in all others.
//!
//! Pure. Runs for every request.

use std::borrow::Cow;

use super::{Text, Unfound, after};

/// The beginning that only a script has.
pub(super) const FIRST_BYTE: u8 = b'_';

/// Takes the payload out of the script that begins `head`.
pub(super) fn read(head: &[u8]) -> Result<Text<'_>, Unfound> {
    let index = after(head, b"___eio[")?;
    let digits = index.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let string = after(index.get(digits..).unwrap_or_default(), b"](\"")?;
    Ok(unescape(head, head.len() - string.len()))
}

/// The string that begins at `start`, up to its end, to the first escape that JSON does not have,
/// or to the end of `head`.
fn unescape(head: &[u8], start: usize) -> Text<'_> {
    let mut bytes = Vec::with_capacity(head.len());
    let mut origins = Vec::with_capacity(head.len());
    let mut at = start;
    let is_cut = loop {
        let rest = head.get(at..).unwrap_or_default();
        match rest.first() {
            None => break true,
            Some(b'"') => break false,
            Some(b'\\') => match escape(rest) {
                Ok((character, length)) => {
                    bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                    origins.resize(bytes.len(), at);
                    at += length;
                }
                Err(Unfound::Cut) => break true,
                Err(Unfound::Absent) => break false,
            },
            Some(&byte) => {
                bytes.push(byte);
                origins.push(at);
                at += 1;
            }
        }
    };
    Text { bytes: Cow::Owned(bytes), origins, is_cut }
}

/// The character of the escape at the start of `rest`, and the escape's length.
fn escape(rest: &[u8]) -> Result<(char, usize), Unfound> {
    let character = match rest.get(1).ok_or(Unfound::Cut)? {
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unicode_escape(rest),
        &byte @ (b'"' | b'\\' | b'/') => char::from(byte),
        _ => return Err(Unfound::Absent),
    };
    Ok((character, 2))
}

/// The character of `\uXXXX`, or of a pair of them that are surrogates, and the length.
fn unicode_escape(rest: &[u8]) -> Result<(char, usize), Unfound> {
    let first = code_unit(rest)?;
    if let Some(character) = char::from_u32(first.into()) {
        return Ok((character, UNICODE_ESCAPE_BYTES));
    }
    let second = code_unit(rest.get(UNICODE_ESCAPE_BYTES..).unwrap_or_default())?;
    match char::decode_utf16([first, second]).next() {
        Some(Ok(character)) => Ok((character, 2 * UNICODE_ESCAPE_BYTES)),
        Some(Err(_)) | None => Err(Unfound::Absent),
    }
}

fn code_unit(rest: &[u8]) -> Result<u16, Unfound> {
    let digits = after(rest, b"\\u")?.get(..4).ok_or(Unfound::Cut)?;
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(Unfound::Absent);
    }
    let digits = std::str::from_utf8(digits).map_err(|_| Unfound::Absent)?;
    u16::from_str_radix(digits, 16).map_err(|_| Unfound::Absent)
}

/// The length of `\uXXXX`.
const UNICODE_ESCAPE_BYTES: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_freed_of_its_escapes() {
        let check = |head: &str, expected: &str, is_cut: bool| {
            let text = read(head.as_bytes()).expect("a script");
            assert_eq!(&*text.bytes, expected.as_bytes(), "{head}");
            assert_eq!(text.is_cut, is_cut, "{head}");
            assert_eq!(text.origins.len(), text.bytes.len());
        };
        check(r#"___eio[2]("a\"b\\c");"#, r#"a"b\c"#, false);
        check(r#"___eio[]("\b\f\n\r\t\/");"#, "\u{8}\u{c}\n\r\t/", false);
        check(r#"___eio[10]("\u001e\u2028ü"#, "\u{1e}\u{2028}ü", true);
        check(r#"___eio[0]("\ud83d\uDE00!"#, "😀!", true);
        check(r#"___eio[0]("a\ud83d"#, "a", true);
        check(r#"___eio[0]("a\ud83d\u0041"#, "a", false);
        check(r#"___eio[0]("a\ude00b"#, "a", false);
        check(r#"___eio[0]("a\x41"#, "a", false);
        check(r#"___eio[0]("a\u00+1"#, "a", false);
        check(r#"___eio[0]("a\"#, "a", true);
        check(r#"___eio[0](""#, "", true);
    }

    #[test]
    fn what_may_become_a_script_is_waited_for() {
        let check = |head: &str, expected: Unfound| {
            assert_eq!(read(head.as_bytes()).err(), Some(expected), "{head}");
        };
        check("_", Unfound::Cut);
        check("___eio[", Unfound::Cut);
        check("___eio[12", Unfound::Cut);
        check("___eio[12](", Unfound::Cut);
        check("___eio[1x](", Unfound::Absent);
        check("__eio[", Unfound::Absent);
        check("___eio[1]('", Unfound::Absent);
    }
}
