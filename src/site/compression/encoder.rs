//! The compressors, with bounds on the memory of each and on how many there are.
//!
//! Runs for every byte.

use std::fmt;
use std::io::{self, Write};
use std::sync::atomic::{AtomicUsize, Ordering};

use brotli::CompressorWriter;
use flate2::write::GzEncoder;

use super::accepted::Coding;

/// A compressor. It holds what it has written until that is taken.
pub(super) enum Encoder {
    Br(Box<CompressorWriter<Vec<u8>>>),
    Gzip(GzEncoder<Vec<u8>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

impl Encoder {
    /// A compressor of `coding`. About a megabyte at most.
    pub(super) fn new(coding: Coding) -> io::Result<Self> {
        Ok(match coding {
            Coding::Br => {
                let encoder =
                    CompressorWriter::new(Vec::new(), BR_INPUT_BYTES, BR_QUALITY, BR_WINDOW);
                Self::Br(Box::new(encoder))
            }
            Coding::Gzip => {
                Self::Gzip(GzEncoder::new(Vec::new(), flate2::Compression::new(GZIP_LEVEL)))
            }
            Coding::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), ZSTD_LEVEL)?;
                encoder.window_log(ZSTD_WINDOW)?;
                Self::Zstd(encoder)
            }
        })
    }

    /// Takes `data` in.
    pub(super) fn write(&mut self, data: &[u8]) -> io::Result<()> {
        match self {
            Self::Br(encoder) => encoder.write_all(data),
            Self::Gzip(encoder) => encoder.write_all(data),
            Self::Zstd(encoder) => encoder.write_all(data),
        }
    }

    /// Writes out all that was taken in, so that the client can read it.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Br(encoder) => encoder.flush(),
            Self::Gzip(encoder) => encoder.flush(),
            Self::Zstd(encoder) => encoder.flush(),
        }
    }

    /// How many bytes it has written.
    pub(super) fn written(&self) -> usize {
        match self {
            Self::Br(encoder) => encoder.get_ref().len(),
            Self::Gzip(encoder) => encoder.get_ref().len(),
            Self::Zstd(encoder) => encoder.get_ref().len(),
        }
    }

    /// Takes what it has written.
    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(match self {
            Self::Br(encoder) => encoder.get_mut(),
            Self::Gzip(encoder) => encoder.get_mut(),
            Self::Zstd(encoder) => encoder.get_mut(),
        })
    }

    /// The rest, with the end.
    pub(super) fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Self::Br(encoder) => Ok(encoder.into_inner()),
            Self::Gzip(encoder) => encoder.finish(),
            Self::Zstd(encoder) => encoder.finish(),
        }
    }
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Encoder")
    }
}

/// The permission to compress one response. It returns on drop.
#[derive(Debug)]
pub(crate) struct Permit(());

impl Permit {
    /// `None` if so many responses are compressed already that their memory is used up.
    pub(crate) fn take() -> Option<Self> {
        let add = |taken: usize| (taken < COMPRESSED_MAX).then_some(taken + 1);
        let taken = TAKEN.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
        taken.ok().map(|_| Self(()))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        TAKEN.fetch_sub(1, Ordering::Relaxed);
    }
}

static TAKEN: AtomicUsize = AtomicUsize::new(0);

/// How many responses the process compresses at the same time: up to about 270 MB, with Brotli, which needs
/// most.
const COMPRESSED_MAX: usize = 128;

/// The levels that cost about as much time as the network saves.
const GZIP_LEVEL: u32 = 5;
const BR_QUALITY: u32 = 4;
const ZSTD_LEVEL: i32 = 3;

/// Windows of 256 KiB, as powers of two.
const BR_WINDOW: u32 = 18;
const ZSTD_WINDOW: u32 = 18;

const BR_INPUT_BYTES: usize = 4096;
