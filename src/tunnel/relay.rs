//! One direction of a tunnel: read, follow the frames, write straight to the other side.
//!
//! Bytes are read into a scratch buffer that all tunnels of a thread share. Only what the other side did not take is kept, and while
//! something is kept, nothing is read: that is the back-pressure, and `kept` is never longer than
//! one read (and the read-ahead at the beginning, and a control frame of ours). The beginning of a
//! frame that cannot be followed yet is held, and goes before the next read.
//!
//! Runs for every byte.

use std::io;
use std::ops::RangeBounds;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tracing::trace;

use super::gate::{Gap, Gate};
use super::scratch::HELD_BYTES_MAX;
use super::waiting::Waiting;
use super::wake_up::{Sink, Source, Step, WakeUp};
use super::{Side, control};
use crate::Instant;
use crate::websocket::{Followed, PingPayload, Until};

/// One direction: from its source to its sink.
#[derive(Debug)]
pub(super) struct Flow {
    pub(super) gate: Gate,
    waiting: Waiting,
    /// One read takes at most one byte more.
    read_bytes_max: u16,
    /// Bytes that the sink has taken since somebody asked, as far as they can be counted.
    moved: u16,
    source: Source,
    sink: Sink,
    is_flushed: bool,
}

impl Flow {
    /// A flow that begins with `read_ahead`, and then reads at most `read_bytes_max` at once, at
    /// least 1, and so keeps no more.
    pub(super) fn new(gate: Gate, read_ahead: &Bytes, read_bytes_max: usize, now: Instant) -> Self {
        let mut flow = Self {
            gate,
            waiting: Waiting::default(),
            read_bytes_max: u16::try_from(read_bytes_max.saturating_sub(1)).unwrap_or(u16::MAX),
            moved: 0,
            source: Source::Flowing,
            sink: Sink::Open,
            is_flushed: true,
        };
        flow.sift(read_ahead, now, |flow, bytes| flow.waiting.keep(bytes));
        flow
    }

