//! What can be wrong with a PROXY header.
//!
//! Pure. Runs for every request.

use std::fmt;

use super::LENGTH_MAX;

/// Why bytes that begin as a header does are none. The connection must be closed: its client is not
/// known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Version 1: no CRLF within the longest line of section 2.1.
    #[error("the line has no CRLF within its first {max} bytes")]
    LineTooLong {
        /// The limit.
        max: usize,
    },
    /// Version 1: a CR without LF, or a LF without CR.
    #[error("the line does not end in CRLF")]
    LineEnd,
    /// Version 1: another word in the place of the protocol.
    #[error("the protocol is not TCP4, TCP6 or UNKNOWN")]
    Protocol,
    /// Version 1: not two addresses and two ports, each after one space.
    #[error("the line does not have two addresses and two ports with one space before each")]
    Fields,
    /// Version 1: no address of the family that the line names.
    #[error("the {side} address is not an {family} address")]
    Address {
        /// Whose address.
        side: Side,
        /// `IPv4` or `IPv6`.
        family: &'static str,
    },
    /// Version 1: no decimal number, one above 65535, or one with a leading zero.
    #[error("the {0} port is not a number from 0 to 65535 without leading zeros")]
    Port(Side),
    /// Version 2: another version.
    #[error("the version is {0}, only 1 and 2 exist")]
    Version(u8),
    /// Version 2: neither LOCAL nor PROXY.
    #[error("the command is {0:#x}, only LOCAL (0x0) and PROXY (0x1) exist")]
    Command(u8),
    /// Version 2: an unassigned address family.
    #[error("the address family is {0:#x}, only 0x0 to 0x3 exist")]
    Family(u8),
    /// Version 2: an unassigned transport protocol.
    #[error("the transport protocol is {0:#x}, only 0x0 to 0x2 exist")]
    Transport(u8),
    /// Version 2: longer than we accept.
    #[error("the header has {0} bytes, {LENGTH_MAX} are accepted")]
    TooLong(usize),
    /// Version 2: shorter than the addresses of its family.
    #[error("the header announces {length} bytes, its addresses need {needed}")]
    TooShort {
        /// The announced bytes behind the first 16.
        length: usize,
        /// The bytes of two addresses of the family.
        needed: usize,
    },
    /// Version 2: an extension that is longer than the rest of the header or of its parent.
    #[error("an extension ends outside of the header")]
    ExtensionTruncated,
    /// Version 2: an extension of another length than its type has.
    #[error("the extension of type {kind:#04x} has {length} bytes")]
    ExtensionLength {
        /// The type.
        kind: u8,
        /// The length of its value.
        length: usize,
    },
    /// Version 2: the checksum is not that of the header.
    #[error("the CRC32c checksum does not fit the header")]
    Checksum,
}

/// One of the two addresses in a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The client.
    Source,
    /// What the client connected to.
    Destination,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Source => "source",
            Self::Destination => "destination",
        })
    }
}
