//! The compression of a response, by what its client has said.
//!
//! Runs for every request.

use std::sync::Arc;

use http::{HeaderMap, Method, StatusCode};
use tracing::warn;

use super::body::ResponseBody;
use super::context::Response;
use crate::site::{Coding, CompressedBody, Compression, Permit, put_coding, put_vary};

/// What the route says, and what the client accepts.
#[derive(Debug)]
pub(super) struct Compressible {
    rules: Arc<Compression>,
    coding: Option<Coding>,
    is_head: bool,
}

impl Compressible {
    /// For the response to a request with this method and these fields.
    pub(super) fn new(rules: &Arc<Compression>, method: &Method, request: &HeaderMap) -> Self {
        let (rules, coding) = (rules.clone(), rules.coding(request));
        Self { rules, coding, is_head: *method == Method::HEAD }
    }

    /// Compresses `response`, or says that it could have been.
    pub(super) fn compress(&self, response: &mut Response) {
        if !self.rules.is_for(response.status(), response.headers()) {
            return;
        }
        put_vary(response.headers_mut());
        let Some(coding) = self.coding else { return };
        if self.is_head || response.status() == StatusCode::SWITCHING_PROTOCOLS {
            // The fields are those of a GET (RFC 9110, section 9.3.2).
            return put_coding(response.headers_mut(), coding);
        }
        let Some(permit) = Permit::take() else { return };
        let body = std::mem::replace(response.body_mut(), ResponseBody::whole(""));
        match CompressedBody::new(body, coding, permit) {
            Ok(body) => {
                *response.body_mut() = ResponseBody::boxed(body);
                put_coding(response.headers_mut(), coding);
            }
            Err((body, error)) => {
                *response.body_mut() = body;
                warn!(%error, "a response is not compressed");
            }
        }
    }
}
