//! One direction of a tunnel: read, follow the frames, write directly to the other side.
//!
//! Bytes are read into a scratch buffer that all tunnels of a thread share. Only what the other
//! side did not take is kept, and nothing is read while something is kept. This is the
//! back-pressure: what is kept is never longer than one read (and the read-ahead at the beginning,
//! and a control frame of ours). An incomplete head at the end of a read is kept, too, and goes
//! before the next read.
//!
//! Runs for every byte.

use std::io;
use std::ops::RangeBounds;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncWrite, ReadBuf};
use tracing::trace;

use super::backlog::Backlog;
use super::flow_state::{Ending, FlowStep, PollContext, SinkState, SourceState};
use super::gate::{Gate, InsertPoint};
use super::scratch_buffer::PARTIAL_HEAD_BYTES_MAX;
use super::{Side, Stream, control};
use crate::Instant;
use crate::websocket::{Followed, PingPayload, Until};

/// One direction: from its source to its sink.
#[derive(Debug)]
pub(super) struct Flow {
    pub(super) gate: Gate,
    backlog: Backlog,
    /// The longest read, less one byte.
    read_bytes_max: u16,
    /// Bytes that the sink has taken since they were last counted, saturating.
    moved: u16,
    source: SourceState,
    sink: SinkState,
    is_flushed: bool,
}

impl Flow {
    /// A flow that begins with `read_ahead`, and then reads at most `read_bytes_max` at once, which
    /// is at least 1. So it keeps no more than that.
    pub(super) fn new(gate: Gate, read_ahead: &Bytes, read_bytes_max: usize, now: Instant) -> Self {
        let mut flow = Self {
            gate,
            backlog: Backlog::default(),
            read_bytes_max: u16::try_from(read_bytes_max.saturating_sub(1)).unwrap_or(u16::MAX),
            moved: 0,
            source: SourceState::Flowing,
            sink: SinkState::Open,
            is_flushed: true,
        };
        flow.process(read_ahead, now, |flow, bytes| flow.backlog.push_unsent(bytes));
        flow
    }

    /// Moves bytes until one side makes it wait or other tasks should run.
    #[inline]
    pub(super) fn poll<R, W>(
        &mut self,
        source: &mut R,
        sink: &mut W,
        context: &mut PollContext<'_, '_>,
    ) -> FlowStep
    where
        R: Stream,
        W: Stream,
    {
        let PollContext { now, scratch, cx } = context;
        let mut step = FlowStep { arrived: false, wrote: false, waits: false, more: true };
        for _ in 0..READS_MAX {
            self.write_backlog(sink, cx);
            let Poll::Ready(chunk) = self.poll_read(source, scratch, cx) else {
                step.more = false;
                break;
            };
            step.arrived = true;
            self.process(chunk, *now, |flow, bytes| flow.pass(bytes, sink, cx));
        }
        step.wrote = !self.is_flushed;
        self.flush_sink(sink, cx);
        step.waits = self.backlog.has_unsent();
        step
    }

    /// The state of the side that sends.
    #[inline]
    pub(super) fn source(&self) -> SourceState {
        self.source
    }

    /// Whether nothing that matters can arrive any more.
    pub(super) fn is_source_done(&self) -> bool {
        self.source != SourceState::Flowing || self.gate.close_seen().is_some()
    }

    /// Whether bytes wait for the sink.
    pub(super) fn has_backlog(&self) -> bool {
        self.backlog.has_unsent()
    }

    /// Whether the sink has taken at least `bytes`; if so, counting restarts at zero.
    pub(super) fn take_progress(&mut self, bytes: u16) -> bool {
        let has_moved = self.moved >= bytes;
        if has_moved {
            self.moved = 0;
        }
        has_moved
    }

    /// Restarts counting at zero.
    pub(super) fn reset_progress(&mut self) {
        self.moved = 0;
    }

    /// Whether it is useless to wait for a Close frame: there was one, or none can be found.
    pub(super) fn will_not_answer(&self) -> bool {
        self.is_source_done() || self.gate.is_unparsable()
    }

    /// Whether the sink's connection failed.
    #[inline]
    pub(super) fn is_sink_failed(&self) -> bool {
        matches!(self.sink, SinkState::Failed | SinkState::Silent)
    }

    /// Whether the sink's host acknowledges nothing.
    #[inline]
    pub(super) fn is_sink_silent(&self) -> bool {
        self.sink == SinkState::Silent
    }

    /// Whether the sink gets nothing more from us.
    pub(super) fn is_sink_done(&self) -> bool {
        self.sink == SinkState::Ended || self.is_sink_failed()
    }

    /// Whether the sink gets only the backlog and FIN.
    pub(super) fn is_finishing(&self) -> bool {
        self.sink != SinkState::Open
    }

