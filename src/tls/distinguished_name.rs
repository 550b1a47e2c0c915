//! The name of a certificate's subject as text (RFC 4514): `CN=alice,O=Example`.
//!
//! Applications decide by this text, so that no name may look like another: every character that means
//! something is escaped, and what is not printable ASCII is written in hexadecimal.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::fmt::Write;

use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// The name, most specific part first (RFC 4514, section 2.1).
pub(super) fn text_of(name: &X509Name<'_>) -> String {
    let mut text = String::new();
    let mut parts: Vec<_> = name.iter_rdn().collect();
    parts.reverse();
    for part in parts {
        let separator = if text.is_empty() { "" } else { "," };
        text.push_str(separator);
        for (index, attribute) in part.iter().enumerate() {
            text.push_str(if index == 0 { "" } else { "+" });
            write_attribute(&mut text, attribute);
        }
    }
    text
}

fn write_attribute(text: &mut String, attribute: &AttributeTypeAndValue<'_>) {
    let oid = attribute.attr_type().to_id_string();
    let short = SHORT_NAMES.iter().find(|(known, _)| *known == oid).map(|(_, short)| *short);
    match (short, attribute.as_str()) {
        (Some(short), Ok(value)) => {
            text.push_str(short);
            text.push('=');
            write_value(text, value);
        }
        // Of an unknown type, or no text (RFC 4514, section 2.4).
        (_, Ok(_) | Err(_)) => {
            text.push_str(&oid);
            text.push_str("=#");
            for byte in attribute.as_slice() {
                let _ = write!(text, "{byte:02x}");
            }
        }
    }
}

fn write_value(text: &mut String, value: &str) {
    let last = value.len().saturating_sub(1);
    for (index, byte) in value.bytes().enumerate() {
        let is_edge = index == 0 || index == last;
        match byte {
            b' ' if !is_edge => text.push(' '),
            b'#' if index != 0 => text.push('#'),
            b' ' | b'#' | b'"' | b'+' | b',' | b';' | b'<' | b'>' | b'\\' | b'=' => {
                text.push('\\');
                text.push(char::from(byte));
            }
            b'!'..=b'~' => text.push(char::from(byte)),
            _ => {
                let _ = write!(text, "\\{byte:02X}");
            }
        }
    }
}

/// The types that have a short name (RFC 4514, section 3), and the address of e-mail, which many have.
const SHORT_NAMES: [(&str, &str); 10] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.6", "C"),
    ("2.5.4.9", "STREET"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_something_is_escaped() {
        let check = |value: &str, expected: &str| {
            let mut text = String::new();
            write_value(&mut text, value);
            assert_eq!(text, expected);
        };
        check("alice", "alice");
        check("a b", "a b");
        check(" a ", "\\ a\\ ");
        check("#a#", "\\#a#");
        check("a,O=Root", "a\\,O\\=Root");
        check("a\"b\\c;d+e<f>", "a\\\"b\\\\c\\;d\\+e\\<f\\>");
        check("a\r\nX: y\0", "a\\0D\\0AX: y\\00");
        check("é", "\\C3\\A9");
        check("", "");
    }
}
