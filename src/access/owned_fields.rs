//! Fields that no client can write, in any spelling: those by which nodes learn who a client is, and those
//! that a route sets.
//!
//! Pure. Runs for every request.

use http::HeaderName;

/// The names of such fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OwnedFields(Box<[HeaderName]>);

impl OwnedFields {
    /// These names.
    pub(crate) fn new<'a>(names: impl Iterator<Item = &'a HeaderName>) -> Self {
        Self(names.cloned().collect())
    }

    /// Whether `name` is one of them, or looks like one to a node that takes all marks for the same, as
    /// CGI, WSGI and PHP do.
    pub(crate) fn own(&self, name: &HeaderName) -> bool {
        let name = name.as_str().as_bytes();
        self.0.iter().any(|own| {
            let own = own.as_str().as_bytes();
            own.len() == name.len() && own.iter().zip(name).all(|(own, byte)| alike(*own, *byte))
        })
    }
}

fn alike(own: u8, byte: u8) -> bool {
    own == byte || !own.is_ascii_alphanumeric() && !byte.is_ascii_alphanumeric()
}

/// Whether a node can get something in a field of this name: not if it belongs to the connection, to
/// the framing of the message, or to the handshake of a WebSocket, or if Sockeye sets it anyway.
pub(crate) fn may_be_owned(name: &HeaderName) -> bool {
    let name = name.as_str();
    !RESERVED.contains(&name) && !name.starts_with("sec-websocket-") && !name.starts_with("proxy-")
}

const RESERVED: [&str; 21] = [
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "origin",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-real-ip",
    "x-request-id",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_owned_in_all_its_spellings() {
        let names = [HeaderName::from_static("x-user-id")];
        let owned = OwnedFields::new(names.iter());
        for name in ["x-user-id", "x_user_id", "x-user_id", "X-User-ID", "X.User.Id"] {
            assert!(owned.own(&name.parse().unwrap()), "{name}");
        }
        for name in ["x-user", "x-user-ids", "xxuser-id", "x-user0id"] {
            assert!(!owned.own(&name.parse().unwrap()), "{name}");
        }
    }
}
