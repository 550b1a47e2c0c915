//! The admin listener: what the process tells of itself, and the orders that it takes.
//!
//! It asks nobody who he is, so it belongs on loopback, or on a network that only operators reach.
//! What comes is bounded as on any listener, and the number of connections besides. A web page has
//! no business here: see `answer`.
//!
//! Runs at start, at reload, or on a timer.

mod answer;
pub mod client;
mod metrics_page;
mod order;
mod site;
pub mod tables;
mod views;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use tokio::sync::mpsc;
use tower::service_fn;
use tracing::warn;

use crate::client::Places;
use crate::drain::{Drain, Tasks};
use crate::listener::{self, Accepted, BindError, Listener, serve};
pub use site::Site;

/// The admin listener, which waits to be served.
#[derive(Debug)]
pub struct Admin(Listener);

impl Admin {
    /// Takes the address.
    ///
    /// # Errors
    ///
    /// [`BindError`] if the address is not ours or is taken.
    pub fn bind(address: SocketAddr) -> Result<Self, BindError> {
        if !address.ip().is_loopback() {
            warn!(
                %address,
                "whoever reaches the admin listener can read the configuration and reload it"
            );
        }
        let settings = listener::Settings {
            bind: address,
            header_timeout: TIMEOUT,
            keep_alive_timeout: TIMEOUT,
            ..listener::Settings::default()
        };
        Listener::bind(&settings).map(Self)
    }

    /// The address with the port that the system chose, if it was to choose.
    pub fn local_address(&self) -> SocketAddr {
        self.0.local_address()
    }

    /// Tells of `site` and takes orders to it, for as long as it is polled. Its connections are
    /// cut with it.
    pub async fn serve(self, site: Site) {
        let address = self.local_address();
        let site = Arc::new(site);
        let (never, running) = Drain::new();
        let (sender, mut accepted) = mpsc::channel(1);
        let tasks = Tasks::default();
        let serving = async {
            while let Some(next) = accepted.recv().await {
                tasks.spawn(serve_one(next, site.clone(), running.clone()));
            }
        };
        let accepting = self.0.accept(sender, Places::new(CONNECTIONS_MAX), running.clone());
        let (result, ()) = tokio::join!(accepting, serving);
        if let Err(error) = result {
            warn!(%address, %error, "the admin listener cannot accept");
        }
        drop(never);
    }
}

async fn serve_one(accepted: Accepted, site: Arc<Site>, running: crate::drain::DrainWatch) {
    let bind = accepted.settings.bind;
    let service = service_fn(move |request: Request<Incoming>| {
        let site = site.clone();
        async move {
            let (head, _) = request.into_parts();
            Ok::<_, Infallible>(answer::answer(&site, bind, &head).await)
        }
    });
    serve(accepted, service, &running).await;
}

/// How long a head may take, and how long a connection may wait for its next request.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How many connections are served at once; a scraper, a prober and some people need less.
const CONNECTIONS_MAX: usize = 32;
