//! The running server, which the file and DNS change, one change after the other.
//!
//! Runs at start, at reload, or on a timer.

use std::future::{pending, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use arc_swap::ArcSwap;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tracing::{error, info, warn};

use super::max_connections;
use crate::acme::WantedNames;
use crate::admin::LiveAdmin;
use crate::config::{Config, InForce};
use crate::listener::{self, Listener};
use crate::maintenance::discovery::{Lookups, NodeChanges};
use crate::readiness::{Readiness, Stage};
use crate::reload::{PendingReload, ReloadError, Reloads};
use crate::shutdown::{self, Shutdown, ShutdownWatch};
use crate::snapshot::{Current, Snapshot};
use crate::upstream::discovery::Found;
use crate::workers::{AcceptHandle, Control};
use crate::{logging, systemd};

/// The running server.
#[derive(Debug)]
pub(super) struct Running {
    config: Arc<ArcSwap<InForce>>,
    current: Arc<Current>,
    control: Control,
    listeners: Vec<ActiveListener>,
    admin: Option<LiveAdmin>,
    lookups: Lookups,
    wanted: WantedNames,
}

/// A listener that accepts.
#[derive(Debug)]
struct ActiveListener {
    /// As configured; the system chooses a port for port 0.
    bind: SocketAddr,
    handle: AcceptHandle,
}

impl Running {
    /// Starts accepting on the listeners and looking up nodes.
    pub(super) fn open(
        config: Arc<ArcSwap<InForce>>,
        (listeners, admin): (Vec<Listener>, Option<LiveAdmin>),
        (current, lookups, wanted): (Arc<Current>, Lookups, WantedNames),
        control: Control,
    ) -> Self {
        let settings = config.load_full();
        let binds = settings.config.listeners.iter().map(|settings| settings.bind);
        let open = |(bind, listener)| ActiveListener { bind, handle: control.accept(listener) };
        let listeners = binds.zip(listeners).map(open).collect();
        let mut running = Self { config, current, control, listeners, admin, lookups, wanted };
        running.follow_nodes();
        running.want(&settings.config);
        running
    }

    /// Serves, and applies the reloads of the file and the changes of nodes that are found, until
    /// `until` is ready.
    pub(super) async fn serve(
        &mut self,
        until: impl Future<Output = ()>,
        readiness: &Readiness,
        reloads: Option<Reloads>,
        found: &mut mpsc::Receiver<Found>,
    ) {
        let mut until = pin!(until);
        // The first poll registers the signal handlers: no signal is lost once the process is ready.
        let is_over = poll_fn(|cx| Poll::Ready(until.as_mut().poll(cx).is_ready())).await;
        readiness.set(Stage::Ready);
        systemd::ready();
        info!("ready");
        if !is_over {
            self.serve_until(until, reloads, found).await;
        }
        readiness.set(Stage::Stopping);
        systemd::stopping();
    }

    async fn serve_until(
        &mut self,
        mut until: Pin<&mut impl Future<Output = ()>>,
        mut reloads: Option<Reloads>,
        found: &mut mpsc::Receiver<Found>,
    ) {
        loop {
            tokio::select! {
                () = &mut until => return,
                (reloads, reload) = next_reload(&mut reloads) => {
                    reloads.finish(reload, |config| self.change(config));
                }
                Some(found) = found.recv() => self.change_nodes(&found),
            }
        }
    }

    /// Puts `next` in force. Everything that can fail comes before the first change.
    fn change(&mut self, next: Config) -> Result<(), ReloadError> {
        let snapshot = next.snapshot(Some(&self.current.load()))?;
        let mut in_use: Vec<SocketAddr> =
            self.listeners.iter().map(|listener| listener.bind).collect();
        let opened: Vec<Option<Listener>> = next
            .listeners
            .iter()
            .map(|settings| match in_use.iter().position(|bind| *bind == settings.bind) {
                Some(index) => {
                    in_use.remove(index);
                    Ok(None)
                }
                None => Listener::bind(settings).map(Some),
            })
            .collect::<Result<_, _>>()?;

        self.current.replace(snapshot);
        self.follow_nodes();
        let mut former = std::mem::take(&mut self.listeners);
        for (settings, opened) in next.listeners.iter().zip(opened) {
            self.listeners.push(match opened {
                Some(listener) => {
                    ActiveListener { bind: settings.bind, handle: self.control.accept(listener) }
                }
                None => keep(&mut former, settings),
            });
        }
        // The listeners that are left in `former` stop accepting when they are dropped; their connections
        // continue.
        self.control.connection_limit().set_max(max_connections(&next));
        self.control.connection_limit().set_network_max(next.client_limits.connections);
        self.want(&next);
        logging::set_level(next.log.level);
        let former = self.config.load_full();
        let now = former.followed_by(next);
        let after_restart = now.after_restart;
        if let (Some(live), Some(admin)) = (&self.admin, &now.config.admin) {
            live.change(admin);
        }
        self.config.store(Arc::new(now));
        if after_restart != former.after_restart && !after_restart.is_empty() {
            warn!(
                keys = after_restart.keys(),
                "changes of these keys take effect at the next start only"
            );
        }
        Ok(())
    }

    /// Tells the keeper of certificates what `config` asks for.
    fn want(&self, config: &Config) {
        let wanted = config.wanted_certificates();
        self.wanted.send_if_modified(|former| {
            let is_other = *former != wanted;
            *former = wanted;
            is_other
        });
    }

    /// Puts the nodes that were found in force.
    fn change_nodes(&self, found: &Found) {
        let former = self.current.load();
        found.accept();
        let next = match self.config.load().config.snapshot(Some(&former)) {
            Ok(next) => next,
            Err(clash) => {
                // The nodes of the file are not the reason: they have been in force together.
                return error!(upstream = %found.upstream(), %clash, "discovered nodes rejected, nodes unchanged");
            }
        };
        let nodes = |snapshot: &Snapshot| {
            snapshot.upstream(found.upstream()).map(|upstream| upstream.nodes().to_vec())
        };
        let changes = NodeChanges::between(
            &nodes(&former).unwrap_or_default(),
            &nodes(&next).unwrap_or_default(),
        );
        self.current.replace(next);
        if !changes.is_empty() {
            info!("discovered: {} {changes}", found.upstream());
        }
    }

    /// Looks up the nodes of the upstreams in force.
    fn follow_nodes(&mut self) {
        let snapshot = self.current.load();
        self.lookups.follow(snapshot.upstreams().filter_map(|upstream| upstream.discovery()));
    }

    /// Shuts down: accepts for `shutdown.delay`, so that load balancers see that the process is not
    /// ready, and still applies changes of nodes; then closes the addresses and begins the `shutdown`.
    /// Returns at once when the shutdown is cut.
    pub(super) async fn shut_down(
        self,
        mut found: mpsc::Receiver<Found>,
        mut watch: ShutdownWatch,
        shutdown: &Shutdown,
    ) {
        let shutdown::Settings { delay, timeout } = self.config.load().config.shutdown;
        let connections: usize = self.control.connections().sum();
        let (delay_seconds, timeout_seconds) = (delay.as_secs_f64(), timeout.as_secs_f64());
        info!(connections, delay_seconds, timeout_seconds, "stopping");
        let mut delay = pin!(sleep(delay));
        loop {
            tokio::select! {
                () = &mut delay => break,
                _ = watch.begun() => return,
                Some(found) = found.recv() => self.change_nodes(&found),
            }
        }
        for listener in self.listeners {
            listener.handle.stop().await;
        }
        shutdown.begin(timeout);
    }
}

/// Waits for the next reload. Never returns if the server follows no file. Cancel safe.
async fn next_reload(reloads: &mut Option<Reloads>) -> (&mut Reloads, PendingReload) {
    match reloads {
        Some(reloads) => {
            let reload = reloads.next().await;
            (reloads, reload)
        }
        None => pending().await,
    }
}

/// Removes the listener at the address of `settings` from `former`, and gives it the settings.
fn keep(former: &mut Vec<ActiveListener>, settings: &listener::Settings) -> ActiveListener {
    let index = former.iter().position(|listener| listener.bind == settings.bind);
    let listener = former.remove(index.expect("each address that was not opened is in `former`"));
    listener.handle.change(settings.clone());
    listener
}
