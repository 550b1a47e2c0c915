//! The end of a tunnel: its log line, its counts, and its record among the sessions that ended last.
//!
//! Runs for every request.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use tokio::time::Sleep;
use tracing::{error, info};

use super::access_log::shown;
use crate::Instant;
use crate::insight::{EndContext, EndedSession, EndedSessions, may_be_restart};
use crate::metrics::{Protocol, RouteCounts, WhenUsed};
use crate::telemetry::RequestTrace;
use crate::tunnel::{End, Identity, Report, Who};
use crate::upstream::Node;

/// What the log line of a tunnel's end needs.
#[derive(Debug)]
pub(super) struct TunnelLogEntry {
    pub(super) identity: Arc<Identity>,
    pub(super) counts: WhenUsed<RouteCounts>,
    pub(super) ended: Arc<EndedSessions>,
    pub(super) trace: Option<Box<RequestTrace>>,
}

impl TunnelLogEntry {
    /// The HTTP of its handshake.
    pub(super) fn protocol(&self) -> Protocol {
        self.identity.protocol
    }

    /// Counts a tunnel's end and writes its line: now, or in a second if more may be known by then.
    pub(super) fn ended(self, node: Arc<Node>, report: Report) -> Option<LateLine> {
        self.counts.tunnels.ends.count([report.end.label(), report.end.who().label()]);
        self.export(node.name(), &report);
        let is_late = may_be_restart(report.end);
        if is_late {
            self.ended.note_loss(node.name(), Instant::now());
        }
        let line =
            EndLine { entry: self, node, report, ended_at: (Instant::now(), SystemTime::now()) };
        match is_late {
            true => Some(LateLine::new(line)),
            false => {
                line.write();
                None
            }
        }
    }

    /// Counts a tunnel that panicked and writes its line. It says nothing of the traffic.
    pub(super) fn panicked(&self, node: &str) {
        let (end, by, of) = ("panicked", Who::Proxy.label(), &*self.identity);
        self.counts.tunnels.ends.count([end, by]);
        error!(
            client = %of.client, path = &*of.path, transport = of.transport,
            session = of.session.as_deref(), node, end, by,
            request = &*of.request_id, trace = shown(self.trace.as_deref()), "tunnel ended"
        );
    }

    /// Exports the span of the tunnel, if it is to be.
    fn export(&self, node: &str, report: &Report) {
        let Some(trace) = self.trace.as_ref().filter(|trace| trace.is_exported()) else { return };
        let (of, now) = (&*self.identity, SystemTime::now());
        let client = of.client.to_string();
        let attributes = vec![
            ("url.path", (&*of.path).into()),
            ("client.address", client.as_str().into()),
            ("sockeye.node", node.into()),
            ("sockeye.transport", of.transport.into()),
            ("sockeye.end", report.end.label().into()),
            ("sockeye.end.by", report.end.who().label().into()),
            ("sockeye.bytes_from_client", report.from_client.bytes.into()),
            ("sockeye.bytes_from_node", report.from_node.bytes.into()),
            ("sockeye.messages_from_client", report.from_client.messages.into()),
            ("sockeye.messages_from_node", report.from_node.messages.into()),
        ];
        let mut events = vec![(trace.began(), "upgrade")];
        events.extend((report.end == End::NodeDrained).then_some((now, "drain")));
        events.push((now, "end"));
        trace.end(("tunnel", false), attributes, events);
    }

    /// An entry without a request.
    #[cfg(test)]
    pub(super) fn of_test(counts: WhenUsed<RouteCounts>) -> Self {
        Self { identity: Identity::unknown(), counts, ended: Arc::default(), trace: None }
    }
}

/// The line of an end.
#[derive(Debug)]
struct EndLine {
    entry: TunnelLogEntry,
    node: Arc<Node>,
    report: Report,
    ended_at: (Instant, SystemTime),
}

impl EndLine {
    /// Writes it, and keeps the end for lists.
    fn write(self) {
        let Self { entry, node, report, ended_at: (ended_at, at) } = self;
        let (of, name) = (&*entry.identity, node.name());
        let context = EndContext {
            has_heartbeat: of.has_heartbeat,
            has_tunnels_left: node.roster().present() > 0,
            has_refused_connects: node.failed_at().is_some_and(|failed_at| failed_at >= ended_at),
            ..EndContext::default()
        };
        let explanation = entry.ended.explain(&report, context, (name, Instant::now()));
        let cause = explanation.as_ref().map(|explained| explained.cause.label());
        if let Some(cause) = cause {
            node.counts().end_causes.count([cause]);
        }
        info!(
            client = %of.client, http = of.protocol.label(), path = &*of.path,
            transport = of.transport, session = of.session.as_deref(), node = &**name,
            end = report.end.label(), by = report.end.who().label(), code = report.close_code,
            fault = report.end.fault().map(tracing::field::display), cause,
            explanation = explanation.as_ref().map(|explained| &*explained.sentence),
            seconds = report.duration.as_secs_f64(),
            bytes_from_client = report.from_client.bytes,
            bytes_from_node = report.from_node.bytes,
            messages_from_client = report.from_client.messages,
            messages_from_node = report.from_node.messages,
            request = &*of.request_id, trace = shown(entry.trace.as_deref()), "tunnel ended"
        );
        let TunnelLogEntry { identity, ended, .. } = entry;
        ended.keep(EndedSession { identity, node: name.clone(), at, report, explanation });
    }
}

/// The line of an end that is written a second later, because the other tunnels of a node that stops end at
/// the same time, and because it then refuses connects. It is written at once if this is dropped.
#[derive(Debug)]
pub(super) struct LateLine {
    line: Option<Box<EndLine>>,
    sleep: Pin<Box<Sleep>>,
}

impl LateLine {
    fn new(line: EndLine) -> Self {
        Self { line: Some(Box::new(line)), sleep: Box::pin(tokio::time::sleep(LATE)) }
    }
}

impl Future for LateLine {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        ready!(self.sleep.as_mut().poll(cx));
        if let Some(line) = self.line.take() {
            line.write();
        }
        Poll::Ready(())
    }
}

impl Drop for LateLine {
    fn drop(&mut self) {
        if let Some(line) = self.line.take() {
            line.write();
        }
    }
}

/// How long the line of an end waits that may be one of many.
const LATE: Duration = Duration::from_secs(1);
