//! The proxy as a [`tower::Service`], for our own listener and for embedders.
//!
//! Runs for every request.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::ORIGIN;
use http_body::Body;
use tower::Service;

use super::access_log::LogEntry;
use super::body::{BodyError, RequestBody, ResponseBody};
use super::context::{Request, Response, Shared};
use super::refusal::{self, RefusalFormat};
use super::response_fields::put_page;
use super::{forwarded, headers};
use crate::Instant;
use crate::net::ClientInfo;
use crate::pool::Pool;
use crate::shutdown::ShutdownWatch;
use crate::snapshot::Current;
use crate::tasks::Tasks;
use crate::telemetry::RequestTrace;

/// The proxy as a [`tower::Service`]: our own listener and any other HTTP/1.1 server can call it.
///
/// Clones share the connections to nodes; [`Proxy::for_worker`] makes one with its own.
#[derive(Clone, Debug)]
pub struct Proxy(pub(super) Arc<Shared>);

impl Proxy {
    /// A proxy that follows `current`. Its tunnels end when `shutdown` begins.
    pub fn new(current: Arc<Current>, shutdown: ShutdownWatch) -> Self {
        Self::with(current, Tasks::default(), shutdown)
    }

    /// The same proxy with its own connections and tasks, so that a worker shares no lock.
    pub fn for_worker(&self, tasks: Tasks) -> Self {
        Self::with(self.0.current.clone(), tasks, self.0.shutdown.clone())
    }

    fn with(current: Arc<Current>, tasks: Tasks, shutdown: ShutdownWatch) -> Self {
        let (pool, budget) = (Pool::new(), Arc::default());
        let ended = current.load().ended.clone();
        Self(Arc::new(Shared { current, pool, budget, tasks, shutdown, ended }))
    }

    /// The response to `request`: a node's or, on an error, our own.
    async fn respond(&self, request: &mut Request) -> Response {
        let client = request.extensions_mut().remove::<ClientInfo>().unwrap_or_else(unknown_client);
        let address = forwarded::client_address(request.headers(), &client);
        let origin = request.headers().get(ORIGIN).and_then(headers::in_own_memory);
        let id = headers::request_id(request.headers(), &client);
        let snapshot = self.0.current.load();
        let trace = RequestTrace::of_request(request.headers_mut(), &snapshot.tracing);
        let head = (request.method(), request.uri(), request.version());
        let mut entry =
            LogEntry::begin(head, address, id, snapshot.unrouted.clone(), Instant::now());
        entry.set_trace(trace);
        let had_body = !request.body().is_end_stream();
        let mut fields = None;
        let answered = self.exchange(&snapshot, &client, request, (&mut entry, &mut fields)).await;
        match answered {
            Ok(response) => response,
            Err(error) => {
                entry.failed(&error, Instant::now());
                // If the request could not be parsed, it is still complete.
                let is_engineio =
                    entry.is_engineio() || refusal::is_engineio(request.uri().query());
                let format = RefusalFormat { is_engineio, had_body, origin };
                let mut refusal = format.response(&error, entry.request_id());
                let pages = match &fields {
                    Some(fields) => fields.pages(),
                    None => snapshot.error_pages.as_ref(),
                };
                let pages = pages.filter(|_| !is_engineio && !entry.is_upgrade());
                if let Some(page) = pages.and_then(|pages| pages.page(refusal.status())) {
                    put_page(page, &mut refusal);
                }
                if let Some(fields) = fields {
                    fields.complete(&mut refusal);
                }
                refusal
            }
        }
    }
}

/// Takes requests of any HTTP/1.1 server that is built on the `http` crate.
///
/// The request's extensions should hold a [`ClientInfo`](crate::net::ClientInfo); without one
/// the client is `0.0.0.0` to the nodes. Upgrades work if the server leaves hyper's
/// [`OnUpgrade`](hyper::upgrade::OnUpgrade) in the extensions, as axum and hyper do.
impl<B> Service<http::Request<B>> for Proxy
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BodyError>,
{
    type Response = http::Response<ResponseBody>;
    type Error = Infallible;
    /// Boxed: a connection that waits for its next request then does not hold the memory that a
    /// request in progress needs.
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let proxy = self.clone();
        let mut request = request.map(RequestBody::adopt);
        Box::pin(async move { Ok(proxy.respond(&mut request).await) })
    }
}

/// The client, if an embedder does not set a [`ClientInfo`].
fn unknown_client() -> ClientInfo {
    ClientInfo::plain(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)))
}
