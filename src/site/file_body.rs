//! The body of a file: as many bytes as its response has promised, although the file may grow or shrink
//! while it is read.
//!
//! Runs for every request.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::disk::OpenFile;

/// The body of a file.
pub(crate) struct FileBody {
    /// `None` if nothing of it is sent.
    file: Option<OpenFile>,
    position: u64,
    remaining: u64,
    reading: Option<Reading>,
}

type Reading = Pin<Box<dyn Future<Output = io::Result<Bytes>> + Send>>;

impl FileBody {
    /// `length` bytes of `file` from `position` on.
    pub(super) fn new(file: OpenFile, position: u64, length: u64) -> Self {
        Self { file: Some(file), position, remaining: length, reading: None }
    }

    /// No body.
    pub(super) fn none() -> Self {
        Self { file: None, position: 0, remaining: 0, reading: None }
    }
}

impl fmt::Debug for FileBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileBody").field("remaining", &self.remaining).finish_non_exhaustive()
    }
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = &mut *self;
        let Some(file) = this.file.as_ref().filter(|_| this.remaining > 0) else {
            return Poll::Ready(None);
        };
        let length = usize::try_from(this.remaining).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
        let reading =
            this.reading.get_or_insert_with(|| Box::pin(file.clone().read(this.position, length)));
        let read = ready!(reading.as_mut().poll(cx));
        this.reading = None;
        let bytes = match read {
            Ok(bytes) if bytes.is_empty() => {
                let error = "the file became shorter while it was read";
                return Poll::Ready(Some(Err(io::Error::new(io::ErrorKind::UnexpectedEof, error))));
            }
            Ok(bytes) => bytes,
            Err(error) => return Poll::Ready(Some(Err(error))),
        };
        let count = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        this.position = this.position.saturating_add(count);
        this.remaining = this.remaining.saturating_sub(count);
        if this.remaining == 0 {
            // Closed as soon as it has been read, while the client may still be slow.
            this.file = None;
        }
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.remaining == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining)
    }
}

/// How much of a file is read at a time: twice as much is in memory for each file that is sent.
const CHUNK_BYTES: usize = 32 * 1024;
