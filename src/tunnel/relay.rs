//! One direction of a tunnel: read, follow the frames, write straight to the other side.
//!
//! Bytes are read into a scratch buffer that all tunnels of a thread share; it is lent for one
//! poll and never across an await. Only what the other side did not take is kept, and while
//! something is kept, nothing is read: that is the back-pressure, and `kept` is never longer than
//! one read (and the read-ahead at the beginning, and one control frame at the end).
//!
//! Runs for every byte.

use std::cell::Cell;
use std::io;
use std::ops::RangeBounds;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tracing::trace;

use super::gate::{Gap, Gate};

/// One direction: from its source to its sink.
#[derive(Debug)]
pub(super) struct Flow {
    pub(super) gate: Gate,
    /// What the sink has yet to take.
    kept: Bytes,
    read_bytes_max: usize,
    source: Source,
    sink: Sink,
    is_flushed: bool,
}

/// What one poll of a flow did.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    /// Bytes came from the source.
    pub(super) arrived: bool,
    /// The poll stopped to let others run: poll again soon, nothing else will wake the task.
    pub(super) more: bool,
}

/// What is heard of the side that sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// Bytes may come.
    Flowing,
    /// It sent FIN.
    Ended,
    /// Its connection failed.
    Failed,
}

/// What the side that receives may still get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sink {
    Open,
    /// Gets FIN when it has taken what is kept.
    Ending,
    /// Got FIN.
    Ended,
    /// Its connection failed.
    Failed,
}

impl Flow {
    /// A flow that begins with `read_ahead`, and then reads at most `read_bytes_max` at once, at
    /// least 1, and so keeps no more.
    pub(super) fn new(mut gate: Gate, read_ahead: &Bytes, read_bytes_max: usize) -> Self {
        let passed = gate.follow(read_ahead);
        Self {
            gate,
            kept: part(read_ahead, ..passed),
            read_bytes_max: read_bytes_max.max(1),
            source: Source::Flowing,
            sink: Sink::Open,
            is_flushed: true,
        }
    }

    /// Moves bytes until one side makes it wait or others should run.
    #[inline]
    pub(super) fn poll<R, W>(
        &mut self,
        source: &mut R,
        sink: &mut W,
        scratch: &mut [u8],
        cx: &mut Context<'_>,
    ) -> Step
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let mut step = Step { arrived: false, more: true };
        for _ in 0..ROUNDS_MAX {
            self.write_kept(sink, cx);
            let Poll::Ready(chunk) = self.poll_read(source, scratch, cx) else {
                step.more = false;
                break;
            };
            step.arrived = true;
            self.pass(chunk, sink, cx);
        }
        self.tend_sink(sink, cx);
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

    /// Whether the sink's connection failed.
    #[inline]
    pub(super) fn is_broken(&self) -> bool {
        self.sink == Sink::Failed
    }

    /// Whether the sink has heard or will hear no more from us.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.sink, Sink::Ended | Sink::Failed)
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

    /// Puts `frame`, a Close frame, where [`find_gap`](Self::find_gap) said [`Gap::Here`].
    pub(super) fn close_with(&mut self, frame: Vec<u8>) {
        self.gate.close();
        let frame = if self.kept.is_empty() { frame } else { [&self.kept[..], &frame].concat() };
        self.kept = frame.into();
    }

    /// Whether a Close frame of ours waits for a frame to end.
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
        self.kept = Bytes::new();
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
        let length = scratch.len().min(self.read_bytes_max);
        let mut buffer = ReadBuf::new(scratch.split_at_mut(length).0);
        match ready!(Pin::new(source).poll_read(cx, &mut buffer)) {
            Ok(()) if buffer.filled().is_empty() => self.source = Source::Ended,
            Ok(()) => {
                let length = buffer.filled().len();
                return Poll::Ready(scratch.split_at(length).0);
            }
            // TLS says so when FIN came without its close_notify, which many clients omit.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                self.source = Source::Ended;
            }
            Err(error) => {
                trace!(%error, "read failed");
                self.source = Source::Failed;
            }
        }
        Poll::Pending
    }

    /// Whether reading must stop: what came would have to be kept on top of what is.
    #[inline]
    fn holds_back(&self) -> bool {
        !self.kept.is_empty() && self.gate.is_open() && self.sink == Sink::Open
    }

    /// Follows `chunk` and writes what passes; keeps what the sink does not take.
    #[inline]
    fn pass<W: AsyncWrite + Unpin>(&mut self, chunk: &[u8], sink: &mut W, cx: &mut Context<'_>) {
        let passed = self.gate.follow(chunk);
        let mut rest = chunk.split_at(passed).0;
        if self.sink != Sink::Open {
            return;
        }
        debug_assert!(self.kept.is_empty() || rest.is_empty(), "bytes would overtake others");
        while !rest.is_empty() {
            let Poll::Ready(taken) = self.poll_write(rest, sink, cx) else {
                self.kept = Bytes::copy_from_slice(rest);
                return;
            };
            rest = rest.get(taken..).unwrap_or_default();
        }
    }

    /// Writes what is kept, as far as the sink takes it.
    #[inline]
    fn write_kept<W: AsyncWrite + Unpin>(&mut self, sink: &mut W, cx: &mut Context<'_>) {
        while !self.kept.is_empty() {
            let kept = std::mem::take(&mut self.kept);
            let Poll::Ready(taken) = self.poll_write(&kept, sink, cx) else {
                self.kept = kept;
                return;
            };
            self.kept = part(&kept, taken..);
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
                return Poll::Ready(taken.min(bytes.len()));
            }
            Ok(_) => trace!("write took nothing"),
            Err(error) => trace!(%error, "write failed"),
        }
        self.break_off();
        Poll::Ready(bytes.len())
    }

    /// Flushes what was written, and ends the sink when its time has come.
    #[inline]
    fn tend_sink<W: AsyncWrite + Unpin>(&mut self, sink: &mut W, cx: &mut Context<'_>) {
        if !self.is_flushed && self.sink != Sink::Failed {
            match Pin::new(&mut *sink).poll_flush(cx) {
                Poll::Ready(Ok(())) => self.is_flushed = true,
                Poll::Ready(Err(_)) => self.break_off(),
                Poll::Pending => (),
            }
        }
        if self.sink == Sink::Ending && self.kept.is_empty() {
            match Pin::new(sink).poll_shutdown(cx) {
                Poll::Ready(Ok(())) => self.sink = Sink::Ended,
                Poll::Ready(Err(_)) => self.break_off(),
                Poll::Pending => (),
            }
        }
    }
}

/// A part of `bytes`, without a copy; an empty one does not hold their memory.
fn part(bytes: &Bytes, range: impl RangeBounds<usize>) -> Bytes {
    let part = bytes.slice(range);
    if part.is_empty() { Bytes::new() } else { part }
}

/// Lends the thread's scratch buffer to one poll.
pub(super) fn with_scratch<T>(poll: impl FnOnce(&mut [u8]) -> T) -> T {
    let mut scratch = SCRATCH.take().unwrap_or_else(|| vec![0; SCRATCH_BYTES].into_boxed_slice());
    let polled = poll(&mut scratch);
    SCRATCH.set(Some(scratch));
    polled
}

thread_local! {
    /// Taken out while it is lent, so that a stream that polls another tunnel gets one of its own.
    static SCRATCH: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
}

/// One read takes at most this much.
const SCRATCH_BYTES: usize = 64 * 1024;

/// After so many reads a flow lets the other flow and the other tunnels run: at full speed that is
/// every 256 KiB, some tens of microseconds.
const ROUNDS_MAX: usize = 4;
