//! The extensions of a PROXY header of version 2 (sections 2.2.1 to 2.2.8).
//!
//! Pure. Runs for every request.

use std::fmt;

use super::Fault;

/// What a balancer knows in addition to the addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// The host name for which the client asked, with TLS the server name of its ClientHello.
    pub authority: Option<Text>,
    /// The balancer's id of the connection.
    pub unique_id: Option<Text>,
    /// The id of the VPC endpoint that the client used (AWS PrivateLink).
    pub aws_vpc_endpoint: Option<Text>,
    /// The client's TLS, if the balancer ends it.
    pub tls: Option<TlsDetails>,
}

/// The TLS between a client and a balancer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsDetails {
    /// The version, for instance `TLSv1.3`.
    pub version: Option<Text>,
    /// The cipher suite.
    pub cipher: Option<Text>,
    /// The common name of the client's certificate.
    pub common_name: Option<Text>,
    /// Whether the client presented a certificate and the balancer verified it.
    pub is_client_verified: bool,
}

/// The value of an extension. Part of it may be the client's own words, so it is shown escaped.
#[derive(Clone, PartialEq, Eq)]
pub struct Text(Box<[u8]>);

impl Details {
    /// Reads the extensions of the whole `header` from the offset `first` on.
    pub(super) fn parse(header: &[u8], first: usize) -> Result<Self, Fault> {
        let mut details = Self::default();
        let mut offset = first;
        while let Some(rest) = header.get(offset..).filter(|rest| !rest.is_empty()) {
            let Extension { kind, value } = Extension::parse(rest)?;
            let wrong_length = Fault::ExtensionLength { kind, length: value.len() };
            match (kind, value) {
                (AUTHORITY, _) if value.len() > TEXT_BYTES_MAX => return Err(wrong_length),
                (AUTHORITY, _) => details.authority = Some(Text::new(value)),
                (CRC32C, _) => {
                    let checksum = value.try_into().map_err(|_| wrong_length)?;
                    check(header, offset + Extension::HEAD_LENGTH, checksum)?;
                }
                (UNIQUE_ID, _) if value.len() > UNIQUE_ID_BYTES_MAX => return Err(wrong_length),
                (UNIQUE_ID, _) => details.unique_id = Some(Text::new(value)),
                (TLS, _) => details.tls = TlsDetails::parse(value)?,
                (AWS, [AWS_VPC_ENDPOINT, id @ ..]) => {
                    details.aws_vpc_endpoint = Some(Text::new(id));
                }
                _ => (),
            }
            offset += Extension::HEAD_LENGTH + value.len();
        }
        Ok(details)
    }
}

impl TlsDetails {
    /// `None` if the client did not use TLS.
    fn parse(value: &[u8]) -> Result<Option<Self>, Fault> {
        let wrong_length = Fault::ExtensionLength { kind: TLS, length: value.len() };
        let Some(([flags, not_verified @ ..], mut rest)) = value.split_first_chunk::<5>() else {
            return Err(wrong_length);
        };
        let has_certificate = flags & (CERTIFICATE_IN_CONNECTION | CERTIFICATE_IN_SESSION) != 0;
        let mut details = Self {
            is_client_verified: has_certificate && *not_verified == [0; 4],
            ..Self::default()
        };
        while !rest.is_empty() {
            let Extension { kind, value } = Extension::parse(rest)?;
            match kind {
                TLS_VERSION => details.version = Some(Text::new(value)),
                TLS_COMMON_NAME => details.common_name = Some(Text::new(value)),
                TLS_CIPHER => details.cipher = Some(Text::new(value)),
                _ => (),
            }
            rest = rest.get(Extension::HEAD_LENGTH + value.len()..).unwrap_or_default();
        }
        Ok((flags & IS_TLS != 0).then_some(details))
    }
}

/// A type with its value.
struct Extension<'a> {
    kind: u8,
    value: &'a [u8],
}

impl<'a> Extension<'a> {
    /// The type, and the length of the value.
    const HEAD_LENGTH: usize = 3;

    /// The extension that `bytes` begin with.
    fn parse(bytes: &'a [u8]) -> Result<Self, Fault> {
        let [kind, high, low, rest @ ..] = bytes else { return Err(Fault::ExtensionTruncated) };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let value = rest.get(..length).ok_or(Fault::ExtensionTruncated)?;
        Ok(Self { kind: *kind, value })
    }
}

impl Text {
    fn new(value: &[u8]) -> Self {
        Self(value.iter().copied().take(TEXT_BYTES_MAX).collect())
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.escape_ascii().fmt(f)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// Checks the `expected` checksum at the offset `at` (section 2.2.3): that of the header with zeros in
/// its place.
fn check(header: &[u8], at: usize, expected: [u8; 4]) -> Result<(), Fault> {
    let behind = at + expected.len();
    let before = header.iter().take(at).copied();
    let bytes = before.chain([0; 4]).chain(header.iter().skip(behind).copied());
    if crc32c(bytes) == u32::from_be_bytes(expected) { Ok(()) } else { Err(Fault::Checksum) }
}

/// RFC 3720, appendix B.4. Bit by bit: a header is short, and few have a checksum.
pub(super) fn crc32c(bytes: impl Iterator<Item = u8>) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { (crc >> 1) ^ CASTAGNOLI } else { crc >> 1 };
    !bytes.fold(u32::MAX, |crc, byte| (0..u8::BITS).fold(crc ^ u32::from(byte), step))
}

/// The polynomial of CRC32c, its bits in reverse order.
const CASTAGNOLI: u32 = 0x82f6_3b78;

// Types of extensions.
const AUTHORITY: u8 = 0x02;
const CRC32C: u8 = 0x03;
const UNIQUE_ID: u8 = 0x05;
const TLS: u8 = 0x20;
const AWS: u8 = 0xea;

/// The first byte of an AWS extension with the id of a VPC endpoint.
const AWS_VPC_ENDPOINT: u8 = 0x01;

// Types inside of `TLS`.
const TLS_VERSION: u8 = 0x21;
const TLS_COMMON_NAME: u8 = 0x22;
const TLS_CIPHER: u8 = 0x23;

// The flags of `TLS`.
const IS_TLS: u8 = 0x01;
const CERTIFICATE_IN_CONNECTION: u8 = 0x02;
const CERTIFICATE_IN_SESSION: u8 = 0x04;

/// Section 2.2.5.
const UNIQUE_ID_BYTES_MAX: usize = 128;

/// The longest DNS name, as in HAProxy; longer values of other types are shown in part.
const TEXT_BYTES_MAX: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_rfc_3720() {
        assert_eq!(crc32c([0; 32].into_iter()), 0x8a91_36aa);
        assert_eq!(crc32c([0xff; 32].into_iter()), 0x62a8_ab43);
        assert_eq!(crc32c(0..32), 0x46dd_794e);
        assert_eq!(crc32c((0..32).rev()), 0x113f_db5c);
    }
}
