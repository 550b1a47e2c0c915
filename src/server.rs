//! The whole proxy as one value: bind, run, end.
//!
//! Runs at start, at reload, or on a timer.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tracing::info;

use crate::Instant;
use crate::admin::{Admin, Site};
use crate::affinity::TagClash;
use crate::config::Config;
use crate::drain::{Drain, Tasks};
use crate::exchange::Proxy;
use crate::insight::Insight;
use crate::listener::{BindError, Listener};
use crate::snapshot::Current;
use crate::workers;

/// A proxy that has its listeners and waits to be run.
#[derive(Debug)]
pub struct Server {
    listeners: Vec<Listener>,
    admin: Option<Admin>,
    config: Arc<ArcSwap<Config>>,
    current: Arc<Current>,
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

impl Server {
    /// Takes the addresses of `config`, so that whatever connects from now on is served once the
    /// server runs.
    ///
    /// # Errors
    ///
    /// [`StartError::Bind`] and [`StartError::TagClash`].
    pub fn bind(config: &Config) -> Result<Self, StartError> {
        let current = Arc::new(Current::new(config.snapshot(None)?));
        let listeners = config.listeners.iter().map(Listener::bind).collect::<Result<_, _>>()?;
        let admin = config.admin.map(Admin::bind).transpose()?;
        let config = Arc::new(ArcSwap::from_pointee(config.clone()));
        Ok(Self { listeners, admin, config, current, workers: workers::per_core() })
    }

    /// The addresses that the server listens on, in the order of the configuration.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.listeners.iter().map(Listener::local_address)
    }

    /// The address of the admin listener; `None` if there is none.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(Admin::local_address)
    }

    /// Serves until `until` comes, then ends in order: no new connections, answers under way are
    /// finished, and tunnels are closed one after the other over [`STOP_TIMEOUT`]. Blocks this
    /// thread, which must not be one of another runtime.
    ///
    /// # Errors
    ///
    /// [`StartError::Workers`], before anything was served.
    pub fn run(self, until: impl Future<Output = ()>) -> Result<(), StartError> {
        let (drain, watch) = Drain::new();
        let proxy = Proxy::new(self.current.clone(), watch.clone());
        let stop = watch.clone();
        let service = move |tasks| {
            ServiceBuilder::new().layer(CatchPanicLayer::new()).service(proxy.for_worker(tasks))
        };
        let control = async |control: workers::Control| {
            // Not waited for: it tells of the stop to its end, and ends with the runtime.
            let aside = Tasks::default();
            aside.spawn(sweep(self.current.clone()));
            if let Some(admin) = self.admin {
                aside.spawn(admin.serve(Site {
                    current: self.current,
                    config: self.config,
                    control: control.clone(),
                    stop,
                    reloads: Arc::default(),
                    reload: None,
                    since: SystemTime::now(),
                }));
            }
            let accepting: Vec<_> =
                self.listeners.into_iter().map(|listener| control.accept(listener)).collect();
            until.await;
            info!(connections = control.connections().sum::<usize>(), "stopping");
            drop(accepting);
            drain.begin(STOP_TIMEOUT);
        };
        workers::run(self.workers, service, watch, control)?;
        info!("stopped");
        Ok(())
    }
}

/// Judges sessions that are over though nobody asks, until it is dropped.
async fn sweep(current: Arc<Current>) {
    loop {
        tokio::time::sleep(Insight::SWEEP_EVERY).await;
        current.load().sweep(Instant::now());
    }
}

/// How long tunnels and answers under way have when the process stops: service managers kill what
/// has not ended after 30 s (Kubernetes' `terminationGracePeriodSeconds`).
pub const STOP_TIMEOUT: Duration = Duration::from_secs(28);
