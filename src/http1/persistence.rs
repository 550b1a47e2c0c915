//! Whether a node keeps its connection open for another request (RFC 9112, section 9.3).
//!
//! Pure. Runs for every request.

use std::time::Duration;

use http::Version;
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, TRANSFER_ENCODING};

use super::fields::members;

/// What an answer says about its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Persistence {
    /// Another request may follow after the end of the answer, provided that the node sent nothing
    /// after it.
    pub is_reusable: bool,
    /// For how long the node keeps an idle connection: `Keep-Alive: timeout=N`.
    pub timeout: Option<Duration>,
}

impl Persistence {
    /// From the fields of an answer, before the fields of its framing are removed.
    pub(super) fn new(version: Version, headers: &HeaderMap) -> Self {
        Self {
            is_reusable: keeps_alive(version, headers) && !has_two_framings(headers),
            timeout: members(headers, &KEEP_ALIVE).find_map(timeout),
        }
    }
}

/// A `close` overrides any `keep-alive`.
fn keeps_alive(version: Version, headers: &HeaderMap) -> bool {
    let mut keeps = version == Version::HTTP_11;
    for option in members(headers, &CONNECTION) {
        if option.eq_ignore_ascii_case(b"close") {
            return false;
        }
        keeps |= option.eq_ignore_ascii_case(b"keep-alive");
    }
    keeps
}

/// The node may mean another end of the answer than we do (RFC 9112, section 6.1).
fn has_two_framings(headers: &HeaderMap) -> bool {
    headers.contains_key(TRANSFER_ENCODING) && headers.contains_key(CONTENT_LENGTH)
}

/// `timeout=5`, one of the parameters of a Keep-Alive (RFC 2068, section 19.7.1.1).
fn timeout(parameter: &[u8]) -> Option<Duration> {
    let (name, value) = parameter.split_at_checked(TIMEOUT.len())?;
    let seconds = value.trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start();
    let seconds = str::from_utf8(seconds).ok().filter(|_| name.eq_ignore_ascii_case(TIMEOUT))?;
    seconds.parse::<u32>().ok().map(|seconds| Duration::from_secs(seconds.into()))
}

const TIMEOUT: &[u8] = b"timeout";

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
