//! The compression of a response, by what its client has said.
//!
//! Runs for every request.

use std::sync::Arc;

use http::header::{ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use tracing::warn;

use super::body::ResponseBody;
use super::context::Response;
use crate::site::{Coding, CompressedBody, Compression, Permit, members, put_coding, put_vary};

/// What the route says, and what the client accepts.
#[derive(Debug)]
pub(super) struct Compressible {
    rules: Arc<Compression>,
    coding: Option<Coding>,
    is_head: bool,
    /// The versions that the client has.
    known: Box<[HeaderValue]>,
}

impl Compressible {
    /// For the response to a request with this method and these fields.
    pub(super) fn new(rules: &Arc<Compression>, method: &Method, request: &HeaderMap) -> Self {
        let (rules, coding) = (rules.clone(), rules.coding(request));
        let known = request.get_all(IF_NONE_MATCH).into_iter().cloned().collect();
        Self { rules, coding, is_head: *method == Method::HEAD, known }
    }

    /// Compresses `response`, or says that it could have been.
    pub(super) fn compress(&self, response: &mut Response) {
        if response.status() == StatusCode::NOT_MODIFIED {
            return self.confirm(response.headers_mut());
        }
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

    /// Says what a compressed response would say (RFC 9110, section 15.4.5), unless the client has the
    /// uncompressed one: a strong tag would let it join parts of both.
    fn confirm(&self, fields: &mut HeaderMap) {
        put_vary(fields);
        let Some(tag) = fields.get(ETAG).filter(|tag| !tag.as_bytes().starts_with(b"W/")) else {
            return;
        };
        let weak = [b"W/", tag.as_bytes()].concat();
        let has = |tag: &[u8]| {
            self.known.iter().any(|line| members(line.as_bytes()).any(|member| member == tag))
        };
        let is_compressed = has(&weak) || (self.coding.is_some() && !has(tag.as_bytes()));
        if let Some(weak) = HeaderValue::from_bytes(&weak).ok().filter(|_| is_compressed) {
            fields.insert(ETAG, weak);
        }
    }
}
