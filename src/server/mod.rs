//! The whole proxy: bind, run, follow the file, shut down.
//!
//! Runs at start, at reload, or on a timer.

mod running;

use std::future::pending;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use tokio::time::{sleep, sleep_until};
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tracing::{info, warn};

use crate::Instant;
use crate::acme::Keeper;
use crate::admin::{Admin, AdminState, EventStreams, FirstAnswers, Recorder};
use crate::config::{Config, InForce, Outline, Source};
use crate::exchange::Proxy;
use crate::insight::Insight;
use crate::listener::{self, BindError, Listener};
use crate::maintenance::discovery::Lookups;
use crate::maintenance::health_checks::CheckScheduler;
use crate::net::ConnectionLimit;
use crate::readiness::Readiness;
use crate::reload::{Reloader, Reloads};
use crate::shutdown::Shutdown;
use crate::snapshot::{Current, SnapshotError};
use crate::tasks::Tasks;
#[cfg(feature = "otlp")]
use crate::telemetry::export;
use crate::tls::ExpiryWarnings;
use crate::workers::{self, Control};
use crate::{descriptors, systemd};
use running::Running;

/// A proxy whose listeners are bound, and which is to be run.
#[derive(Debug)]
pub struct Server {
    config: Arc<ArcSwap<InForce>>,
    listeners: Vec<Listener>,
    admin: Option<Admin>,
    current: Arc<Current>,
    readiness: Readiness,
    reloads: Option<(Reloader, Reloads)>,
    workers: NonZeroUsize,
}

/// Why a server does not run.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// Two nodes cannot be told apart by their tags, or a file of keys cannot be used.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The system has no threads or descriptors left.
    #[error("the workers did not start")]
    Workers(#[from] workers::StartError),
}

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// After all connections ended, or after `shutdown.timeout`.
    InOrder,
    /// It was cut earlier.
    Cut,
}

impl Server {
    /// Binds the addresses of `config`, so that a client that connects from now on is served as soon as
    /// the server runs.
    ///
    /// # Errors
    ///
    /// [`StartError::Bind`] and [`StartError::Snapshot`].
    pub fn bind(config: &Config) -> Result<Self, StartError> {
        Self::bind_passed(config.clone(), Vec::new())
    }

    /// Like [`Server::bind`], but a listener uses the one of the `passed` sockets that has its address.
    /// Sockets without a listener are closed, with a warning.
    ///
    /// # Errors
    ///
    /// Like [`Server::bind`].
    pub fn bind_passed(config: Config, mut passed: Vec<TcpListener>) -> Result<Self, StartError> {
        let current = Arc::new(Current::new(config.snapshot(None)?));
        let bind = |settings| match take_passed(&mut passed, settings) {
            Some(socket) => Listener::adopt(socket, settings),
            None => Listener::bind(settings),
        };
        let listeners = config.listeners.iter().map(bind).collect::<Result<_, _>>()?;
        for address in passed.iter().filter_map(|socket| socket.local_addr().ok()) {
            warn!(%address, "a socket was passed for an address that no listener has");
        }
        let admin = config.admin.as_ref().map(Admin::bind).transpose()?;
        Ok(Self {
            // There is no other copy: with thousands of routes it is megabytes.
            config: Arc::new(ArcSwap::from_pointee(InForce::new(config))),
            listeners,
            admin,
            current,
            readiness: Readiness::default(),
            reloads: None,
            workers: workers::per_core(),
        })
    }

    /// Makes the server follow the file at `path`, which has this `outline`: the file is reloaded when it
    /// changes, and on request of the returned value.
    pub fn follow(&mut self, path: PathBuf, outline: Outline) -> Reloader {
        self.follow_source(Source::yaml(path), outline)
    }

    /// The same for a file that may have to be translated.
    pub(crate) fn follow_source(&mut self, source: Source, outline: Outline) -> Reloader {
        let (reloader, reloads) = Reloads::new(source, outline, &self.config.load().config);
        self.reloads = Some((reloader.clone(), reloads));
        reloader
    }

    /// The configuration in force.
    pub(crate) fn in_force(&self) -> Arc<InForce> {
        self.config.load_full()
    }

