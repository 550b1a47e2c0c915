//! The extensions that a 101 agreed on, as far as they change which frames are allowed (RFC 6455,
//! section 9).
//!
//! Pure. Runs for every request.

/// The extensions that client and node agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extensions {
    /// None: all reserved bits are clear.
    None,
    /// permessage-deflate alone: RSV1 may be set on the first frame of a message (RFC 7692,
    /// section 6).
    Deflate,
    /// Unknown ones: reserved bits and opcodes mean what the two sides agreed on, and frames are
    /// followed by their lengths alone.
    Other,
}

impl Extensions {
    /// From the members of a 101's `Sec-WebSocket-Extensions`.
    pub fn agreed<'a>(members: impl IntoIterator<Item = &'a str>) -> Self {
        let names = members.into_iter().map(|member| member.split(';').next().unwrap_or_default());
        names.fold(Self::None, |known, name| {
            match (known, name.trim().eq_ignore_ascii_case("permessage-deflate")) {
                (Self::None | Self::Deflate, true) => Self::Deflate,
                (Self::Other, _) | (_, false) => Self::Other,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_permessage_deflate_is_known() {
        let check = |members: &[&str], expected| {
            assert_eq!(Extensions::agreed(members.iter().copied()), expected, "{members:?}");
        };
        check(&[], Extensions::None);
        check(&["permessage-deflate"], Extensions::Deflate);
        check(&["permessage-deflate; server_max_window_bits=12"], Extensions::Deflate);
        check(&["x-webkit-deflate-frame"], Extensions::Other);
        check(&["permessage-deflate-2"], Extensions::Other);
        check(&["x-own", "permessage-deflate"], Extensions::Other);
        check(&["permessage-deflate", "x-own; a=1"], Extensions::Other);
    }
}
