//! The admin listener: the state of the process, and commands.
//!
//! Without `auth` it belongs on loopback or on a network that only operators reach. Requests have the limits
//! of any listener, and the number of connections is limited too: see `slots`. Who may do what, and from
//! which pages: see `permission`.
//!
//! Runs at start, at reload, or on a timer.

mod answer;
pub(crate) mod client;
mod command;
mod endpoints;
pub(crate) mod event_client;
mod event_stream;
mod history;
mod metrics_page;
pub(crate) mod model;
mod overview;
mod packet;
mod page;
mod permission;
mod query;
mod readiness;
mod recorder;
mod route_preview;
mod session_endpoints;
mod session_filter;
pub(crate) mod session_tables;
mod sessions;
mod slots;
mod state;
pub(crate) mod tables;
mod tail;
mod timeline;
mod tls_samples;
mod totals;
mod views;
mod watch;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tower::service_fn;
use tracing::{debug, warn};

use crate::Instant;
use crate::config::AdminSettings;
use crate::listener::{self, AcceptBounds, Accepted, BindError, Listener, LiveSettings, serve};
use crate::net::ClientBody;
use crate::shutdown::ShutdownWatch;
use crate::tasks::{Tasks, survived};
pub(crate) use event_stream::EventStreams;
pub(crate) use readiness::FirstAnswers;
pub(crate) use recorder::Recorder;
pub(crate) use route_preview::explain;
use slots::{Slot, Slots};
pub(crate) use state::AdminState;

/// The settings of an admin listener that serves.
#[derive(Debug)]
pub(crate) struct LiveAdmin(LiveSettings);

/// The admin listener, which is to be served.
#[derive(Debug)]
pub(crate) struct Admin(Listener);

impl Admin {
    /// Binds the address.
    ///
    /// # Errors
    ///
    /// [`BindError`] if the address is taken or does not belong to this machine.
    pub(crate) fn bind(settings: &AdminSettings) -> Result<Self, BindError> {
        warn_of_strangers(settings);
        Listener::bind(&listener_settings(settings)).map(Self)
    }

    /// By which its settings can be changed while it serves.
    pub(crate) fn live(&self) -> LiveAdmin {
        LiveAdmin(self.0.settings().clone())
    }

    /// The address. If the configured port is 0, it has the port that the system chose.
    pub(crate) fn local_address(&self) -> SocketAddr {
        self.0.local_address()
    }

    /// Shows `state` and carries out commands on it, as long as it is polled. Its connections end with
    /// it. The address stays open after a panic.
    pub(crate) async fn serve(mut self, state: AdminState) {
        let state = Arc::new(state);
        let tasks = Tasks::default();
        let recorded = state.clone();
        tasks.spawn_lasting("record", move || recorder::record(recorded.clone()));
        loop {
            let again = self.0.try_clone();
            if survived("admin", self.serve_once(state.clone())).await.is_some() {
                return;
            }
            match again {
                Ok(listener) => self = Self(listener),
                Err(error) => return warn!(%error, "the admin listener is not started again"),
            }
        }
    }

    async fn serve_once(self, state: Arc<AdminState>) {
        let address = self.local_address();
        let shutdown = ShutdownWatch::never();
        let (sender, mut accepted) = mpsc::channel(1);
        let tasks = Tasks::default();
        let serving = async {
            let slots = Slots::new(CONNECTIONS_MAX);
            while let Some(next) = accepted.recv().await {
                let slot = slots.take().await;
                let one = serve_one(next, state.clone(), tasks.clone(), shutdown.clone(), slot);
                tasks.spawn(one);
            }
        };
        // The slots are the limit.
        let accepting = self.0.accept(sender, AcceptBounds::none(), CancellationToken::new());
        let (result, ()) = tokio::join!(accepting, serving);
        if let Err(error) = result {
            warn!(%address, %error, "the admin listener cannot accept");
        }
    }
}

impl LiveAdmin {
    /// Gives new connections these settings, all but the address. Who may use it is asked again for each
    /// request.
    pub(crate) fn change(&self, settings: &AdminSettings) {
        self.0.change(listener_settings(settings));
    }
}

fn listener_settings(settings: &AdminSettings) -> listener::Settings {
    listener::Settings {
        bind: settings.bind,
        tls: settings.tls.clone(),
        header_timeout: HEADER_TIMEOUT,
        keep_alive_timeout: KEEP_ALIVE_TIMEOUT,
        ..listener::Settings::default()
    }
}

fn warn_of_strangers(settings: &AdminSettings) {
    let address = settings.bind;
    if address.ip().is_loopback() {
        return;
    }
    match (&settings.auth, &settings.tls) {
        (None, _) => warn!(
            %address,
            "anyone who reaches the admin listener can read the configuration and reload it: write \
             admin: {{ auth: {{ operate_keys: ['NAME:sha256$...'] }} }}, or bind it to 127.0.0.1"
        ),
        (Some(_), None) => {
            warn!(%address, "keys for the admin listener are sent in clear text: write admin: {{ tls: ... }}");
        }
        (Some(_), Some(_)) => (),
    }
}

async fn serve_one(
    accepted: Accepted,
    state: Arc<AdminState>,
    tasks: Tasks,
    shutdown: ShutdownWatch,
    mut slot: Slot,
) {
    let bind = accepted.settings.bind;
    let requests = slot.requests();
    let service = service_fn(move |request: Request<ClientBody>| {
        let (state, requests) = (state.clone(), requests.clone());
        async move {
            let (head, _) = request.into_parts();
            let open = requests.begin(Instant::now());
            let answer = endpoints::answer(&state, bind, &head).await;
            Ok::<_, Infallible>(answer.map(|body| body.of_request(open)))
        }
    });
    tokio::select! {
        _ = serve(accepted, service, &tasks, &shutdown, &Arc::default()) => (),
        () = slot.lost() => debug!("admin connection limit reached, closing an idle connection"),
    }
}

/// How long the head of a request may take from its first byte.
const HEADER_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a connection may wait for its next request.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// How many connections are served at the same time; a scraper, a prober and some operators need less.
/// One more replaces an idle one.
const CONNECTIONS_MAX: usize = 32;
