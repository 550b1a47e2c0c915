//! `/sessions/{id}/watch`: the frames of one session as they pass.
//!
//! What a payload is, and whether it is compressed, is found out here: the tunnel only copies bytes.
//!
//! Runs at start, at reload, or on a timer.

use std::time::Duration;

use flate2::{Decompress, FlushDecompress};
use tokio::time::sleep;

use super::event_stream::EventSender;
use super::model::{Frame, WatchEnded};
use super::packet::{Packet, redacted};
use crate::Instant;
use crate::insight::EndedSessions;
use crate::tunnel::{SessionId, Side, WATCHED_BYTES_MAX, WatchedFrame, WatchedFrames};
use crate::websocket::Opcode;

/// One watch of a session.
pub(super) struct Watch {
    pub(super) id: SessionId,
    pub(super) has_heartbeat: bool,
    pub(super) with_payload: bool,
}

/// Sends the frames as long as there is a reader, and then how the session ended.
pub(super) async fn follow(
    watch: Watch,
    mut frames: WatchedFrames,
    ended: &EndedSessions,
    sender: EventSender,
) {
    let begun = Instant::now();
    let mut inflaters = [Inflater::default(), Inflater::default()];
    loop {
        let next = tokio::select! {
            next = frames.next() => next,
            () = sender.closed() => return,
        };
        match frames.take_lost() {
            0 => (),
            lost => {
                sender.lose(lost);
                // What they would have added to the history of the compression is missing.
                inflaters = [Inflater::default(), Inflater::default()];
            }
        }
        let Some(frame) = next else { break };
        let inflater = match frame.from {
            Side::Client => &mut inflaters[0],
            Side::Node => &mut inflaters[1],
        };
        let shown = shown(&watch, &frame, inflater, begun);
        if !sender.send("frame", &shown) {
            return;
        }
    }
    sender.send("ended", &end(watch.id, ended).await);
}

/// How the session ended. It is written down a second late if the node ended it.
async fn end(id: SessionId, ended: &EndedSessions) -> WatchEnded {
    for _ in 0..END_TRIES {
        if let Some(found) = ended.find(id) {
            let end = found.report.end;
            return WatchEnded { end: end.label().to_owned(), by: end.who().label().to_owned() };
        }
        sleep(END_EVERY).await;
    }
    WatchEnded { end: "unknown".to_owned(), by: "unknown".to_owned() }
}

fn shown(watch: &Watch, frame: &WatchedFrame, inflater: &mut Inflater, begun: Instant) -> Frame {
    let is_whole = frame.bytes <= WATCHED_BYTES_MAX as u64;
    let text = match (frame.opcode, frame.is_compressed) {
        (Opcode::Text | Opcode::Binary, true) => {
            let inflated = (is_whole && frame.is_last).then(|| inflater.inflate(&frame.payload));
            inflated.flatten().filter(|_| frame.opcode == Opcode::Text)
        }
        (Opcode::Text, false) => Some(frame.payload.clone()),
        _ => None,
    };
    let text = text.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let packet = text.as_deref().filter(|_| watch.has_heartbeat).map(Packet::parse);
    let packet = packet.unwrap_or_default();
    let is_message = is_whole && frame.is_last;
    let payload = text.filter(|_| watch.with_payload).and_then(|text| redacted(&text, is_message));
    Frame {
        seconds: frame.at.saturating_duration_since(begun).as_secs_f64(),
        from: frame.from.label().to_owned(),
        opcode: frame.opcode.label().to_owned(),
        bytes: frame.bytes,
        compressed: frame.is_compressed,
        engineio: packet.engineio.map(str::to_owned),
        socketio: packet.socketio.map(str::to_owned),
        namespace: packet.namespace,
        event: packet.event,
        payload,
    }
}

/// Inflates the messages of one direction (RFC 7692). Messages may refer to those before, which are not known
/// if the watch began later: then they are not shown.
#[derive(Default)]
struct Inflater(Option<Decompress>);

impl Inflater {
    fn inflate(&mut self, payload: &[u8]) -> Option<Vec<u8>> {
        let inflater = self.0.get_or_insert_with(|| Decompress::new(false));
        // RFC 7692, section 7.2.2: the end that senders leave out.
        let deflated = [payload, &[0, 0, 0xff, 0xff]].concat();
        let mut inflated = Vec::with_capacity(INFLATED_BYTES_MAX);
        let before = inflater.total_in();
        let done = inflater.decompress_vec(&deflated, &mut inflated, FlushDecompress::Sync);
        let is_read = inflater.total_in() - before == deflated.len() as u64;
        if done.is_err() || !is_read {
            self.0 = None;
            return None;
        }
        Some(inflated)
    }
}

/// A longer message is not shown.
const INFLATED_BYTES_MAX: usize = 64 << 10;

const END_EVERY: Duration = Duration::from_millis(100);

const END_TRIES: usize = 30;

#[cfg(test)]
mod tests {
    use flate2::{Compress, Compression, FlushCompress};

    use super::*;

    fn deflate(deflater: &mut Compress, text: &[u8]) -> Vec<u8> {
        let mut deflated = Vec::with_capacity(1000);
        deflater.compress_vec(text, &mut deflated, FlushCompress::Sync).unwrap();
        deflated.truncate(deflated.len() - 4);
        deflated
    }

    #[test]
    fn messages_that_refer_to_those_before_are_inflated_from_the_first_on() {
        let mut deflater = Compress::new(Compression::default(), false);
        let mut inflater = Inflater::default();
        let text = b"42[\"chat\",\"the same again and again\"]";
        for _ in 0..3 {
            let deflated = deflate(&mut deflater, text);
            assert_eq!(inflater.inflate(&deflated).as_deref(), Some(&text[..]));
        }
        // Who begins here does not know what it refers to.
        let deflated = deflate(&mut deflater, text);
        assert_ne!(Inflater::default().inflate(&deflated).as_deref(), Some(&text[..]));
        assert_eq!(Inflater::default().inflate(b"\xff\xff\xff"), None);
    }
}
