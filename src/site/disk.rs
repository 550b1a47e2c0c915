//! Files below a directory, read on the blocking threads of the runtime: a slow disk delays nobody who
//! does not wait for it.
//!
//! A symbolic link is followed if it leads to something below the same directory.
//!
//! Runs for every request.

use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustix::fs::{Mode, OFlags};
use tokio::io::{AsyncRead, AsyncSeek, ReadBuf};
use tokio::task::spawn_blocking;
use tower_http::services::fs::{Backend, File};

use crate::descriptors::Reserve;

/// The files below a directory.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    root: Arc<Path>,
}

impl Disk {
    /// The files below `root`.
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.into() }
    }
}

type Pending<'a, T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send + 'a>>;

impl Backend for Disk {
    type File = OpenFile;
    type Metadata = Metadata;
    type OpenFuture = Pending<'static, OpenFile>;
    type MetadataFuture = Pending<'static, Metadata>;

    fn open(&self, path: PathBuf) -> Self::OpenFuture {
        let root = self.root.clone();
        Box::pin(async move {
            let file = blocking(move || open(&root, &path)).await?;
            Ok(OpenFile(tokio::fs::File::from_std(file)))
        })
    }

    fn metadata(&self, path: PathBuf) -> Self::MetadataFuture {
        let root = self.root.clone();
        Box::pin(blocking(move || readable(fs::metadata(located(&root, &path)?)?)))
    }
}

/// Lost if the future is dropped: only the result.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    spawn_blocking(work).await.map_err(io::Error::other)?
}

/// Opens without waiting for a writer, as a named pipe would.
fn open(root: &Path, path: &Path) -> io::Result<fs::File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = fs::File::from(rustix::fs::open(located(root, path)?, flags, Mode::empty())?);
    if Reserve::new().contains(&file) {
        let error = "no descriptors are left for files: the rest is for connections to nodes";
        return Err(io::Error::other(error));
    }
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::ErrorKind::NotFound.into()),
    }
}

/// Where `path` really is, if that is below `root`.
fn located(root: &Path, path: &Path) -> io::Result<PathBuf> {
    let real = path.canonicalize()?;
    match real.starts_with(root.canonicalize()?) {
        true => Ok(real),
        false => Err(io::ErrorKind::NotFound.into()),
    }
}

/// Devices, sockets and pipes are not served.
fn readable(metadata: Metadata) -> io::Result<Metadata> {
    match metadata.is_file() || metadata.is_dir() {
        true => Ok(metadata),
        false => Err(io::ErrorKind::NotFound.into()),
    }
}

/// A file that is being read.
#[derive(Debug)]
pub(super) struct OpenFile(tokio::fs::File);

impl File for OpenFile {
    type Metadata = Metadata;
    type MetadataFuture<'a> = Pending<'a, Metadata>;

    fn metadata(&self) -> Self::MetadataFuture<'_> {
        Box::pin(self.0.metadata())
    }
}

impl AsyncRead for OpenFile {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncSeek for OpenFile {
    fn start_seek(mut self: Pin<&mut Self>, position: io::SeekFrom) -> io::Result<()> {
        Pin::new(&mut self.0).start_seek(position)
    }

    fn poll_complete(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<u64>> {
        Pin::new(&mut self.0).poll_complete(cx)
    }
}
