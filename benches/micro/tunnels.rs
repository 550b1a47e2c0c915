//! What a WebSocket's bytes cost: the frames followed, and the whole relay over streams in memory.

use bytes::Bytes;
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use sockeye::Shutdown;
use sockeye::internal::Extensions;
use sockeye::internal::Tasks;
use sockeye::internal::scan_client_frames;
use sockeye::internal::tunnel::{self, Identity, Limits, Protocol, Roster, Setup};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Builder;

#[divan::bench(args = [64, 16 * 1024])]
fn scan_frames(bencher: Bencher<'_, '_>, payload_bytes: usize) {
    let stream = frame(payload_bytes).repeat(FRAMES);
    let now = tokio::time::Instant::now();
    bencher
        .counter(ItemsCount::new(FRAMES))
        .counter(BytesCount::new(stream.len()))
        .bench_local(|| scan_client_frames(divan::black_box(&stream).chunks(READ_BYTES), now));
}

/// From the client's end to the node's, tasks woken included.
#[divan::bench(args = [64, 16 * 1024])]
fn relay_a_message(bencher: Bencher<'_, '_>, payload_bytes: usize) {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (mut client, client_of_tunnel) = tokio::io::duplex(PIPE_BYTES);
    let (node_of_tunnel, mut node) = tokio::io::duplex(PIPE_BYTES);
    let (_shutdown, watch) = Shutdown::new();
    let now = tokio::time::Instant::now();
    let setup = Setup {
        limits: Limits::default(),
        client_read_ahead: Bytes::new(),
        node_read_ahead: Bytes::new(),
        protocol: Protocol::Plain,
        expires_at: None,
        upgrade_progress: None,
        extensions: Extensions::None,
        shutdown: watch,
        roster_guard: Roster::new(now).enter(Identity::begun(now)),
        counts: std::sync::Arc::default(),
    };
    let tasks = Tasks::default();
    runtime.block_on(async {
        tasks.spawn(async { _ = tunnel::run(client_of_tunnel, node_of_tunnel, setup).await });
    });
    let frame = frame(payload_bytes);
    let mut passed = vec![0; frame.len()];
    bencher.counter(BytesCount::new(frame.len())).bench_local(|| {
        runtime.block_on(async {
            client.write_all(&frame).await.expect("the tunnel lives");
            node.read_exact(&mut passed).await.expect("the tunnel lives");
        });
    });
    assert_eq!(passed, frame);
}

/// A masked binary frame of a client.
fn frame(payload_bytes: usize) -> Vec<u8> {
    let mut frame = vec![0x82];
    match u16::try_from(payload_bytes) {
        Ok(short @ 0..126) => frame.push(0x80 | short as u8),
        Ok(medium) => {
            frame.push(0x80 | 126);
            frame.extend(medium.to_be_bytes());
        }
        Err(_) => panic!("no benchmark has so long a frame"),
    }
    frame.extend([1, 2, 3, 4]);
    frame.resize(frame.len() + payload_bytes, b'x');
    frame
}

const FRAMES: usize = 16;

/// As much as a tunnel reads at a time.
const READ_BYTES: usize = 64 * 1024;

const PIPE_BYTES: usize = 256 * 1024;
