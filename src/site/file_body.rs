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
use tower_http::services::fs::ServeFileSystemResponseBody;

/// The body of a file.
pub(crate) struct FileBody {
    file: ServeFileSystemResponseBody,
    remaining: u64,
}

impl FileBody {
    /// `length` bytes of `file`.
    pub(super) fn new(file: ServeFileSystemResponseBody, length: u64) -> Self {
        Self { file, remaining: length }
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
        if self.remaining == 0 {
            return Poll::Ready(None);
        }
        let frame = match ready!(Pin::new(&mut self.file).poll_frame(cx)) {
            Some(frame) => frame?,
            None => {
                let error = "the file became shorter while it was read";
                return Poll::Ready(Some(Err(io::Error::new(io::ErrorKind::UnexpectedEof, error))));
            }
        };
        let mut data = frame.into_data().unwrap_or_default();
        let length = u64::try_from(data.len()).unwrap_or(u64::MAX).min(self.remaining);
        data.truncate(usize::try_from(length).unwrap_or(usize::MAX));
        self.remaining -= length;
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.remaining == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining)
    }
}
