//! The seam: the proxy as a [`tower::Service`].
//!
//! Runs for every request.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::Body;
use tower::Service;

use super::{BodyError, Proxy, RequestBody, ResponseBody};

/// Takes requests of any HTTP/1.1 server that is built on the `http` crate.
///
/// The request's extensions should hold a [`ClientInfo`](crate::client::ClientInfo); without one
/// the client is `0.0.0.0` to the nodes. Upgrades work if the server leaves hyper's
/// [`OnUpgrade`](hyper::upgrade::OnUpgrade) in the extensions, as axum and hyper do.
impl<B> Service<http::Request<B>> for Proxy
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BodyError>,
{
    type Response = http::Response<ResponseBody>;
    type Error = Infallible;
    /// Boxed: a connection that waits for its next request then does not hold the room that one
    /// under way takes.
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let proxy = self.clone();
        let mut request = request.map(RequestBody::adopt);
        Box::pin(async move { Ok(proxy.answer(&mut request).await) })
    }
}
