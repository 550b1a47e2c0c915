//! The whole proxy as one value: bind, run, end.
//!
//! Runs at start, at reload, or on a timer.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tracing::info;

use crate::affinity::TagClash;
use crate::config::Config;
use crate::drain::Drain;
use crate::exchange::Proxy;
use crate::listener::{BindError, Listener};
use crate::snapshot::Current;
use crate::workers;

/// A proxy that has its listeners and waits to be run.
#[derive(Debug)]
pub struct Server {
    listeners: Vec<Listener>,
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
        Ok(Self { listeners, current, workers: workers::per_core() })
    }

    /// The addresses that the server listens on, in the order of the configuration.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.listeners.iter().map(Listener::local_address)
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
        let proxy = Proxy::new(self.current, watch.clone());
        let service = move |tasks| {
            ServiceBuilder::new().layer(CatchPanicLayer::new()).service(proxy.for_worker(tasks))
        };
        let control = async |control: workers::Control| {
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

/// How long tunnels and answers under way have when the process stops: service managers kill what
/// has not ended after 30 s (Kubernetes' `terminationGracePeriodSeconds`).
pub const STOP_TIMEOUT: Duration = Duration::from_secs(28);
