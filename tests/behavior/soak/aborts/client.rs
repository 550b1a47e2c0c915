//! A client that leaves where its case says.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpSocket;

use super::plan::{Case, DOES, Does, Kind, Leaves};
use super::wire::{PATIENCE, PATIENT, Wire, end_of_head};
use super::{BODY, Counts};
use crate::support::websocket::{UPGRADE, close, frame};
use crate::support::{get, request};

/// Does one exchange. `number` decides from which address, and how long it waits before it leaves.
pub async fn exchange(proxy: SocketAddr, case: Case, number: usize, counts: &Counts) {
    let Some(wire) = connect(proxy, number).await else {
        return counts.fault(format!("{case:?}: no connection"));
    };
    let target = target(proxy, case, number).await;
    let mut client = Client { wire, case, pause: Duration::from_millis((number % 4) as u64 * 8) };
    let came = client.until_it_leaves(&target).await;
    counts.count(format!("client: {:?} {:?}", case.kind, came));
    if case.leaves == Leaves::AtEnd
        && let Some(expected) = expected(case)
        && !client.wire.heard.windows(expected.len()).any(|window| window == expected.as_bytes())
    {
        let heard = String::from_utf8_lossy(&client.wire.heard).into_owned();
        counts.fault(format!("{case:?} {:?}: heard {heard:?}", DOES[case.node]));
    }
    client.wire.leaves(case.how).await;
}

/// A connection from one of 16 addresses: one would run out of ports.
async fn connect(proxy: SocketAddr, number: usize) -> Option<Wire> {
    let socket = TcpSocket::new_v4().ok()?;
    let address = Ipv4Addr::new(127, 0, 1, (number % 16) as u8 + 1);
    socket.bind(SocketAddr::from((address, 0))).ok()?;
    Some(Wire::new(socket.connect(proxy).await.ok()?))
}

/// What the case asks for. A poll has a session, which begins here.
async fn target(proxy: SocketAddr, case: Case, number: usize) -> String {
    let node = case.node;
    match case.kind {
        Kind::Get | Kind::PostLength | Kind::PostChunked => format!("/raw?do={node}"),
        Kind::Upgrade if number.is_multiple_of(2) => format!("/raw?do={node}"),
        Kind::Upgrade => format!("/socket.io/?EIO=4&transport=websocket&do={node}"),
        Kind::HeldPolling => format!("/paced/?EIO=4&transport=polling&do={node}"),
        Kind::HeldWebSocket => format!("/paced/?EIO=4&transport=websocket&do={node}"),
        Kind::Poll => {
            let opened = get(proxy, "/socket.io/?EIO=4&transport=polling").await.text();
            let sid = opened.split('"').nth(3).unwrap_or("none");
            format!("/socket.io/?EIO=4&transport=polling&sid={sid}&do={node}")
        }
    }
}

/// What a client must have heard that stays to the end, whatever else happens at the same time. What
/// admission holds may be refused.
fn expected(case: Case) -> Option<&'static str> {
    match (case.kind, DOES[case.node]) {
        (Kind::HeldPolling | Kind::HeldWebSocket, _) => None,
        (_, Does::Answers | Does::AnswersUntilEnd | Does::AnswersLate | Does::DribblesLength) => {
            Some(BODY)
        }
        (_, Does::AnswersChunked | Does::DribblesHead | Does::DribblesChunked) => {
            Some("HTTP/1.1 200")
        }
        (_, Does::RefusesEarly) => Some("HTTP/1.1 413"),
        (_, Does::Refuses) => Some("HTTP/1.1 403"),
        (_, Does::LeavesBehindUpload(_) | Does::LeavesWithinAnswerHead(_)) => Some("HTTP/1.1 502"),
        (_, Does::Echoes | Does::LeavesBehindSwitch(_)) => Some("HTTP/1.1 101"),
        (_, Does::LeavesWithinSwitch(_)) => Some("HTTP/1.1 502"),
        (_, Does::NeverAnswers | Does::LeavesBehindHead(_) | Does::LeavesWithinUpload(_)) => None,
        (_, Does::LeavesWithinLength(_) | Does::LeavesWithinChunked(_)) => Some("HTTP/1.1 200"),
        (_, Does::LeavesWithinFrame(_) | Does::LeavesBehindClose(_)) => Some("HTTP/1.1 101"),
        (_, Does::ClosesAndWaits | Does::LeavesOnClose(_)) => Some("HTTP/1.1 101"),
    }
}

struct Client {
    wire: Wire,
    case: Case,
    pause: Duration,
}