    /// The addresses that the server listens on, in the order of the configuration.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.listeners.iter().map(Listener::local_address)
    }

    /// The address of the admin listener; `None` if there is none.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(Admin::local_address)
    }

    /// How many clients may be connected at once.
    pub fn max_connections(&self) -> usize {
        max_connections(&self.config.load().config)
    }

    /// Whether the server wants new clients, for load balancers.
    pub fn readiness(&self) -> Readiness {
        self.readiness.clone()
    }

    /// Serves until `until` is ready, then shuts down as configured in
    /// [`shutdown::Settings`](crate::shutdown::Settings): it accepts no new connections, finishes answers
    /// under way, and closes tunnels one after the other. Blocks this thread, which must not belong to
    /// another runtime.
    ///
    /// # Errors
    ///
    /// [`StartError::Workers`], before anything was served.
    pub fn run(self, until: impl Future<Output = ()>) -> Result<(), StartError> {
        self.run_or_cut(until, pending()).map(|_| ())
    }

    /// Like [`Server::run`], but ends at once when `cut` is ready: all connections are dropped.
    ///
    /// # Errors
    ///
    /// Like [`Server::run`].
    pub fn run_or_cut(
        self,
        until: impl Future<Output = ()>,
        cut: impl Future<Output = ()> + Send + 'static,
    ) -> Result<Stopped, StartError> {
        let Self { config, listeners, admin, current, readiness, reloads, workers } = self;
        let (reloader, reloads) = reloads.unzip();
        let (shutdown, watch) = Shutdown::new();
        let shutdown = Arc::new(shutdown);
        let proxy = Proxy::new(current.clone(), watch.clone());
        let limit = ConnectionLimit::new(max_connections(&config.load().config));
        limit.set_network_max(config.load().config.client_limits.connections);
        let service = move |tasks| {
            ServiceBuilder::new().layer(CatchPanicLayer::new()).service(proxy.for_worker(tasks))
        };
        let was_cut = Arc::new(AtomicBool::new(false));
        let cutting = cut_by(cut, shutdown.clone(), was_cut.clone());
        let shutdown_watch = watch.clone();
        let control = async move |control: Control| {
            // Not waited for: these tasks end with the runtime.
            let background = Tasks::default();
            background.spawn(cutting);
            spawn_timers(&background, &current, &config);
            let (keeper, wanted, certificates) = Keeper::new();
            background.spawn_lasting("keep_certificates", move || keeper.clone().run());
            let live_admin = admin.as_ref().map(Admin::live);
            if let Some(admin) = admin {
                background.spawn(admin.serve(AdminState {
                    current: current.clone(),
                    config: config.clone(),
                    control: control.clone(),
                    readiness: readiness.clone(),
                    first_answers: FirstAnswers::new(Instant::now()),
                    reloader,
                    certificates,
                    recorder: Recorder::new(Instant::now()),
                    streams: EventStreams::default(),
                    tasks: Tasks::default(),
                    since: SystemTime::now(),
                }));
            }
            let (lookups, mut found) = Lookups::new();
            let listeners = (listeners, live_admin);
            let mut running = Running::open(config, listeners, (current, lookups, wanted), control);
            running.serve(until, &readiness, reloads, &mut found).await;
            running.shut_down(found, shutdown_watch, &shutdown).await;
        };
        workers::run(workers, limit, service, watch, control)?;
        info!("stopped");
        Ok(if was_cut.load(Relaxed) { Stopped::Cut } else { Stopped::InOrder })
    }
}

/// What the control plane does on timers. Each step is whole: what it shares is not left half-changed by
/// a panic, so a task that panicked is started again.
fn spawn_timers(background: &Tasks, current: &Arc<Current>, config: &Arc<ArcSwap<InForce>>) {
    let shared = current.clone();
    background.spawn_lasting("sweep", move || sweep(shared.clone()));
    let shared = current.clone();
    background.spawn_lasting("maintain", move || maintain(shared.clone()));
    let shared = current.clone();
    background.spawn_lasting("check_nodes", move || check_nodes(shared.clone()));
    #[cfg(feature = "otlp")]
    {
        let (spans, config) = (current.load().spans.clone(), config.clone());
        background.spawn_lasting("export_spans", move || {
            let config = config.clone();
            export(spans.clone(), move || config.load().config.tracing.otlp.clone())
        });
    }
    background.spawn_lasting("feed_watchdog", systemd::feed_watchdog);
    let config = config.clone();
    background.spawn_lasting("warn_of_expiry", move || warn_of_expiry(config.clone()));
}

/// Judges the sessions that have ended, until it is dropped.
async fn sweep(current: Arc<Current>) {
    loop {
        sleep(Insight::SWEEP_EVERY).await;
        current.load().sweep(Instant::now());
    }
}

/// Warns of certificates that expire, until it is dropped.
async fn warn_of_expiry(config: Arc<ArcSwap<InForce>>) {
    let mut warnings = ExpiryWarnings::default();
    loop {
        let now = seconds_since_1970();
        for sentence in warnings.due(config.load().config.certificates(), now) {
            warn!("{sentence}");
        }
        sleep(EXPIRY_CHECK_EVERY).await;
    }
}

fn seconds_since_1970() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}

/// A warning is a matter of days.
const EXPIRY_CHECK_EVERY: Duration = Duration::from_hours(1);

/// Closes tunnels of draining nodes, rebalances and follows files of keys and users, until it is dropped.
async fn maintain(current: Arc<Current>) {
    loop {
        let next = current.load().maintain(Instant::now());
        sleep(next).await;
    }
}

/// Checks the health of the nodes, until it is dropped.
async fn check_nodes(current: Arc<Current>) {
    let mut scheduler = CheckScheduler::default();
    loop {
        let next = scheduler.begin_due(current.load().upstreams(), Instant::now());
        sleep_until(next).await;
    }
}

async fn cut_by(cut: impl Future<Output = ()>, shutdown: Arc<Shutdown>, was_cut: Arc<AtomicBool>) {
    cut.await;
    warn!("stopping immediately");
    was_cut.store(true, Relaxed);
    shutdown.cut();
}

fn max_connections(config: &Config) -> usize {
    config.max_connections.unwrap_or_else(descriptors::clients_max)
}

/// Removes the socket with the listener's address from `passed`.
fn take_passed(
    passed: &mut Vec<TcpListener>,
    settings: &listener::Settings,
) -> Option<TcpListener> {
    let fits = |socket: &TcpListener| socket.local_addr().is_ok_and(|at| at == settings.bind);
    let index = passed.iter().position(fits)?;
    Some(passed.swap_remove(index))
}