    /// Looks for the insert point of a Close frame of ours. A frame whose source is gone never
    /// ends.
    pub(super) fn find_insert_point(&mut self) -> InsertPoint {
        match self.gate.find_insert_point() {
            InsertPoint::AfterFrame if self.source != SourceState::Flowing => InsertPoint::Nowhere,
            point @ (InsertPoint::Here | InsertPoint::AfterFrame | InsertPoint::Nowhere) => point,
        }
    }

    /// Whether a Close frame of ours still waits for the source's last messages.
    pub(super) fn awaits_close(&self) -> bool {
        self.gate.awaits_close() && self.source == SourceState::Flowing
    }

    /// Inserts a Close frame, after [`find_insert_point`](Self::find_insert_point) returned
    /// [`InsertPoint::Here`].
    pub(super) fn put_close_frame(&mut self, frame: Vec<u8>) {
        self.gate.set_closed();
        self.backlog.set_ping(None);
        self.backlog.push_unsent(&frame);
    }

    /// Inserts a Ping to `side`, the sink, as soon as the stream is between two frames.
    pub(super) fn queue_ping(&mut self, side: Side, payload: PingPayload) {
        self.backlog.set_ping(Some((side, payload)));
        self.put_ping();
    }

    /// Whether a Ping would go to the sink immediately or after the current frame.
    pub(super) fn can_be_pinged(&self) -> bool {
        self.sink == SinkState::Open
            && !self.backlog.has_unsent()
            && !self.backlog.has_ping()
            && self.gate.insert_point() != InsertPoint::Nowhere
    }

    /// Whether a Ping waits for the end of a frame.
    pub(super) fn has_ping(&self) -> bool {
        self.backlog.has_ping()
    }

    /// From now on, Pongs with this payload answer our own Pings.
    pub(super) fn drop_pongs(&mut self, payload: PingPayload) {
        self.gate.drop_pongs(payload);
    }

    /// Whether a Close frame of ours waits for an insert point.
    pub(super) fn awaits_insert_point(&self) -> bool {
        self.gate.awaits_insert_point() && !self.is_finishing()
    }

    /// Sends the backlog and this ending, and nothing else.
    pub(super) fn finish(&mut self, ending: Ending) {
        if self.sink == SinkState::Open {
            self.sink = SinkState::Ending(ending);
        }
    }

    /// Gives up the sink: its connection failed.
    pub(super) fn fail_sink(&mut self) {
        self.sink = SinkState::Failed;
        self.backlog.set_unsent(Bytes::new());
    }

