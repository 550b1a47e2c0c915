//! Connections of HTTP/2, with WebSockets in their streams.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use h2::ext::Protocol;
use http::{Method, Request};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;

use super::Options;
use super::client::connect;
use super::stream::{Http2Read, ReadHalf, WriteHalf};
use super::tls::connect_tls;
use crate::wire::invalid;

/// An open connection, as long as this or one of its WebSockets is read. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Http2 {
    requests: SendRequest<Bytes>,
    task: Arc<JoinSet<()>>,
}

impl Http2 {
    /// Connects as client number `index`.
    pub(super) async fn connect(options: &Options, index: usize) -> io::Result<Self> {
        let socket = connect(options, index).await?;
        if options.tls {
            Self::begin(connect_tls(socket, b"h2").await?).await
        } else {
            Self::begin(socket).await
        }
    }

    async fn begin<S>(stream: S) -> io::Result<Self>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let mut builder = Builder::new();
        builder.initial_window_size(WINDOW).initial_connection_window_size(WINDOW);
        let opened = builder.handshake(stream).await;
        let (requests, connection) = opened.map_err(io::Error::other)?;
        let mut task = JoinSet::new();
        task.spawn(async move {
            // Its streams report the error.
            let _ = connection.await;
        });
        Ok(Self { requests, task: Arc::new(task) })
    }

    /// Opens a WebSocket on `target`.
    pub(super) async fn websocket(&self, target: &str) -> io::Result<(ReadHalf, WriteHalf)> {
        let mut requests = self.requests.clone().ready().await.map_err(io::Error::other)?;
        let request = Request::builder()
            .method(Method::CONNECT)
            .uri(format!("http://bench.test{target}"))
            .header("sec-websocket-version", "13");
        let mut request = request.body(()).map_err(io::Error::other)?;
        request.extensions_mut().insert(Protocol::from_static("websocket"));
        let sent = requests.send_request(request, false).map_err(io::Error::other)?;
        let response = sent.0.await.map_err(io::Error::other)?;
        if response.status() != 200 {
            return Err(invalid(format!("instead of a 200: {}", response.status())));
        }
        let read = Http2Read::new(response.into_body(), self.task.clone());
        Ok((ReadHalf::Http2(read), WriteHalf::Http2(sent.1)))
    }
}

/// As browsers do: a window that no load of ours fills.
const WINDOW: u32 = 1024 * 1024;
