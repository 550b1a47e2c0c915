//! A response that the configuration holds.
//!
//! Pure. Runs for every request.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};

/// A response that the configuration holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Respond {
    /// Its status.
    pub(crate) status: StatusCode,
    /// Its body.
    pub(crate) body: Bytes,
    /// The type of its body.
    pub(crate) content_type: HeaderValue,
}

impl Respond {
    /// The response.
    pub(crate) fn response(&self) -> Response<Bytes> {
        let mut response = Response::new(self.body.clone());
        *response.status_mut() = self.status;
        if !self.body.is_empty() {
            response.headers_mut().insert(CONTENT_TYPE, self.content_type.clone());
        }
        response
    }

    /// The longest `body`, in bytes.
    pub(crate) const BODY_BYTES_MAX: usize = 64 * 1024;

    /// The default of `content_type`.
    pub(crate) const CONTENT_TYPE: HeaderValue =
        HeaderValue::from_static("text/plain; charset=utf-8");
}
