//! The Engine.IO parameters in the query of a request.
//!
//! Any path can be Engine.IO's: a request is one of Engine.IO if its query has `EIO` and
//! `transport`. A query that two servers could read differently is refused, because the node might
//! read it in the other way.
//!
//! Pure. Runs for every request.

use super::query::{self, Encoded};
use super::sid::Sid;

/// An Engine.IO request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The transport of the session.
    pub transport: Transport,
    /// The session; `None` in a handshake.
    pub sid: Option<Sid>,
}

/// The transport of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// By requests and their responses.
    Polling,
    /// By a tunnel.
    WebSocket,
    /// A transport that no node serves over HTTP/1.1; the node will refuse it.
    Other,
}

/// Why an Engine.IO request cannot be forwarded: it is answered with 400, code 3 (`Bad request`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// A parameter appears twice in the query, with two values.
    #[error("the query has two different values of `{0}`")]
    Ambiguous(&'static str),
    /// The sid is longer than [`Sid::BYTES_MAX`], has control characters or is not UTF-8: no
    /// server made it, so no node has to be asked.
    #[error("the sid is too long or not text")]
    BadSid,
}

impl Call {
    /// Reads a query; `None` if the request is not Engine.IO's.
    ///
    /// As in servers, exactly `EIO=4` is version 4 and everything else version 3, and an empty
    /// `sid` counts as none. Allocates only the sid.
    ///
    /// # Errors
    /// [`CallError`], only if the request is Engine.IO's.
    pub fn parse(query: Option<&str>) -> Result<Option<Self>, CallError> {
        let mut is_version_4 = Once::new("EIO");
        let mut transport = Once::new("transport");
        let mut sid = Once::new("sid");
        for pair in query::pairs(query.unwrap_or_default()) {
            is_version_4.read(pair, |value| value.means("4"));
            transport.read(pair, Transport::parse);
            sid.read(pair, std::convert::identity);
        }

        let (Some(_), Some(_)) = (&is_version_4.value, &transport.value) else { return Ok(None) };
        let (Some(_), Some(transport)) = (is_version_4.take()?, transport.take()?) else {
            return Ok(None);
        };
        let sid = sid.take()?.map(decode_sid).transpose()?.flatten();
        Ok(Some(Self { transport, sid }))
    }

    /// Whether it asks for a new session.
    pub fn is_handshake(&self) -> bool {
        self.sid.is_none()
    }
}

/// `query` with the value of `sid` replaced, percent-encoded where needed, and everything else
/// byte for byte.
pub fn with_sid(query: &str, sid: &Sid) -> String {
    let mut written = String::new();
    put_with_sid(&mut written, query, sid);
    written
}

/// Appends what [`with_sid`] gives.
pub(crate) fn put_with_sid(written: &mut String, query: &str, sid: &Sid) {
    query::put_with_value(written, query, "sid", sid.as_str());
}

impl Transport {
    fn parse(value: Encoded<'_>) -> Self {
        if value.means("polling") {
            Self::Polling
        } else if value.means("websocket") {
            Self::WebSocket
        } else {
            Self::Other
        }
    }
}

fn decode_sid(value: Encoded<'_>) -> Result<Option<Sid>, CallError> {
    if value.is_empty() {
        return Ok(None);
    }
    let sid = match value.plain() {
        Some(plain) => Sid::new(plain),
        None => {
            let bytes: Vec<u8> = value.bytes().take(Sid::BYTES_MAX + 1).collect();
            std::str::from_utf8(&bytes).ok().and_then(Sid::new)
        }
    };
    sid.map(Some).ok_or(CallError::BadSid)
}

/// A parameter that may appear more than once with the same value.
struct Once<T> {
    name: &'static str,
    value: Option<T>,
    is_ambiguous: bool,
}

impl<T: PartialEq> Once<T> {
    fn new(name: &'static str) -> Self {
        Self { name, value: None, is_ambiguous: false }
    }

