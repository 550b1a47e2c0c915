//! A body that is compressed while it is sent.
//!
//! Runs for every byte.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame};

use super::accepted::Coding;
use super::encoder::{Encoder, Permit};

/// A body that is compressed while it is sent. Whatever `inner` has sent goes on at the latest when more
/// has to be waited for: a stream of events is not held back.
#[derive(Debug)]
pub(crate) struct CompressedBody<B> {
    inner: B,
    /// `None` after the end.
    encoder: Option<Encoder>,
    /// Whether it has taken in what it may not have written out.
    is_behind: bool,
    trailers: Option<HeaderMap>,
    _permit: Permit,
}

impl<B> CompressedBody<B> {
    /// `inner` in `coding`.
    ///
    /// # Errors
    ///
    /// There is no memory; the body is as it was.
    pub(crate) fn new(inner: B, coding: Coding, permit: Permit) -> Result<Self, (B, io::Error)> {
        match Encoder::new(coding) {
            Ok(encoder) => {
                let encoder = Some(encoder);
                Ok(Self { inner, encoder, is_behind: false, trailers: None, _permit: permit })
            }
            Err(error) => Err((inner, error)),
        }
    }
}

impl<B> Body for CompressedBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: From<io::Error>,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let body = &mut *self;
        let mut read = 0;
        while let Some(encoder) = &mut body.encoder {
            match Pin::new(&mut body.inner).poll_frame(cx)? {
                Poll::Ready(Some(frame)) => match frame.into_data() {
                    Ok(data) => {
                        encoder.write(&data)?;
                        body.is_behind = true;
                        read += data.len();
                        if encoder.written() >= CHUNK_BYTES {
                            return Poll::Ready(Some(Ok(Frame::data(encoder.take().into()))));
                        }
                        if read >= READ_MAX {
                            cx.waker().wake_by_ref();
                            return Poll::Pending;
                        }
                    }
                    Err(other) => {
                        body.trailers = other.into_trailers().ok();
                        return Poll::Ready(body.finish());
                    }
                },
                Poll::Ready(None) => return Poll::Ready(body.finish()),
                Poll::Pending => {
                    if std::mem::take(&mut body.is_behind) {
                        encoder.flush()?;
                    }
                    return match encoder.written() {
                        0 => Poll::Pending,
                        _ => Poll::Ready(Some(Ok(Frame::data(encoder.take().into())))),
                    };
                }
            }
        }
        Poll::Ready(body.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.encoder.is_none() && self.trailers.is_none()
    }
}

impl<B> CompressedBody<B> {
    fn finish<E: From<io::Error>>(&mut self) -> Option<Result<Frame<Bytes>, E>> {
        let rest = self.encoder.take()?.finish();
        Some(rest.map(|rest| Frame::data(rest.into())).map_err(E::from))
    }
}

/// How much is compressed at a time, in bytes. Until then, all other connections of the worker wait, also if
/// it becomes so little that there is nothing to send.
const READ_MAX: usize = 64 * 1024;

/// How much is sent at a time, in bytes.
const CHUNK_BYTES: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::io::Read;
    use std::task::Waker;

    use super::*;

    /// Bytes that come one after the other; `None` is a pause.
    struct Script(VecDeque<Option<Bytes>>);

    impl Body for Script {
        type Data = Bytes;
        type Error = io::Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
            match self.0.pop_front() {
                Some(Some(data)) => Poll::Ready(Some(Ok(Frame::data(data)))),
                Some(None) => Poll::Pending,
                None => Poll::Ready(None),
            }
        }
    }

    fn decoded(coding: Coding, bytes: &[u8]) -> Vec<u8> {
        let mut text = Vec::new();
        // The end may not have come yet.
        let _ = match coding {
            Coding::Br => brotli::Decompressor::new(bytes, 4096).read_to_end(&mut text),
            Coding::Gzip => flate2::read::GzDecoder::new(bytes).read_to_end(&mut text),
            Coding::Zstd => zstd::stream::read::Decoder::new(bytes).unwrap().read_to_end(&mut text),
        };
        text
    }

    fn poll(body: &mut CompressedBody<Script>) -> Poll<Option<Bytes>> {
        let frame = Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop()));
        frame.map(|frame| frame.map(|frame| frame.unwrap().into_data().unwrap()))
    }

    #[test]
    fn what_has_come_goes_on_before_more_is_waited_for() {
        for (name, coding) in Coding::NAMED {
            let pieces =
                [Some(Bytes::from("data: one\n\n")), None, Some(Bytes::from("data: two\n\n"))];
            let script = Script(pieces.into_iter().collect());
            let mut body = CompressedBody::new(script, coding, Permit::take().unwrap())
                .unwrap_or_else(|_| panic!());
            let Poll::Ready(Some(first)) = poll(&mut body) else { panic!("{name}") };
            assert_eq!(decoded(coding, &first), b"data: one\n\n", "{name}");
            let mut all = first.to_vec();
            while let Poll::Ready(Some(more)) = poll(&mut body) {
                all.extend(more);
            }
            assert!(body.is_end_stream());
            assert_eq!(decoded(coding, &all), b"data: one\n\ndata: two\n\n", "{name}");
        }
    }

    #[test]
    fn a_long_body_goes_on_in_pieces() {
        for (name, coding) in Coding::NAMED {
            let noise: Vec<Bytes> = (0..64)
                .map(|_| Bytes::from((0..16_384).map(|_| fastrand::u8(..)).collect::<Vec<_>>()))
                .collect();
            let script = Script(noise.iter().cloned().map(Some).collect());
            let mut body = CompressedBody::new(script, coding, Permit::take().unwrap())
                .unwrap_or_else(|_| panic!());
            let mut all = Vec::new();
            loop {
                match poll(&mut body) {
                    Poll::Ready(Some(piece)) => {
                        assert!(piece.len() < 1024 * 1024, "{name}: {}", piece.len());
                        all.extend(piece);
                    }
                    Poll::Ready(None) => break,
                    Poll::Pending => (),
                }
            }
            assert_eq!(decoded(coding, &all), noise.concat(), "{name}");
        }
    }

    #[test]
    fn a_body_that_becomes_little_lets_others_have_their_turn() {
        for (name, coding) in Coding::NAMED {
            let zeros = Bytes::from(vec![0; 16 * 1024]);
            let script = Script((0..64).map(|_| Some(zeros.clone())).collect());
            let mut body = CompressedBody::new(script, coding, Permit::take().unwrap())
                .unwrap_or_else(|_| panic!());
            let mut turns = 0;
            while poll(&mut body) != Poll::Ready(None) {
                turns += 1;
            }
            assert!(turns >= 64 * zeros.len() / READ_MAX, "{name}: {turns}");
        }
    }
}
