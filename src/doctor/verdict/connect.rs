//! Clients that do not connect at all.
//!
//! Pure. Runs at start, at reload, or on a timer.

use super::{Fault, Finding, Party, State, blame, finding};
use crate::doctor::observations::{Answered, Handshake, Observations, SocketOutcome};
use crate::doctor::product::Product;
use crate::doctor::road::{Failure, FailureKind};

/// What keeps clients from a session.
pub(super) fn findings(seen: &Observations) -> Vec<Finding> {
    let mut found = Vec::new();
    match &seen.trace.handshake {
        Some(Handshake::Opened { .. }) if seen.trace.is_too_old(seen.eio) => {
            let what = "the server speaks the protocol of Socket.IO 1 and 2 (EIO=3), whatever clients ask for: \
                        those of Socket.IO 3 and newer do not understand it";
            found.push(finding(seen, Fault::OldServer, Party::Node, what.to_owned()));
        }
        None | Some(Handshake::Opened { .. }) => (),
        Some(Handshake::Failed(failure)) => found.push(failed(seen, failure)),
        Some(Handshake::Answered(answered)) => found.push(refused(seen, answered)),
    }
    found.extend(cors(seen));
    found.extend(http2(seen));
    found
}

pub(super) fn without_finding(seen: &Observations) -> (State, String) {
    match seen.trace.open() {
        Some(_) => (State::Sound, "a session opens".to_owned()),
        None if seen.trace.any_open().is_some() => {
            (State::Sound, "a session opens by WebSocket alone".to_owned())
        }
        None => (State::Undecided, "the handshake was not reached".to_owned()),
    }
}

fn failed(seen: &Observations, failure: &Failure) -> Finding {
    let detail = &failure.detail;
    match failure.kind {
        FailureKind::Dns => {
            let what = format!("the host name has no address: {detail}");
            finding(seen, Fault::NameUnknown, Party::Network, what)
        }
        FailureKind::Connect => {
            let what = format!("nobody accepts the connection: {detail}");
            finding(seen, Fault::NoConnection, Party::Network, what)
        }
        FailureKind::Tls => {
            let what = format!("the TLS handshake fails: {detail}");
            finding(seen, Fault::TlsFails, Party::Proxy, what)
        }
        FailureKind::TimedOut => {
            let what = "the handshake has no answer within 10 s".to_owned();
            finding(seen, Fault::NodesUnreachable, blame(seen, node_fails(seen)), what)
        }
        FailureKind::Closed | FailureKind::NotHttp => {
            let what = format!("the answer to the handshake is not HTTP: {detail}");
            finding(seen, Fault::NotEngineIo, blame(seen, node_fails(seen)), what)
        }
    }
}

fn refused(seen: &Observations, answered: &Answered) -> Finding {
    let whose = blame(seen, node_fails(seen));
    let elsewhere = seen.paths.iter().find(|tried| tried.opens).map(|tried| tried.path.as_str());
    match (answered.status, answered.code, elsewhere) {
        (400, Some(5), _) => {
            let what =
                "clients of Socket.IO 1 and 2 (EIO=3) are refused: `Unsupported protocol version`";
            finding(seen, Fault::OldClientsRefused, Party::Node, what.to_owned())
        }
        (400, Some(0), _) if seen.trace.alone == Some(SocketOutcome::Works) => {
            let what = "the server offers no polling: clients need transports: [\"websocket\"]";
            finding(seen, Fault::PollingNotOffered, Party::Node, what.to_owned())
        }
        (_, _, Some(path)) => {
            let what = format!("the path is wrong: {answered}; a session opens at {path}");
            finding(seen, Fault::WrongPath, Party::Client, what)
        }
        (301 | 302 | 303 | 307 | 308, _, None) => {
            let what = format!("the handshake is {answered}");
            finding(seen, Fault::Redirected, Party::Client, what)
        }
        (401 | 403 | 407 | 429, ..) => {
            let what = format!("the client is refused: {answered}");
            finding(seen, Fault::ClientRefused, Party::Client, what)
        }
        (502..=504 | 520..=530, _, None) => {
            let what = format!("the proxy has no answer of a node: {answered}");
            finding(seen, Fault::NodesUnreachable, Party::Proxy, what)
        }
        (404 | 405 | 410, _, None) => {
            let what = format!("there is no Engine.IO at this path: {answered}");
            finding(seen, Fault::WrongPath, whose, what)
        }
        (_, _, None) => {
            let what = format!("something else than Engine.IO answers: {answered}");
            finding(seen, Fault::NotEngineIo, whose, what)
        }
    }
}

/// Whether a session fails to open past the proxy too.
fn node_fails(seen: &Observations) -> Option<bool> {
    let opens = |node: &crate::doctor::observations::NodeFacts| node.trace.open().is_some();
    (!seen.nodes.is_empty()).then(|| !seen.nodes.iter().any(opens))
}

fn cors(seen: &Observations) -> Option<Finding> {
    let cors = seen.cors.as_ref()?;
    let allowed = &cors.allow_origin;
    if allowed.len() > 1 || allowed.iter().any(|value| value.contains(',')) {
        let values = allowed.join("`, `");
        let what = format!(
            "Access-Control-Allow-Origin is there {} times (`{values}`): browsers accept none then",
            allowed.len().max(2)
        );
        let whose = if seen.product == Some(Product::Node) { Party::Node } else { Party::Proxy };
        return Some(finding(seen, Fault::CorsTwice, whose, what));
    }
    // Without a name nobody can say which origin should be allowed.
    let origin = seen.origin.as_ref()?;
    if matches!(cors.status, 429 | 503) {
        // For a moment, and for other reasons.
        return None;
    }
    if cors.status != 200 {
        let what = format!("a handshake with `Origin: {origin}` is answered with {}", cors.status);
        return Some(finding(seen, Fault::CorsMissing, Party::ProxyOrNode, what));
    }
    let what = match allowed.first() {
        None => format!("pages of {origin} may not read responses: no Access-Control-Allow-Origin"),
        Some(value) if value == origin || value == "*" => return None,
        Some(value) => format!(
            "pages of {origin} may not read responses: Access-Control-Allow-Origin is `{value}`"
        ),
    };
    Some(finding(seen, Fault::CorsMissing, Party::Node, what))
}

fn http2(seen: &Observations) -> Option<Finding> {
    let http2 = seen.http2.as_ref().filter(|http2| http2.chosen)?;
    let works_else = seen.trace.open().is_some();
    let what = match (http2.handshake, http2.websocket, &http2.fault) {
        (Some(200), None | Some(200), None) | (Some(429), ..) | (_, Some(429), _) => return None,
        (Some(200), None | Some(200), Some(fault)) => {
            format!("HTTP/2 is chosen and fails: {fault}")
        }
        (Some(200), Some(status), _) => {
            format!("WebSockets by HTTP/2 are announced (RFC 8441), and answered with {status}")
        }
        (Some(status), ..) => format!("by HTTP/2 the handshake is answered with {status}"),
        (None, _, fault) => {
            format!("HTTP/2 is chosen and fails: {}", fault.as_deref().unwrap_or("no answer"))
        }
    };
    works_else.then(|| finding(seen, Fault::Http2Broken, Party::Proxy, what))
}
