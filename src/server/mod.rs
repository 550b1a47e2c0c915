//! The whole proxy as one value: bind, run, follow its file, end.
//!
//! Runs at start, at reload, or on a timer.

mod running;

use std::future::pending;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use tokio::time::{sleep, sleep_until};
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tracing::{info, warn};

use crate::Instant;
use crate::admin::{Admin, FirstAnswers, Site};
use crate::affinity::TagClash;
use crate::client::Places;
use crate::config::{Config, InForce, Outline};
use crate::exchange::Proxy;
use crate::insight::Insight;
use crate::listener::{self, BindError, Listener};
use crate::maintenance::discovery::Lookups;
use crate::maintenance::health_checks::CheckScheduler;
use crate::readiness::Readiness;
use crate::reload::{Reloader, Reloads};
use crate::shutdown::Shutdown;
use crate::snapshot::Current;
use crate::tasks::Tasks;
use crate::workers::{self, Control};
use crate::{descriptors, systemd};
use running::Running;

/// A proxy that has its listeners and waits to be run.
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
    /// Two nodes cannot be told apart by their tags.
    #[error(transparent)]
    TagClash(#[from] TagClash),
    /// The system gave no threads or descriptors.
    #[error("the workers did not start")]
    Workers(#[from] workers::StartError),
}

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// All were served to their end, or to the end of `shutdown.timeout`.
    InOrder,
    /// It was cut before.
    Cut,
}

impl Server {
    /// Takes the addresses of `config`, so that whatever connects from now on is served once the
    /// server runs.
    ///
    /// # Errors
    ///
    /// [`StartError::Bind`] and [`StartError::TagClash`].
    pub fn bind(config: &Config) -> Result<Self, StartError> {
        Self::bind_passed(config, Vec::new())
    }

    /// As [`Server::bind`], but listeners whose address one of the `passed` sockets has take that
    /// one. Sockets that no listener wants are closed, with a warning.
    ///
    /// # Errors
    ///
    /// As [`Server::bind`].
    pub fn bind_passed(config: &Config, mut passed: Vec<TcpListener>) -> Result<Self, StartError> {
        let current = Arc::new(Current::new(config.snapshot(None)?));
        let bind = |settings| match take_passed(&mut passed, settings) {
            Some(socket) => Listener::adopt(socket, settings),
            None => Listener::bind(settings),
        };
        let listeners = config.listeners.iter().map(bind).collect::<Result<_, _>>()?;
        for address in passed.iter().filter_map(|socket| socket.local_addr().ok()) {
            warn!(%address, "no listener wants this socket, which was passed to us");
        }
        Ok(Self {
            config: Arc::new(ArcSwap::from_pointee(InForce::new(config.clone()))),
            listeners,
            admin: config.admin.map(Admin::bind).transpose()?,
            current,
            readiness: Readiness::default(),
            reloads: None,
            workers: workers::per_core(),
        })
    }

    /// Lets the server follow the file at `path`, which `outline` is of: it is read anew when it
    /// changes, and when the answer is asked to.
    pub fn follow(&mut self, path: PathBuf, outline: Outline) -> Reloader {
        let (reloader, reloads) = Reloads::of(path, outline);
        self.reloads = Some((reloader.clone(), reloads));
        reloader
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

    /// Whether the server wants new clients; for balancers, who have to ask.
    pub fn readiness(&self) -> Readiness {
        self.readiness.clone()
    }

    /// Serves until `until` comes, then ends in order, as [`shutdown::Settings`](crate::shutdown::Settings) says: no new
    /// connections, answers under way are finished, and tunnels are closed one after the other.
    /// Blocks this thread, which must not be one of another runtime.
    ///
    /// # Errors
    ///
    /// [`StartError::Workers`], before anything was served.
    pub fn run(self, until: impl Future<Output = ()>) -> Result<(), StartError> {
        self.run_or_cut(until, pending()).map(|_| ())
    }

    /// As [`Server::run`], but ends at once when `cut` comes: connections are dropped as they are.
    ///
    /// # Errors
    ///
    /// As [`Server::run`].
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
        let places = Places::new(max_connections(&config.load().config));
        let service = move |tasks| {
            ServiceBuilder::new().layer(CatchPanicLayer::new()).service(proxy.for_worker(tasks))
        };
        let was_cut = Arc::new(AtomicBool::new(false));
        let cutting = cut_by(cut, shutdown.clone(), was_cut.clone());
        let seen_shutdown = watch.clone();
        let control = async move |control: Control| {
            // Beside the clients' work, and not waited for: it ends with the runtime.
            let aside = Tasks::default();
            aside.spawn(cutting);
            aside.spawn(sweep(current.clone()));
            aside.spawn(maintain(current.clone()));
            aside.spawn(check_nodes(current.clone()));
            aside.spawn(systemd::feed_watchdog());
            if let Some(admin) = admin {
                aside.spawn(admin.serve(Site {
                    current: current.clone(),
                    config: config.clone(),
                    control: control.clone(),
                    readiness: readiness.clone(),
                    first_answers: FirstAnswers::new(Instant::now()),
                    reloader,
                    since: SystemTime::now(),
                }));
            }
            let (lookups, found) = Lookups::new();
            let mut running = Running::open(config, listeners, (current, lookups), control);
            let found = running.serve(until, &readiness, (reloads, found)).await;
            running.close(found, seen_shutdown, &shutdown).await;
        };
        workers::run(workers, places, service, watch, control)?;
        info!("stopped");
        Ok(if was_cut.load(Relaxed) { Stopped::Cut } else { Stopped::InOrder })
    }
}

/// Judges sessions that are over though nobody asks, until it is dropped.
async fn sweep(current: Arc<Current>) {
    loop {
        sleep(Insight::SWEEP_EVERY).await;
        current.load().sweep(Instant::now());
    }
}

/// Empties nodes that drain and rebalances tunnels, until it is dropped.
async fn maintain(current: Arc<Current>) {
    loop {
        let next = current.load().maintain(Instant::now());
        sleep(next).await;
    }
}

/// Finds out which nodes are well, until it is dropped.
async fn check_nodes(current: Arc<Current>) {
    let mut scheduler = CheckScheduler::default();
    loop {
        let next = scheduler.begin_due(current.load().upstreams(), Instant::now());
        sleep_until(next).await;
    }
}

async fn cut_by(cut: impl Future<Output = ()>, shutdown: Arc<Shutdown>, was_cut: Arc<AtomicBool>) {
    cut.await;
    warn!("ending at once");
    was_cut.store(true, Relaxed);
    shutdown.cut();
}

fn max_connections(config: &Config) -> usize {
    config.max_connections.unwrap_or_else(descriptors::clients_max)
}

/// The one of the `passed` sockets that listens where a listener is to.
fn take_passed(
    passed: &mut Vec<TcpListener>,
    settings: &listener::Settings,
) -> Option<TcpListener> {
    let fits = |socket: &TcpListener| socket.local_addr().is_ok_and(|at| at == settings.bind);
    let index = passed.iter().position(fits)?;
    Some(passed.swap_remove(index))
}