    /// The next bytes of the source. Pending while the sink has not taken the backlog.
    #[inline]
    fn poll_read<'a, R: Stream>(
        &mut self,
        source: &mut R,
        scratch: &'a mut [u8],
        cx: &mut Context<'_>,
    ) -> Poll<&'a [u8]> {
        if self.source != SourceState::Flowing {
            return Poll::Pending;
        }
        if self.is_reading_paused() {
            source.collect(cx);
            return Poll::Pending;
        }
        let (before, space) = scratch.split_at_mut(PARTIAL_HEAD_BYTES_MAX);
        let length = space.len().min(usize::from(self.read_bytes_max) + 1);
        let mut buffer = ReadBuf::new(space.split_at_mut(length).0);
        match ready!(Pin::new(source).poll_read(cx, &mut buffer)) {
            Ok(()) if buffer.filled().is_empty() => {
                self.source = SourceState::Ended;
                self.pass_partial_head();
            }
            Ok(()) => {
                let end = PARTIAL_HEAD_BYTES_MAX + buffer.filled().len();
                let begin = PARTIAL_HEAD_BYTES_MAX - self.backlog.take_partial_head(before);
                return Poll::Ready(scratch.get(begin..end).unwrap_or_default());
            }
            // TLS reports this for a FIN without close_notify, which many clients omit.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                self.source = SourceState::Ended;
            }
            Err(error) => {
                trace!(%error, "read failed");
                self.source =
                    if is_host_silent(&error) { SourceState::Silent } else { SourceState::Failed };
            }
        }
        Poll::Pending
    }

    /// The source has ended inside a head: its bytes are passed on, too.
    fn pass_partial_head(&mut self) {
        let mut partial = [0; PARTIAL_HEAD_BYTES_MAX];
        let length = self.backlog.take_partial_head(&mut partial);
        let partial = partial.get(PARTIAL_HEAD_BYTES_MAX - length..).unwrap_or_default();
        if !partial.is_empty() && self.gate.end_inside_head() {
            self.backlog.push_unsent(partial);
        }
    }

    /// Whether reading has to wait: more bytes would make the backlog longer.
    #[inline]
    fn is_reading_paused(&self) -> bool {
        self.backlog.has_unsent() && self.gate.is_open() && self.sink == SinkState::Open
    }

    /// Follows `chunk`, calls `pass` with what may pass, and keeps what cannot be followed yet.
    #[inline]
    fn process(&mut self, chunk: &[u8], now: Instant, mut pass: impl FnMut(&mut Self, &[u8])) {
        let mut rest = chunk;
        while !rest.is_empty() {
            let until = if self.backlog.has_ping() { Until::Boundary } else { Until::Close };
            let Followed { passed, dropped } = self.gate.follow(rest, until, now);
            let (passing, behind) = rest.split_at(passed);
            if passed > 0 {
                pass(self, passing);
            }
            if self.backlog.has_ping() {
                self.put_ping();
            }
            rest = behind.get(dropped..).unwrap_or_default();
            if passed + dropped == 0 {
                break;
            }
        }
        if !rest.is_empty() {
            self.backlog.set_partial_head(rest);
        }
    }

    /// Inserts our Ping if the sink is between two frames; drops it if it never will be.
    #[cold]
    fn put_ping(&mut self) {
        match (self.gate.insert_point(), self.backlog.take_ping()) {
            (InsertPoint::Here, Some((side, payload))) => {
                let mask = fastrand::u32(..).to_be_bytes();
                self.backlog.push_unsent(&control::ping(side, payload, mask));
            }
            (InsertPoint::AfterFrame, ping) => self.backlog.set_ping(ping),
            (InsertPoint::Here | InsertPoint::Nowhere, _) => (),
        }
    }

    /// Writes `bytes`, and keeps what the sink does not take.
    #[inline]
    fn pass<W: AsyncWrite + Unpin>(&mut self, bytes: &[u8], sink: &mut W, cx: &mut Context<'_>) {
        if self.sink != SinkState::Open {
            return;
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.backlog.has_unsent() {
                return self.backlog.push_unsent(rest);
            }
            let Poll::Ready(taken) = self.poll_write(rest, sink, cx) else {
                return self.backlog.push_unsent(rest);
            };
            rest = rest.get(taken..).unwrap_or_default();
        }
    }

    /// Writes the backlog, as far as the sink takes it.
    #[inline]
    fn write_backlog<W: AsyncWrite + Unpin>(&mut self, sink: &mut W, cx: &mut Context<'_>) {
        while self.backlog.has_unsent() {
            let unsent = self.backlog.take_unsent();
            let Poll::Ready(taken) = self.poll_write(&unsent, sink, cx) else {
                self.backlog.set_unsent(unsent);
                return;
            };
            self.backlog.set_unsent(part(&unsent, taken..));
        }
    }

    /// How many of `bytes` the sink took; all of them if it failed, because they are of no more
    /// use.
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
            Ok(_) => trace!("write accepted no bytes"),
            Err(error) => {
                trace!(%error, "write failed");
                self.fail_sink();
                if is_host_silent(&error) {
                    self.sink = SinkState::Silent;
                }
                return Poll::Ready(bytes.len());
            }
        }
        self.fail_sink();
        Poll::Ready(bytes.len())
    }

    /// Flushes what was written, and ends a sink that is ending and has taken the backlog.
    #[inline]
    fn flush_sink<W: Stream>(&mut self, sink: &mut W, cx: &mut Context<'_>) {
        if !self.is_flushed && !self.is_sink_failed() {
            match Pin::new(&mut *sink).poll_flush(cx) {
                Poll::Ready(Ok(())) => self.is_flushed = true,
                Poll::Ready(Err(_)) => self.fail_sink(),
                Poll::Pending => (),
            }
        }
        let (SinkState::Ending(ending), false) = (self.sink, self.backlog.has_unsent()) else {
            return;
        };
        match ending.poll(sink, cx) {
            Poll::Ready(Ok(())) => self.sink = SinkState::Ended,
            Poll::Ready(Err(_)) => self.fail_sink(),
            Poll::Pending => (),
        }
    }
}

/// Whether the kernel failed a connection because its host acknowledges nothing (RFC 5482); the
/// error can also be what routers reported about the host.
fn is_host_silent(error: &io::Error) -> bool {
    use io::ErrorKind::{HostUnreachable, NetworkUnreachable, TimedOut};
    matches!(error.kind(), TimedOut | HostUnreachable | NetworkUnreachable)
}

/// A part of `bytes`, without a copy; an empty one does not hold their memory.
fn part(bytes: &Bytes, range: impl RangeBounds<usize>) -> Bytes {
    let part = bytes.slice(range);
    if part.is_empty() { Bytes::new() } else { part }
}

/// After so many reads a flow lets the other flow and other tunnels run: at full speed every 256
/// KiB, which takes some tens of microseconds.
const READS_MAX: usize = 4;
