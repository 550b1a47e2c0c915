//! The purpose of a request, decided once.
//!
//! Pure. Runs for every request.

use http::Method;

use super::upgrade::Handshake;
use crate::engineio::{Call, Transport};

/// The purpose of a request. What follows from it is in its methods and nowhere else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Opens an Engine.IO session by polling.
    OpenPolling,
    /// Opens an Engine.IO session by a WebSocket.
    OpenWebSocket,
    /// Waits for the next packets of a session.
    Poll,
    /// Sends packets of a session.
    Post,
    /// Moves a session to a WebSocket.
    UpgradeSession,
    /// Opens a WebSocket that is not Engine.IO's.
    PlainUpgrade,
    /// Asks for another protocol than WebSocket, on a route that allows it. What it does on the node is not
    /// known, so it is asked for as any request is.
    OtherUpgrade,
    /// Any other request: of an application, a preflight, or one that a node will refuse.
    Plain,
}

impl Purpose {
    /// The purpose of a request with this method, these Engine.IO parameters and this handshake.
    pub(super) fn of(method: &Method, call: Option<&Call>, handshake: Option<&Handshake>) -> Self {
        match handshake {
            Some(Handshake::Other(_)) => Self::OtherUpgrade,
            None | Some(Handshake::WebSocket { .. }) => {
                Self::new(method, call, handshake.is_some())
            }
        }
    }

    /// The purpose of a request with this method and these Engine.IO parameters; `is_upgrade` if it
    /// is a WebSocket handshake.
    fn new(method: &Method, call: Option<&Call>, is_upgrade: bool) -> Self {
        let Some(call) = call else {
            return if is_upgrade { Self::PlainUpgrade } else { Self::Plain };
        };
        match (is_upgrade, call.sid.is_some()) {
            (true, true) => Self::UpgradeSession,
            (true, false) => Self::OpenWebSocket,
            (false, true) if *method == Method::POST => Self::Post,
            (false, true) if *method == Method::GET => Self::Poll,
            (false, false) if is_open_by_polling(method, call) => Self::OpenPolling,
            (false, _) => Self::Plain,
        }
    }

    /// What it is for, in words.
    pub(super) fn sentence(self) -> &'static str {
        match self {
            Self::OpenPolling => "opens an Engine.IO session by polling",
            Self::OpenWebSocket => "opens an Engine.IO session by a WebSocket",
            Self::Poll => "polls an Engine.IO session",
            Self::Post => "posts to an Engine.IO session",
            Self::UpgradeSession => "moves an Engine.IO session to a WebSocket",
            Self::PlainUpgrade => "opens a WebSocket that is not Engine.IO's",
            Self::OtherUpgrade => "asks for another protocol than WebSocket",
            Self::Plain => "is a plain request",
        }
    }

    /// Whether it opens a session: then a node for new sessions is chosen and, if necessary, waited
    /// for.
    pub(super) fn opens_session(self) -> bool {
        matches!(self, Self::OpenPolling | Self::OpenWebSocket | Self::PlainUpgrade)
    }

    /// Whether it may be sent once more after it may have reached a node: any node may open a
    /// session, and one that is opened twice costs a heartbeat. A poll that is sent twice ends its
    /// session, and a message would be delivered twice.
    pub(super) fn may_repeat(self) -> bool {
        self.opens_session()
    }

    /// Whether a successful response proves that the session of the request is on the node: any
    /// node answers a preflight.
    pub(super) fn finds_session(self) -> bool {
        matches!(self, Self::Poll | Self::Post | Self::UpgradeSession)
    }

    /// Whether it asks for a WebSocket or for another protocol.
    pub(super) fn is_upgrade(self) -> bool {
        self.is_websocket() || self == Self::OtherUpgrade
    }

    /// Whether it asks for a WebSocket.
    pub(super) fn is_websocket(self) -> bool {
        matches!(self, Self::OpenWebSocket | Self::UpgradeSession | Self::PlainUpgrade)
    }

    /// Whether the node answers only when it has packets.
    pub(super) fn waits_long(self) -> bool {
        self == Self::Poll
    }
}

/// A request that names WebSocket in its query without being a handshake opens nothing.
fn is_open_by_polling(method: &Method, call: &Call) -> bool {
    *method == Method::GET && call.transport == Transport::Polling
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn method_query_and_upgrade_decide() {
        fn check(method: Method, query: &str, is_upgrade: bool, expected: Purpose) {
            let call = Call::parse(Some(query)).unwrap();
            let found = Purpose::new(&method, call.as_ref(), is_upgrade);
            assert_eq!(found, expected, "{method} {query} {is_upgrade}");
        }
        const POLLING: &str = "EIO=4&transport=polling";
        const WEBSOCKET: &str = "EIO=4&transport=websocket";
        let bound = |query: &str| format!("{query}&sid=abc");
        check(Method::GET, POLLING, false, Purpose::OpenPolling);
        check(Method::GET, WEBSOCKET, true, Purpose::OpenWebSocket);
        check(Method::GET, &bound(POLLING), false, Purpose::Poll);
        check(Method::POST, &bound(POLLING), false, Purpose::Post);
        check(Method::GET, &bound(WEBSOCKET), true, Purpose::UpgradeSession);
        check(Method::GET, "", true, Purpose::PlainUpgrade);
        check(Method::GET, "", false, Purpose::Plain);
        check(Method::OPTIONS, &bound(POLLING), false, Purpose::Plain);
        check(Method::POST, POLLING, false, Purpose::Plain);
        check(Method::GET, WEBSOCKET, false, Purpose::Plain);
        check(Method::GET, &bound(WEBSOCKET), false, Purpose::Poll);
    }

    #[test]
    fn only_what_opens_a_session_may_be_repeated() {
        use Purpose::*;
        for (purpose, may_repeat) in [
            (OpenPolling, true),
            (OpenWebSocket, true),
            (PlainUpgrade, true),
            (Poll, false),
            (Post, false),
            (UpgradeSession, false),
            (OtherUpgrade, false),
            (Plain, false),
        ] {
            assert_eq!(purpose.may_repeat(), may_repeat, "{purpose:?}");
        }
    }
}
