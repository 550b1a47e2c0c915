//! What a node does, what a client sends and where each of them leaves: every pair that can happen.

/// How somebody leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// FIN, and what still comes is read for a while.
    Fin,
    /// The socket is closed, whatever waits in it.
    Close,
    /// RST.
    Reset,
}

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Get,
    /// An upload with `Content-Length`.
    PostLength,
    /// An upload in chunks.
    PostChunked,
    /// A poll of a session that the client has opened before.
    Poll,
    /// An upgrade to WebSocket.
    Upgrade,
    /// A handshake that admission holds, by polling.
    HeldPolling,
    /// The same by WebSocket.
    HeldWebSocket,
}

/// Behind which part of its exchange a client leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaves {
    BehindConnect,
    WithinHead,
    BehindHead,
    WithinUpload,
    BehindUpload,
    WithinAnswerHead,
    WithinAnswerBody,
    /// At the end of the answer, or when it has waited long enough.
    AtEnd,
    BehindSwitch,
    WithinFrame,
    /// Behind an echo.
    BehindFrame,
    /// Behind its own Close, without waiting for the other.
    BehindClose,
    /// Behind the node's Close, without an answer to it.
    BehindNodeClose,
}

/// What a node does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Does {
    Answers,
    AnswersChunked,
    AnswersUntilEnd,
    NeverAnswers,
    DribblesHead,
    DribblesLength,
    DribblesChunked,
    /// A poll that waits for a message.
    AnswersLate,
    /// 413 before the upload is there, then the end.
    RefusesEarly,
    /// 403 to anything.
    Refuses,
    LeavesBehindHead(How),
    LeavesWithinUpload(How),
    LeavesBehindUpload(How),
    LeavesWithinAnswerHead(How),
    LeavesWithinLength(How),
    LeavesWithinChunked(How),
    /// 101, then every frame comes back.
    Echoes,
    LeavesWithinSwitch(How),
    LeavesBehindSwitch(How),
    LeavesWithinFrame(How),
    /// A Close of its own, and the end without waiting.
    LeavesBehindClose(How),
    /// A Close of its own, and it waits for the other.
    ClosesAndWaits,
    /// The end where a Close should be answered.
    LeavesOnClose(How),
}

/// One exchange.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub kind: Kind,
    /// A place in [`DOES`].
    pub node: usize,
    pub leaves: Leaves,
    pub how: How,
}

/// All that can happen.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for kind in KINDS {
        let nodes = (0..DOES.len()).filter(|node| fits(kind, DOES[*node]));
        for (node, leaves) in nodes.flat_map(|node| LEAVES.map(|leaves| (node, leaves))) {
            if kind.reaches(leaves) {
                cases.extend(HOW.map(|how| Case { kind, node, leaves, how }));
            }
        }
    }
    cases
}

/// The place of the node that echoes.
pub fn echoes() -> usize {
    DOES.iter().position(|does| *does == Does::Echoes).expect("it is there")
}

impl Kind {
    pub fn is_upgrade(self) -> bool {
        matches!(self, Self::Upgrade | Self::HeldWebSocket)
    }

    pub fn is_upload(self) -> bool {
        matches!(self, Self::PostLength | Self::PostChunked)
    }

    /// Whether an exchange of this kind may come to where `leaves` says.
    fn reaches(self, leaves: Leaves) -> bool {
        use Leaves::{
            AtEnd, BehindClose, BehindConnect, BehindFrame, BehindHead, BehindNodeClose,
            BehindSwitch, BehindUpload, WithinAnswerBody, WithinAnswerHead, WithinFrame,
            WithinHead, WithinUpload,
        };
        match leaves {
            BehindConnect | WithinHead | BehindHead | WithinAnswerHead | AtEnd => true,
            WithinUpload | BehindUpload => self.is_upload(),
            WithinAnswerBody => !self.is_upgrade(),
            BehindSwitch | WithinFrame | BehindFrame | BehindClose | BehindNodeClose => {
                self.is_upgrade()
            }
        }
    }
}

