//! Reading for a bounded time, and leaving.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use super::plan::How;

/// A socket and what was read from it.
pub struct Wire {
    pub stream: TcpStream,
    pub heard: Vec<u8>,
}

impl Wire {
    pub fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        Self { stream, heard: Vec::new() }
    }

    /// Sends, and says whether the other side took it in time: some of them read nothing.
    pub async fn says(&mut self, bytes: &[u8]) -> bool {
        timeout(PATIENCE, self.stream.write_all(bytes)).await.is_ok_and(|sent| sent.is_ok())
    }

    /// Sends byte by byte, or by some, with a pause behind each; says whether it came to the end.
    pub async fn dribbles(&mut self, bytes: &[u8], size: usize, pause: Duration) -> bool {
        for part in bytes.chunks(size) {
            if !self.says(part).await || !self.listens(pause).await {
                return false;
            }
        }
        true
    }

    /// Reads for so long; says whether the other side is still there.
    pub async fn listens(&mut self, time: Duration) -> bool {
        let end = Instant::now() + time;
        loop {
            match timeout_at(end, self.stream.read_buf(&mut self.heard)).await {
                Err(_elapsed) => return true,
                Ok(Ok(0) | Err(_)) => return false,
                Ok(Ok(_)) => (),
            }
        }
    }

    /// Reads until what was heard is `enough`; says whether that came in time.
    pub async fn until(&mut self, enough: impl Fn(&[u8]) -> bool) -> bool {
        self.until_within(PATIENCE, enough).await
    }

    /// As [`Wire::until`], with a bound of its own.
    pub async fn until_within(&mut self, time: Duration, enough: impl Fn(&[u8]) -> bool) -> bool {
        let read = async {
            while !enough(&self.heard) {
                if !matches!(self.stream.read_buf(&mut self.heard).await, Ok(1..)) {
                    return false;
                }
            }
            true
        };
        timeout(time, read).await.unwrap_or(false)
    }

    /// Reads to the end of a head, and takes it out of what was heard.
    pub async fn head(&mut self) -> Option<String> {
        if !self.until_within(PATIENT, |heard| end_of_head(heard).is_some()).await {
            return None;
        }
        let end = end_of_head(&self.heard)?;
        Some(String::from_utf8_lossy(&self.heard.drain(..end).collect::<Vec<_>>()).into_owned())
    }

    /// Leaves.
    pub async fn leaves(mut self, how: How) {
        match how {
            How::Fin => {
                let _ = self.stream.shutdown().await;
                self.listens(LINGER).await;
            }
            How::Close => (),
            How::Reset => {
                let _ = self.stream.set_zero_linger();
            }
        }
    }
}

/// Where the body begins.
pub fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

/// How long a side waits for what may never come.
pub const PATIENCE: Duration = Duration::from_millis(600);

/// How long a side waits for what must come, on a machine that is busy.
pub const PATIENT: Duration = Duration::from_secs(10);

/// How long who has sent its FIN still reads.
const LINGER: Duration = Duration::from_millis(150);