    fn read<'a>(&mut self, pair: query::Pair<'a>, meaning: impl FnOnce(Encoded<'a>) -> T) {
        if !pair.key.means(self.name) {
            return;
        }
        let value = meaning(pair.value);
        self.is_ambiguous |= self.value.as_ref().is_some_and(|before| *before != value);
        self.value = Some(value);
    }

    fn take(self) -> Result<Option<T>, CallError> {
        if self.is_ambiguous { Err(CallError::Ambiguous(self.name)) } else { Ok(self.value) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn call(query: &str) -> Result<Option<Call>, CallError> {
        Call::parse(Some(query))
    }

    #[test]
    fn a_query_needs_a_version_and_a_transport() {
        let check = |query: &str| assert_eq!(call(query), Ok(None), "{query}");
        assert_eq!(Call::parse(None), Ok(None));
        check("");
        check("EIO=4");
        check("transport=polling&sid=a&sid=b");
        check("eio=4&transport=polling");
        check("EIOx=4&transport=polling");
    }

    #[test]
    fn the_transport_is_read_as_servers_read_it() {
        let check = |query: &str, transport| {
            let expected = Call { transport, sid: None };
            assert_eq!(call(query), Ok(Some(expected)), "{query}");
        };
        check("EIO=4&transport=polling", Transport::Polling);
        check("transport=websocket&x&EIO=3", Transport::WebSocket);
        check("EIO=&transport=", Transport::Other);
        check("EIO=04&transport=Polling", Transport::Other);
        check("E%49O=%34&transport=poll%69ng&sid=", Transport::Polling);
        check("EIO=4&transport=webtransport&EIO=4", Transport::Other);
        check("EIO=3&EIO=5&transport=polling", Transport::Polling);
    }

    #[test]
    fn the_sid_is_decoded() {
        let check = |value: &str, expected: Option<&str>| {
            let call = call(&format!("a=b&EIO=4&transport=polling&sid={value}&b64=1"));
            let sid = call.expect("clear").expect("Engine.IO's").sid;
            assert_eq!(sid.as_ref().map(Sid::as_str), expected, "{value}");
        };
        check("", None);
        check("AbC-_.x", Some("AbC-_.x"));
        check("a%2Eb+c%2b", Some("a.b c+"));
        check("%C3%BC", Some("ü"));
        check("a=b", Some("a=b"));
        check(&"%41".repeat(Sid::BYTES_MAX), Some(&"A".repeat(Sid::BYTES_MAX)));
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        let check = |query: &str, expected| assert_eq!(call(query), Err(expected), "{query}");
        check("EIO=4&transport=polling&sid=a&sid=b", CallError::Ambiguous("sid"));
        check("EIO=4&transport=polling&sid=&sid=b", CallError::Ambiguous("sid"));
        check("EIO=4&transport=polling&sid&s%69d=b", CallError::Ambiguous("sid"));
        check("EIO=4&transport=polling&EIO=3", CallError::Ambiguous("EIO"));
        check("EIO=4&transport=polling&transport=websocket", CallError::Ambiguous("transport"));
        check("EIO=4&transport=polling&sid=%00", CallError::BadSid);
        check("EIO=4&transport=polling&sid=%FF", CallError::BadSid);
        check(
            &format!("EIO=4&transport=polling&sid={}", "a".repeat(Sid::BYTES_MAX + 1)),
            CallError::BadSid,
        );

        let same = call("EIO=4&transport=polling&sid=ab&sid=a%62").expect("clear");
        assert_eq!(same.and_then(|call| call.sid), Sid::new("ab"));
    }

    proptest! {
        #[test]
        fn a_replaced_sid_is_read_back(sid in "\\PC{1,40}", before in "[a-z%&=+]{0,20}") {
            let sid = Sid::new(&sid).expect("no control characters");
            let query = format!("{before}&EIO=4&transport=polling&sid=old&t=%6f");
            let replaced = with_sid(&query, &sid);
            prop_assert!(replaced.ends_with("&t=%6f"));
            prop_assert_eq!(call(&replaced).expect("clear").and_then(|call| call.sid), Some(sid));
        }
    }
}
