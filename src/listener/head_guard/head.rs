//! What a head says about the framing of its request.
//!
//! Takes whole lines without their line ends and keeps only what decides where the request ends.
//! Names and codings are compared without letter case, as RFC 9110, section 5.1 and RFC 9112,
//! section 7 require.
//!
//! Pure. Runs for every request.

use super::Fault;

/// The framing facts of a head, from the lines that were seen.
#[derive(Debug, Default)]
pub(super) struct Head {
    version: Version,
    host_seen: bool,
    length: Option<u64>,
    chunked: bool,
    upgrades: bool,
    fields: usize,
}

/// What follows a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A body of this many bytes, which may be 0; then the next request.
    Length(u64),
    /// A chunked body; then the next request.
    Chunks,
    /// The bytes of a tunnel, which belong to no request.
    Tunnel,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Version {
    #[default]
    Http11,
    Http10,
}

impl Head {
    /// Takes the request line, of which only the version and CONNECT matter.
    pub(super) fn request_line(&mut self, line: &[u8]) -> Result<(), Fault> {
        self.version = match line {
            [.., b' ', b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'1'] => Version::Http11,
            [.., b' ', b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0'] => Version::Http10,
            _ => return Err(Fault::Version),
        };
        self.upgrades = line.starts_with(b"CONNECT ");
        Ok(())
    }

    /// Takes a field line, of which there may be up to `fields_max`.
    pub(super) fn field(&mut self, line: &[u8], fields_max: usize) -> Result<(), Fault> {
        self.fields += 1;
        if self.fields > fields_max {
            return Err(Fault::TooManyFields(fields_max));
        }
        let (name, value) = split_field(line)?;
        // The length distinguishes most names without comparing letters.
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => self.host(),
            7 if name.eq_ignore_ascii_case(b"upgrade") => {
                self.upgrades = true;
                Ok(())
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => self.content_length(value),
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => self.transfer_encoding(value),
            _ => Ok(()),
        }
    }

    /// Takes the empty line.
    pub(super) fn end(&self) -> Result<Next, Fault> {
        if !self.host_seen && self.version == Version::Http11 {
            return Err(Fault::HostMissing);
        }
        // hyper makes fewer requests a tunnel (not an `Upgrade` in HTTP/1.0). The bytes behind the others
        // need no inspection, because `served` closes the connection after each of these requests that
        // does not become a tunnel.
        Ok(match (self.upgrades, self.chunked) {
            (true, _) => Next::Tunnel,
            (false, true) => Next::Chunks,
            (false, false) => Next::Length(self.length.unwrap_or(0)),
        })
    }

    fn host(&mut self) -> Result<(), Fault> {
        if self.host_seen {
            return Err(Fault::HostRepeated);
        }
        self.host_seen = true;
        Ok(())
    }

    fn content_length(&mut self, value: &[u8]) -> Result<(), Fault> {
        if self.chunked {
            return Err(Fault::LengthAndCoding);
        }
        if self.length.is_some() {
            return Err(Fault::LengthRepeated);
        }
        self.length = Some(decimal(value).ok_or(Fault::LengthInvalid)?);
        Ok(())
    }

    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Fault> {
        if self.length.is_some() {
            return Err(Fault::LengthAndCoding);
        }
        if self.version == Version::Http10 {
            return Err(Fault::CodingInHttp10);
        }
        if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
            return Err(Fault::Coding);
        }
        self.chunked = true;
        Ok(())
    }
}

/// The name and the value of a field line, without the white space around the value.
pub(super) fn split_field(line: &[u8]) -> Result<(&[u8], &[u8]), Fault> {
    if let [b' ' | b'\t', ..] = line {
        return Err(Fault::FoldedLine);
    }
    let colon = memchr::memchr(b':', line).ok_or(Fault::NoField)?;
    match line.split_at_checked(colon) {
        Some(([.., b' ' | b'\t'], _)) => Err(Fault::SpaceBeforeColon),
        Some((name @ [_, ..], [_, value @ ..])) => Ok((name, trim(value))),
        Some(_) | None => Err(Fault::NoField),
    }
}

/// `value` without the `OWS` around it (RFC 9110, section 5.6.3). Rust's white space includes more: a
/// form feed in a length or a coding has to remain visible.
pub(super) fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// `1*DIGIT` up to 2^63 - 1.
fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    let mut number = 0_i64;
    for digit in digits {
        let digit = digit.is_ascii_digit().then(|| i64::from(digit - b'0'))?;
        number = number.checked_mul(10)?.checked_add(digit)?;
    }
    u64::try_from(number).ok()
}
