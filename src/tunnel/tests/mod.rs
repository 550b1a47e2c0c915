//! A tunnel between a client and a node that the test plays, in virtual time.

mod bounds;
mod dismissal;
mod ends;
mod passing;
mod policies;
mod sockets;
mod time;
mod unknown;

use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinSet;

use super::*;
use crate::shutdown::Shutdown;

/// A running tunnel and the far ends of its two streams.
struct Rig {
    client: DuplexStream,
    node: DuplexStream,
    shutdown: Shutdown,
    begun_at: Instant,
    tunnel: JoinSet<Report>,
}

impl Rig {
    /// A tunnel with the usual [`setup`].
    fn start() -> Self {
        Self::start_with(|_| ())
    }

    fn start_with(change: impl FnOnce(&mut Setup)) -> Self {
        let (shutdown, watch) = Shutdown::new();
        let mut setup = setup(watch);
        change(&mut setup);
        let (client, client_side) = duplex(PIPE_BYTES);
        let (node, node_side) = duplex(PIPE_BYTES);
        let mut tunnel = JoinSet::new();
        tunnel.spawn(run(client_side, node_side, setup));
        Self { client, node, shutdown, begun_at: Instant::now(), tunnel }
    }

    /// The tunnel's report, and after how long it came.
    async fn report(&mut self) -> (Report, Duration) {
        let report = self.tunnel.join_next().await.unwrap().unwrap();
        (report, self.begun_at.elapsed())
    }
}

/// A plain tunnel with the default limits, but without Pings.
fn setup(shutdown: ShutdownWatch) -> Setup {
    Setup {
        limits: Limits { keepalive: Keepalive::Off, ..Limits::default() },
        client_read_ahead: Bytes::new(),
        node_read_ahead: Bytes::new(),
        protocol: Protocol::Plain,
        expires_at: None,
        upgrade_progress: None,
        extensions: Extensions::None,
        shutdown,
        roster_guard: Roster::new(Instant::now()).enter(Identity::unknown()),
        counts: Arc::default(),
    }
}

/// A frame as a client sends it; `first` is FIN, the reserved bits and the opcode.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [9, 8, 7, 6];
    let mut frame = vec![first, 0x80 | u8::try_from(payload.len()).unwrap()];
    frame.extend(mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

/// A frame as a node sends it.
fn unmasked(first: u8, payload: &[u8]) -> Vec<u8> {
    [&[first, u8::try_from(payload.len()).unwrap()], payload].concat()
}

/// The next bytes of `stream` are these.
async fn expect(stream: &mut (impl AsyncReadExt + Unpin), expected: &[u8]) {
    let mut bytes = vec![0; expected.len()];
    stream.read_exact(&mut bytes).await.unwrap();
    assert_eq!(bytes, expected);
}

/// The next bytes of a node's `stream` are a masked Close frame with this payload.
async fn expect_masked_close(stream: &mut (impl AsyncReadExt + Unpin), payload: &[u8]) {
    let mut frame = vec![0; 6 + payload.len()];
    stream.read_exact(&mut frame).await.unwrap();
    let (head, masked) = frame.split_at(6);
    assert_eq!(head[..2], [0x88, 0x80 | u8::try_from(payload.len()).unwrap()]);
    let bytes = masked.iter().zip(head[2..].iter().cycle()).map(|(byte, key)| byte ^ key);
    assert_eq!(bytes.collect::<Vec<_>>(), payload);
}

/// The next thing on `stream` is FIN.
async fn expect_fin(stream: &mut (impl AsyncReadExt + Unpin)) {
    assert_eq!(stream.read(&mut [0; 64]).await.unwrap(), 0);
}

/// What a duplex stream holds in each direction.
const PIPE_BYTES: usize = 1024;

const SECOND: Duration = Duration::from_secs(1);
