//! The trace of one request: what nodes get of it, and the span of what we did.
//!
//! Runs for every request.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use http::HeaderMap;

use super::Tracing;
use super::span::{Attribute, Span, SpanQueue};
use super::trace_context::TraceContext;

/// The trace that a request belongs to.
#[derive(Clone, Debug)]
pub(crate) struct RequestTrace {
    context: TraceContext,
    span: Option<OwnSpan>,
}

/// Our part of it, which is exported.
#[derive(Clone, Debug)]
struct OwnSpan {
    parent_id: Option<u64>,
    began: SystemTime,
    queue: Arc<SpanQueue>,
}

impl RequestTrace {
    /// The trace of a request with these fields, in memory only if there is one. If spans of it are exported,
    /// nodes get ours as the parent of theirs.
    pub(crate) fn of_request(headers: &mut HeaderMap, tracing: &Tracing) -> Option<Box<Self>> {
        let Tracing { sample, spans } = tracing;
        let (context, is_new) = TraceContext::of_request(headers, *sample)?;
        let queue = spans.as_ref().filter(|_| context.is_sampled());
        let Some(queue) = queue else { return Some(Box::new(Self { context, span: None })) };
        let own = if is_new { context } else { context.child() };
        if !is_new {
            own.put(headers);
        }
        let parent_id = (!is_new).then(|| context.parent_id());
        let span = OwnSpan { parent_id, began: SystemTime::now(), queue: queue.clone() };
        Some(Box::new(Self { context: own, span: Some(span) }))
    }

    /// The trace of the tunnel that the request opens: its span is a child of the request's.
    pub(crate) fn of_tunnel(&self) -> Box<Self> {
        let span = self.span.as_ref().map(|span| OwnSpan {
            parent_id: Some(self.context.parent_id()),
            began: SystemTime::now(),
            queue: span.queue.clone(),
        });
        let context = if span.is_some() { self.context.child() } else { self.context };
        Box::new(Self { context, span })
    }

    /// Whether its span is exported, so that its attributes are worth gathering.
    pub(crate) fn is_exported(&self) -> bool {
        self.span.is_some()
    }

    /// Exports the span, which ends now.
    pub(crate) fn end(
        &self,
        (name, has_failed): (&'static str, bool),
        attributes: Vec<(&'static str, Attribute)>,
        events: Vec<(SystemTime, &'static str)>,
    ) {
        let Some(OwnSpan { parent_id, began, queue }) = &self.span else { return };
        queue.push(Span {
            trace_id: self.context.trace_id(),
            id: self.context.parent_id(),
            parent_id: *parent_id,
            name,
            began: *began,
            ended: SystemTime::now(),
            attributes,
            events,
            has_failed,
        });
    }

    /// When the span began; now if it is not exported.
    pub(crate) fn began(&self) -> SystemTime {
        self.span.as_ref().map_or_else(SystemTime::now, |span| span.began)
    }
}

/// The id of the trace.
impl fmt::Display for RequestTrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.context.fmt(f)
    }
}
