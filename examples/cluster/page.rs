//! The page and its script, compiled into the program.

use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::Html;
use axum::routing::get;

/// Serves the page at `/`.
pub(crate) fn routes() -> Router {
    Router::new().route("/", get(([(CACHE_CONTROL, "no-cache")], Html(INDEX)))).route(
        "/socket.io.esm.min.js",
        get(([(CONTENT_TYPE, "text/javascript")], SOCKET_IO_CLIENT)),
    )
}

const INDEX: &str = include_str!("index.html");
const SOCKET_IO_CLIENT: &str = include_str!("vendor/socket.io.esm.min.js");
