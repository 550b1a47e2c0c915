//! A WebSocket (RFC 6455) as a client: messages up to a bound, each awaited with a deadline.
//!
//! Runs at start, at reload, or on a timer.

use std::io;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::Instant;
use crate::websocket::{Head, Opcode};

/// An open WebSocket.
pub(super) struct Socket {
    stream: TokioIo<Upgraded>,
    buffer: BytesMut,
    /// A message of which frames are missing.
    partial: Vec<u8>,
    /// When the last byte came.
    pub(super) heard: Instant,
}

/// How a WebSocket ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "how")]
pub(crate) enum End {
    /// By a Close frame.
    Closed {
        /// Its code, if it had one.
        code: Option<u16>,
    },
    /// The connection ended without one.
    Dropped {
        /// The error of the system, or nothing.
        detail: String,
    },
    /// It sent what is no WebSocket.
    Malformed {
        /// What is wrong.
        detail: String,
    },
    /// No message came in time: it is still open.
    Silent,
}

impl Socket {
    /// The WebSocket on a connection that has switched.
    pub(super) fn new(upgraded: Upgraded) -> Self {
        let (buffer, partial) = (BytesMut::new(), Vec::new());
        Self { stream: TokioIo::new(upgraded), buffer, partial, heard: Instant::now() }
    }

    /// Sends a text message.
    pub(super) async fn send(&mut self, text: &str) -> Result<(), End> {
        self.frame(0x1, text.as_bytes()).await
    }

    /// The next message that is text or binary; answers Pings.
    pub(super) async fn receive(&mut self, within: Duration) -> Result<Vec<u8>, End> {
        timeout(within, self.message()).await.unwrap_or(Err(End::Silent))
    }

    /// Ends it in order, without waiting for the answer.
    pub(super) async fn close(mut self) {
        // It may be gone already.
        let _ = timeout(CLOSE_WITHIN, self.frame(0x8, &1000_u16.to_be_bytes())).await;
    }

    async fn frame(&mut self, opcode: u8, payload: &[u8]) -> Result<(), End> {
        let mut frame = vec![0x80 | opcode];
        match (u16::try_from(payload.len()), payload.len()) {
            (_, short @ ..126) => frame.push(0x80 | u8::try_from(short).unwrap_or(0)),
            (Ok(medium), _) => {
                frame.push(0x80 | 126);
                frame.extend(medium.to_be_bytes());
            }
            (Err(_), long) => {
                frame.push(0x80 | 127);
                frame.extend(u64::try_from(long).unwrap_or(u64::MAX).to_be_bytes());
            }
        }
        let mask = fastrand::u32(..).to_be_bytes();
        frame.extend(mask);
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        let written = async {
            self.stream.write_all(&frame).await?;
            self.stream.flush().await
        };
        match timeout(SEND_WITHIN, written).await {
            Ok(written) => written.map_err(dropped),
            Err(_elapsed) => Err(End::Silent),
        }
    }

    async fn message(&mut self) -> Result<Vec<u8>, End> {
        loop {
            let malformed = |detail: &str| End::Malformed { detail: detail.to_owned() };
            let read = Head::read(&self.buffer).map_err(|error| malformed(&error.to_string()))?;
            let Some(head) = read else {
                self.fill().await?;
                continue;
            };
            let length = usize::try_from(head.payload_bytes).unwrap_or(usize::MAX);
            if head.mask.is_some() || head.rsv1 || head.rsv2_or_rsv3 {
                return Err(malformed("a frame is masked or compressed without agreement"));
            }
            if length.saturating_add(self.partial.len()) > MESSAGE_BYTES_MAX {
                return Err(malformed("a message is too long"));
            }
            if self.buffer.len() < head.head_bytes + length {
                self.fill().await?;
                continue;
            }
            self.buffer.advance(head.head_bytes);
            let payload = self.buffer.split_to(length);
            match head.opcode {
                Opcode::Text | Opcode::Binary | Opcode::Continuation => {
                    self.partial.extend_from_slice(&payload);
                    if head.fin {
                        return Ok(std::mem::take(&mut self.partial));
                    }
                }
                Opcode::Close => {
                    let code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
                    return Err(End::Closed { code });
                }
                Opcode::Ping => self.frame(0xa, &payload).await?,
                Opcode::Pong => (),
                Opcode::Reserved => return Err(malformed("a reserved opcode")),
            }
        }
    }

    async fn fill(&mut self) -> Result<(), End> {
        self.buffer.reserve(READ_BYTES);
        match self.stream.read_buf(&mut self.buffer).await {
            Ok(0) => Err(End::Dropped { detail: String::new() }),
            Ok(_) => {
                self.heard = Instant::now();
                Ok(())
            }
            Err(error) => Err(dropped(error)),
        }
    }
}

fn dropped(error: io::Error) -> End {
    End::Dropped { detail: error.to_string() }
}

const READ_BYTES: usize = 16 * 1024;

/// More than the largest payload that is asked for.
const MESSAGE_BYTES_MAX: usize = 4 << 20;

const SEND_WITHIN: Duration = Duration::from_secs(10);

const CLOSE_WITHIN: Duration = Duration::from_millis(200);