/// Whether a node that `does` this is asked for this `kind`.
fn fits(kind: Kind, does: Does) -> bool {
    match does {
        Does::Answers => !kind.is_upgrade(),
        Does::AnswersChunked
        | Does::AnswersUntilEnd
        | Does::DribblesHead
        | Does::DribblesLength
        | Does::DribblesChunked
        | Does::LeavesWithinAnswerHead(_)
        | Does::LeavesWithinLength(_)
        | Does::LeavesWithinChunked(_) => {
            matches!(kind, Kind::Get | Kind::PostLength | Kind::PostChunked | Kind::Poll)
        }
        Does::AnswersLate => kind == Kind::Poll,
        Does::NeverAnswers | Does::Refuses | Does::LeavesBehindHead(_) => true,
        Does::RefusesEarly | Does::LeavesWithinUpload(_) | Does::LeavesBehindUpload(_) => {
            kind.is_upload()
        }
        Does::Echoes | Does::LeavesBehindSwitch(_) => kind.is_upgrade(),
        Does::LeavesWithinSwitch(_)
        | Does::LeavesWithinFrame(_)
        | Does::LeavesBehindClose(_)
        | Does::ClosesAndWaits
        | Does::LeavesOnClose(_) => kind == Kind::Upgrade,
    }
}

pub const HOW: [How; 3] = [How::Fin, How::Close, How::Reset];

const KINDS: [Kind; 7] = [
    Kind::Get,
    Kind::PostLength,
    Kind::PostChunked,
    Kind::Poll,
    Kind::Upgrade,
    Kind::HeldPolling,
    Kind::HeldWebSocket,
];

const LEAVES: [Leaves; 13] = [
    Leaves::BehindConnect,
    Leaves::WithinHead,
    Leaves::BehindHead,
    Leaves::WithinUpload,
    Leaves::BehindUpload,
    Leaves::WithinAnswerHead,
    Leaves::WithinAnswerBody,
    Leaves::AtEnd,
    Leaves::BehindSwitch,
    Leaves::WithinFrame,
    Leaves::BehindFrame,
    Leaves::BehindClose,
    Leaves::BehindNodeClose,
];

/// All that a node does; a request names its place here.
pub const DOES: [Does; 35] = [
    Does::Answers,
    Does::AnswersChunked,
    Does::AnswersUntilEnd,
    Does::NeverAnswers,
    Does::DribblesHead,
    Does::DribblesLength,
    Does::DribblesChunked,
    Does::AnswersLate,
    Does::RefusesEarly,
    Does::Refuses,
    Does::LeavesBehindHead(How::Fin),
    Does::LeavesBehindHead(How::Reset),
    Does::LeavesWithinUpload(How::Fin),
    Does::LeavesWithinUpload(How::Close),
    Does::LeavesWithinUpload(How::Reset),
    Does::LeavesBehindUpload(How::Fin),
    Does::LeavesBehindUpload(How::Reset),
    Does::LeavesWithinAnswerHead(How::Fin),
    Does::LeavesWithinAnswerHead(How::Reset),
    Does::LeavesWithinLength(How::Fin),
    Does::LeavesWithinLength(How::Reset),
    Does::LeavesWithinChunked(How::Fin),
    Does::LeavesWithinChunked(How::Reset),
    Does::Echoes,
    Does::LeavesWithinSwitch(How::Fin),
    Does::LeavesWithinSwitch(How::Reset),
    Does::LeavesBehindSwitch(How::Fin),
    Does::LeavesBehindSwitch(How::Reset),
    Does::LeavesWithinFrame(How::Fin),
    Does::LeavesWithinFrame(How::Reset),
    Does::LeavesBehindClose(How::Fin),
    Does::LeavesBehindClose(How::Reset),
    Does::ClosesAndWaits,
    Does::LeavesOnClose(How::Fin),
    Does::LeavesOnClose(How::Reset),
];
