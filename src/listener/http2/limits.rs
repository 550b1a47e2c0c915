//! What one HTTP/2 connection may make us hold. Every bound is set here, whatever the defaults of h2
//! are. Two are h2's alone: 100 empty DATA frames in the life of a connection, and about as many
//! CONTINUATION frames as the header list needs, at least five.
//!
//! Runs for every request.

use std::time::Duration;

use h2::server::Builder;

use crate::listener::Settings;

/// The settings of h2 for a client of a listener with these settings.
pub(super) fn h2(settings: &Settings) -> Builder {
    let streams = settings.http2_streams_max.get();
    let mut h2 = Builder::new();
    h2.enable_connect_protocol()
        .max_concurrent_streams(streams)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(
            STREAM_WINDOW.saturating_mul(streams.max(CONNECTION_STREAMS_MIN)),
        )
        .data_frame_budget(DATA_FRAME_BUDGET)
        .max_frame_size(FRAME_BYTES_MAX)
        .max_send_buffer_size(SEND_BUFFER_BYTES)
        .max_header_list_size(header_list_max(settings))
        .header_table_size(HEADER_TABLE_BYTES)
        .max_pending_accept_reset_streams(streams as usize)
        .max_local_error_reset_streams(Some(LOCAL_RESETS_MAX))
        .max_concurrent_reset_streams(REMEMBERED_RESETS)
        .reset_stream_duration(RESETS_REMEMBERED_FOR);
    h2
}

/// h2 counts 32 bytes for each field in addition to its own (RFC 9113, section 6.5.2). A head that is
/// small enough over HTTP/1.1 is never refused by h2, whose 431 says nothing. Cookies may come one by
/// one.
fn header_list_max(settings: &Settings) -> u32 {
    let fields = settings.head.fields_max.saturating_mul(FIELD_EXTRA_BYTES);
    let bytes = settings.head.bytes_max.saturating_add(fields);
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// The bytes that a client may send on one stream before they are read: the default of HTTP/2, and of a
/// tunnel's buffer.
const STREAM_WINDOW: u32 = 64 * 1024 - 1;

/// Streams that nobody reads must not stop the others: the window of the connection has room for the
/// windows of all its streams.
const CONNECTION_STREAMS_MIN: u32 = 16;

/// h2 subtracts 256 for each DATA frame that is not taken yet, less the length of its payload, and ends
/// the connection at 0. A tunnel takes what has arrived even if it does not read; `wire` lets it do so
/// after 256 frames, and those of one more read.
const DATA_FRAME_BUDGET: usize = 512 * 1024;

/// The smallest maximum that HTTP/2 allows.
const FRAME_BYTES_MAX: u32 = 16 * 1024;

/// What a stream may hold that its client's window has taken and its socket has not: as much as a
/// tunnel's buffer.
const SEND_BUFFER_BYTES: usize = 64 * 1024;

/// The memory of a client's compression, the default of HTTP/2.
const HEADER_TABLE_BYTES: u32 = 4096;

/// Streams that we reset because the client broke a rule, in the life of a connection.
const LOCAL_RESETS_MAX: usize = 100;

/// Streams that we reset and whose late frames are ignored, and for how long.
const REMEMBERED_RESETS: usize = 100;
const RESETS_REMEMBERED_FOR: Duration = Duration::from_secs(2);

const FIELD_EXTRA_BYTES: usize = 32;