    /// Moves bytes until one side makes it wait or others should run.
    #[inline]
    pub(super) fn poll<R, W>(
        &mut self,
        source: &mut R,
        sink: &mut W,
        wake_up: &mut WakeUp<'_, '_>,
    ) -> Step
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let WakeUp { now, scratch, cx } = wake_up;
        let mut step = Step { arrived: false, wrote: false, waits: false, more: true };
        for _ in 0..ROUNDS_MAX {
            self.write_kept(sink, cx);
            let Poll::Ready(chunk) = self.poll_read(source, scratch, cx) else {
                step.more = false;
                break;
            };
            step.arrived = true;
            self.sift(chunk, *now, |flow, bytes| flow.pass(bytes, sink, cx));
        }
        step.wrote = !self.is_flushed;
        self.tend_sink(sink, cx);
        step.waits = self.waiting.has_kept();
        step
    }

    /// What is heard of the side that sends.
    #[inline]
    pub(super) fn source(&self) -> Source {
        self.source
    }

    /// Whether nothing that matters can come any more.
    pub(super) fn has_said_its_last(&self) -> bool {
        self.source != Source::Flowing || self.gate.close_seen().is_some()
    }

    /// Whether bytes wait for the sink.
    pub(super) fn is_waiting(&self) -> bool {
        self.waiting.has_kept()
    }

    /// Whether the sink has taken so many bytes; if so, they are counted from zero again.
    pub(super) fn take_progress(&mut self, bytes: u16) -> bool {
        let has_moved = self.moved >= bytes;
        if has_moved {
            self.moved = 0;
        }
        has_moved
    }

    /// Counts from zero what the sink takes.
    pub(super) fn forget_moved(&mut self) {
        self.moved = 0;
    }

    /// Whether a Close frame is of no use to wait for: there was one, or none can be found.
    pub(super) fn will_not_answer(&self) -> bool {
        self.has_said_its_last() || self.gate.is_unparsable()
    }

    /// Whether the sink's connection failed.
    #[inline]
    pub(super) fn is_broken(&self) -> bool {
        matches!(self.sink, Sink::Failed | Sink::Silent)
    }

    /// Whether the sink's host acknowledges nothing.
    #[inline]
    pub(super) fn is_sink_silent(&self) -> bool {
        self.sink == Sink::Silent
    }

    /// Whether the sink has heard or will hear no more from us.
    pub(super) fn is_over(&self) -> bool {
        self.sink == Sink::Ended || self.is_broken()
    }

    /// Whether the sink gets no more than what is kept, and FIN.
    pub(super) fn is_finishing(&self) -> bool {
        self.sink != Sink::Open
    }

    /// Looks for the place of a Close frame of ours. A frame whose source is gone never ends.
    pub(super) fn find_gap(&mut self) -> Gap {
        match self.gate.find_gap() {
            Gap::Ahead if self.source != Source::Flowing => Gap::Nowhere,
            gap @ (Gap::Here | Gap::Ahead | Gap::Nowhere) => gap,
        }
    }

    /// Whether a Close frame of ours is still to wait for what the source has to say.
    pub(super) fn awaits_close(&self) -> bool {
        self.gate.awaits_close() && self.source == Source::Flowing
    }

    /// Puts `frame`, a Close frame, where [`find_gap`](Self::find_gap) said [`Gap::Here`].
    pub(super) fn close_with(&mut self, frame: Vec<u8>) {
        self.gate.close();
        self.waiting.set_ping(None);
        self.waiting.keep(&frame);
    }

    /// Puts a Ping to `side`, the sink, in as soon as that is between two frames.
    pub(super) fn ping_with(&mut self, side: Side, payload: PingPayload) {
        self.waiting.set_ping(Some((side, payload)));
        self.put_ping();
    }

    /// Whether a Ping would go to the sink at once, or behind a frame.
    pub(super) fn can_be_pinged(&self) -> bool {
        self.sink == Sink::Open
            && !self.waiting.has_kept()
            && !self.waiting.has_ping()
            && self.gate.gap() != Gap::Nowhere
    }

    /// Whether a Ping waits for the end of a frame.
    pub(super) fn has_ping(&self) -> bool {
        self.waiting.has_ping()
    }

    /// From now on, Pongs with this payload are answers to us.
    pub(super) fn drop_pongs(&mut self, payload: PingPayload) {
        self.gate.drop_pongs(payload);
    }

    /// Whether a Close frame of ours waits for its place.
    pub(super) fn waits_for_gap(&self) -> bool {
        self.gate.waits_for_gap() && !self.is_finishing()
    }

    /// Sends FIN behind what is kept, and nothing else any more.
    pub(super) fn finish(&mut self) {
        if self.sink == Sink::Open {
            self.sink = Sink::Ending;
        }
    }

    /// Gives the sink up: its connection failed.
    pub(super) fn break_off(&mut self) {
        self.sink = Sink::Failed;
        self.waiting.set_kept(Bytes::new());
    }

    /// The next bytes of the source. Waits while the sink has to take what is kept.
    #[inline]
    fn poll_read<'a, R: AsyncRead + Unpin>(
        &mut self,
        source: &mut R,
        scratch: &'a mut [u8],
        cx: &mut Context<'_>,
    ) -> Poll<&'a [u8]> {
        if self.source != Source::Flowing || self.holds_back() {
            return Poll::Pending;
        }
        let (before, room) = scratch.split_at_mut(HELD_BYTES_MAX);
        let length = room.len().min(usize::from(self.read_bytes_max) + 1);
        let mut buffer = ReadBuf::new(room.split_at_mut(length).0);
        match ready!(Pin::new(source).poll_read(cx, &mut buffer)) {
            Ok(()) if buffer.filled().is_empty() => {
                self.source = Source::Ended;
                self.pass_held();
            }
            Ok(()) => {
                let end = HELD_BYTES_MAX + buffer.filled().len();
                let begin = HELD_BYTES_MAX - self.waiting.release(before);
                return Poll::Ready(scratch.get(begin..end).unwrap_or_default());
            }
            // TLS says so when FIN came without its close_notify, which many clients omit.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                self.source = Source::Ended;
            }
            Err(error) => {
                trace!(%error, "read failed");
                self.source = if is_silence(&error) { Source::Silent } else { Source::Failed };
            }
        }
        Poll::Pending
    }

    /// The source has ended inside a head: what came of it is passed on, too.
    fn pass_held(&mut self) {
        let mut held = [0; HELD_BYTES_MAX];
        let length = self.waiting.release(&mut held);
        let held = held.get(HELD_BYTES_MAX - length..).unwrap_or_default();
        if !held.is_empty() && self.gate.end_inside_head() {
            self.waiting.keep(held);
        }
    }

    /// Whether reading must stop: what came would have to be kept on top of what is.
    #[inline]
    fn holds_back(&self) -> bool {
        self.waiting.has_kept() && self.gate.is_open() && self.sink == Sink::Open
    }

    /// Follows `chunk`, gives `pass` what passes, and holds what cannot be followed yet.
    #[inline]
    fn sift(&mut self, chunk: &[u8], now: Instant, mut pass: impl FnMut(&mut Self, &[u8])) {
        let mut rest = chunk;
        while !rest.is_empty() {
            let until = if self.waiting.has_ping() { Until::Boundary } else { Until::Close };
            let Followed { passed, dropped } = self.gate.follow(rest, until, now);
            let (passing, behind) = rest.split_at(passed);
            if passed > 0 {
                pass(self, passing);
            }
            if self.waiting.has_ping() {
                self.put_ping();
            }
            rest = behind.get(dropped..).unwrap_or_default();
            if passed + dropped == 0 {
                break;
            }
        }
        if !rest.is_empty() {
            self.waiting.hold(rest);
        }
    }

    /// Puts our Ping in if the sink is between two frames; drops it if it never will be.
    #[cold]
    fn put_ping(&mut self) {
        match (self.gate.gap(), self.waiting.take_ping()) {
            (Gap::Here, Some((side, payload))) => {
                let mask = fastrand::u32(..).to_be_bytes();
                self.waiting.keep(&control::ping(side, payload, mask));
            }
            (Gap::Ahead, ping) => self.waiting.set_ping(ping),
            (Gap::Here | Gap::Nowhere, _) => (),
        }
    }

    /// Writes `bytes`; keeps what the sink does not take.
    #[inline]
    fn pass<W: AsyncWrite + Unpin>(&mut self, bytes: &[u8], sink: &mut W, cx: &mut Context<'_>) {
        if self.sink != Sink::Open {
            return;
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.waiting.has_kept() {
                return self.waiting.keep(rest);
            }
            let Poll::Ready(taken) = self.poll_write(rest, sink, cx) else {
                return self.waiting.keep(rest);
            };
            rest = rest.get(taken..).unwrap_or_default();
        }
    }

    /// Writes what is kept, as far as the sink takes it.
    #[inline]
    fn write_kept<W: AsyncWrite + Unpin>(&mut self, sink: &mut W, cx: &mut Context<'_>) {
        while self.waiting.has_kept() {
            let kept = self.waiting.take_kept();
            let Poll::Ready(taken) = self.poll_write(&kept, sink, cx) else {
                self.waiting.set_kept(kept);
                return;
            };
            self.waiting.set_kept(part(&kept, taken..));
        }
    }

    /// How many of `bytes` the sink took; all of them if it failed, for nobody waits for them.
    #[inline]
    fn poll_write<W: AsyncWrite + Unpin>(
        &mut self,
        bytes: &[u8],
        sink: &mut W,
        cx: &mut Context<'_>,
    ) -> Poll<usize> {
        match ready!(Pin::new(sink).poll_write(cx, bytes)) {
            Ok(taken) if taken > 0 => {
                self.is_flushed = false;
                let taken = taken.min(bytes.len());
                self.moved = self.moved.saturating_add(u16::try_from(taken).unwrap_or(u16::MAX));
                return Poll::Ready(taken);
            }
            Ok(_) => trace!("write took nothing"),
            Err(error) => {
                trace!(%error, "write failed");
                self.break_off();
                if is_silence(&error) {
                    self.sink = Sink::Silent;
                }
                return Poll::Ready(bytes.len());
            }
        }
        self.break_off();
        Poll::Ready(bytes.len())
    }

    /// Flushes what was written, and ends the sink when its time has come.
    #[inline]
    fn tend_sink<W: AsyncWrite + Unpin>(&mut self, sink: &mut W, cx: &mut Context<'_>) {
        if !self.is_flushed && !self.is_broken() {
            match Pin::new(&mut *sink).poll_flush(cx) {
                Poll::Ready(Ok(())) => self.is_flushed = true,
                Poll::Ready(Err(_)) => self.break_off(),
                Poll::Pending => (),
            }
        }
        if self.sink == Sink::Ending && !self.waiting.has_kept() {
            match Pin::new(sink).poll_shutdown(cx) {
                Poll::Ready(Ok(())) => self.sink = Sink::Ended,
                Poll::Ready(Err(_)) => self.break_off(),
                Poll::Pending => (),
            }
        }
    }
}

/// Whether the kernel gave a connection up since its host acknowledges nothing (RFC 5482); at the
/// end it tells of what routers said of the host.
fn is_silence(error: &io::Error) -> bool {
    use io::ErrorKind::{HostUnreachable, NetworkUnreachable, TimedOut};
    matches!(error.kind(), TimedOut | HostUnreachable | NetworkUnreachable)
}

/// A part of `bytes`, without a copy; an empty one does not hold their memory.
fn part(bytes: &Bytes, range: impl RangeBounds<usize>) -> Bytes {
    let part = bytes.slice(range);
    if part.is_empty() { Bytes::new() } else { part }
}

/// After so many reads a flow lets the other flow and the other tunnels run: at full speed that is
/// every 256 KiB, some tens of microseconds.
const ROUNDS_MAX: usize = 4;