impl Client {
    /// Goes through the exchange until it is to leave or cannot go on; says where it came to.
    async fn until_it_leaves(&mut self, target: &str) -> Leaves {
        let leaves = self.case.leaves;
        let (head, body) = bytes(self.case.kind, target);
        let (head, body) = (head.as_bytes(), body.as_bytes());
        if leaves == Leaves::BehindConnect {
            return leaves;
        }
        let parts = [
            (Leaves::WithinHead, &head[..head.len() / 2]),
            (Leaves::BehindHead, &head[head.len() / 2..]),
            (Leaves::WithinUpload, &body[..body.len() / 2]),
            (Leaves::BehindUpload, &body[body.len() / 2..]),
        ];
        for (part, bytes) in parts {
            if !self.wire.says(bytes).await {
                // An early answer may be there.
                self.wire.listens(PATIENCE).await;
                return part;
            }
            if part == leaves {
                self.wire.listens(self.pause).await;
                return part;
            }
        }
        match self.case.kind.is_upgrade() {
            true => self.upgraded(leaves).await,
            false => self.answered(leaves).await,
        }
    }

    async fn answered(&mut self, leaves: Leaves) -> Leaves {
        if leaves == Leaves::WithinAnswerHead {
            self.wire.until(|heard| heard.len() >= 12).await;
            return leaves;
        }
        if leaves == Leaves::WithinAnswerBody {
            let has_begun = |heard: &[u8]| end_of_head(heard).is_some_and(|end| heard.len() > end);
            self.wire.until(has_begun).await;
            return leaves;
        }
        let time = if expected(self.case).is_some() { PATIENT } else { PATIENCE };
        self.wire.until_within(time, is_whole).await;
        Leaves::AtEnd
    }

    async fn upgraded(&mut self, leaves: Leaves) -> Leaves {
        if leaves == Leaves::WithinAnswerHead {
            self.wire.until(|heard| heard.len() >= 12).await;
            return leaves;
        }
        let time = if expected(self.case).is_some() { PATIENT } else { PATIENCE };
        let has_head = self.wire.until_within(time, |heard| end_of_head(heard).is_some()).await;
        if !has_head || !self.wire.heard.starts_with(b"HTTP/1.1 101") {
            return Leaves::AtEnd;
        }
        let end = end_of_head(&self.wire.heard).unwrap_or_default();
        let message = frame(2, &[9; 3_000], Some([1, 2, 3, 4]));
        match leaves {
            Leaves::WithinFrame => {
                self.wire.says(&message[..1_000]).await;
                self.wire.listens(self.pause).await;
            }
            Leaves::BehindFrame => {
                self.wire.says(&message).await;
                self.wire.until(|heard| heard.len() > end).await;
            }
            Leaves::BehindClose => {
                self.wire.says(&close(1000)).await;
            }
            Leaves::BehindNodeClose => {
                self.wire.until(|heard| heard.get(end) == Some(&0x88)).await;
            }
            Leaves::BehindSwitch => {
                self.wire.listens(self.pause).await;
            }
            Leaves::AtEnd => {
                self.wire.says(&close(1000)).await;
                self.wire.listens(PATIENCE).await;
            }
            Leaves::BehindConnect
            | Leaves::WithinHead
            | Leaves::BehindHead
            | Leaves::WithinUpload
            | Leaves::BehindUpload
            | Leaves::WithinAnswerHead
            | Leaves::WithinAnswerBody => (),
        }
        leaves
    }
}

/// The head and the body of a request.
fn bytes(kind: Kind, target: &str) -> (String, String) {
    let upload = "u".repeat(UPLOAD_BYTES);
    match kind {
        Kind::Get | Kind::Poll | Kind::HeldPolling => {
            (request("GET", target, &[], ""), String::new())
        }
        Kind::Upgrade | Kind::HeldWebSocket => {
            (request("GET", target, &UPGRADE, ""), String::new())
        }
        Kind::PostLength => {
            let whole = request("POST", target, &[], &upload);
            let end = whole.len() - upload.len();
            (whole[..end].to_owned(), upload)
        }
        Kind::PostChunked => {
            let head = format!(
                "POST {target} HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
            );
            let chunk = format!("{UPLOAD_BYTES:x}\r\n{upload}\r\n");
            (head, chunk.repeat(2) + "0\r\n\r\n")
        }
    }
}

/// Whether an answer is there as a whole. One without a length is whole at the end of the connection.
fn is_whole(heard: &[u8]) -> bool {
    let Some(end) = end_of_head(heard) else { return false };
    let head = String::from_utf8_lossy(&heard[..end]).to_ascii_lowercase();
    if head.contains("transfer-encoding: chunked") {
        return heard.ends_with(b"0\r\n\r\n");
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    length.is_some_and(|length| heard.len() - end >= length.trim().parse().unwrap_or(0))
}

/// More than is read before a node is asked.
const UPLOAD_BYTES: usize = 100_000;
