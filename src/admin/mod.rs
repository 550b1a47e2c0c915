//! The admin listener: what the process tells of itself, and the orders that it takes.
//!
//! It asks nobody who he is, so it belongs on loopback, or on a network that only operators reach.
//! What comes is bounded as on any listener, and the number of connections besides: see `seats`. A
//! web page has no business here: see `answer`.
//!
//! Runs at start, at reload, or on a timer.

mod answer;
pub mod client;
mod metrics_page;
mod order;
mod readiness;
mod seats;
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
use tokio_util::sync::CancellationToken;
use tower::service_fn;
use tracing::{debug, warn};

use crate::Instant;
use crate::client::Places;
use crate::listener::{self, Accepted, BindError, Listener, serve};
use crate::shutdown::ShutdownWatch;
use crate::tasks::Tasks;
pub use readiness::FirstAnswers;
use seats::{Seat, Seats};
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
            header_timeout: HEADER_TIMEOUT,
            keep_alive_timeout: KEEP_ALIVE_TIMEOUT,
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
        let running = ShutdownWatch::never();
        let (sender, mut accepted) = mpsc::channel(1);
        let tasks = Tasks::default();
        let serving = async {
            let seats = Seats::new(CONNECTIONS_MAX);
            while let Some(next) = accepted.recv().await {
                let seat = seats.take().await;
                tasks.spawn(serve_one(next, site.clone(), running.clone(), seat));
            }
        };
        // The seats are the bound.
        let accepting = self.0.accept(sender, Places::new(usize::MAX), CancellationToken::new());
        let (result, ()) = tokio::join!(accepting, serving);
        if let Err(error) = result {
            warn!(%address, %error, "the admin listener cannot accept");
        }
    }
}

async fn serve_one(accepted: Accepted, site: Arc<Site>, running: ShutdownWatch, mut seat: Seat) {
    let bind = accepted.settings.bind;
    let requests = seat.requests();
    let service = service_fn(move |request: Request<Incoming>| {
        let (site, requests) = (site.clone(), requests.clone());
        async move {
            let (head, _) = request.into_parts();
            requests.begin(Instant::now());
            let answer = answer::answer(&site, bind, &head).await;
            requests.end(Instant::now());
            Ok::<_, Infallible>(answer)
        }
    });
    tokio::select! {
        _ = serve(accepted, service, &running) => (),
        () = seat.lost() => debug!("a new connection to the admin listener takes an idle one's seat"),
    }
}

/// How long the head of a request may take from its first byte.
const HEADER_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a connection may wait for its next request.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// How many connections are served at once; a scraper, a prober and some people need less. One more
/// takes the place of one that is idle.
const CONNECTIONS_MAX: usize = 32;
