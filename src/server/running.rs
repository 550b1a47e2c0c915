//! What runs, and changes while it runs: by the file and by DNS, one after the other.
//!
//! Runs at start, at reload, or on a timer.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use arc_swap::ArcSwap;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tracing::{error, info, warn};

use super::max_connections;
use crate::config::{Config, InForce};
use crate::listener::{self, Listener};
use crate::maintenance::discovery::{Lookups, NodeChanges};
use crate::readiness::{Readiness, Stage};
use crate::reload::{ReloadError, Reloads};
use crate::shutdown::{self, Shutdown, ShutdownWatch};
use crate::snapshot::{Current, Snapshot};
use crate::upstream::discovery::Found;
use crate::workers::{Accepting, Control};
use crate::{logging, systemd};

/// What runs, and can change.
#[derive(Debug)]
pub(super) struct Running {
    config: Arc<ArcSwap<InForce>>,
    current: Arc<Current>,
    control: Control,
    doors: Vec<Door>,
    lookups: Lookups,
}

/// A listener that accepts.
#[derive(Debug)]
struct Door {
    /// As configured: the port may have been left to the system.
    bind: SocketAddr,
    accepting: Accepting,
}

impl Running {
    /// Accepts on the listeners and looks up nodes from now on.
    pub(super) fn open(
        config: Arc<ArcSwap<InForce>>,
        listeners: Vec<Listener>,
        (current, lookups): (Arc<Current>, Lookups),
        control: Control,
    ) -> Self {
        let settings = config.load_full();
        let binds = settings.config.listeners.iter().map(|settings| settings.bind);
        let open = |(bind, listener)| Door { bind, accepting: control.accept(listener) };
        let doors = binds.zip(listeners).map(open).collect();
        let mut running = Self { config, current, control, doors, lookups };
        running.follow_nodes();
        running
    }

    /// Serves, and follows the file and what is `found` of nodes, until `until` comes. What is found
    /// then is given back.
    pub(super) async fn serve(
        &mut self,
        until: impl Future<Output = ()>,
        readiness: &Readiness,
        (reloads, mut found): (Option<Reloads>, mpsc::Receiver<Found>),
    ) -> mpsc::Receiver<Found> {
        let mut until = pin!(until);
        // Its first poll is where signals are asked for: none that comes once we are ready is lost.
        let has_come = poll_fn(|cx| Poll::Ready(until.as_mut().poll(cx).is_ready())).await;
        readiness.set(Stage::Ready);
        systemd::ready();
        info!("ready");
        if !has_come {
            // Both change what runs, one after the other: neither waits while it does.
            let running = RefCell::new(&mut *self);
            let reloads = follow_file(reloads, |config| running.borrow_mut().change(config));
            let finds = follow_dns(&mut found, |found| running.borrow_mut().change_nodes(found));
            tokio::select! {
                () = until => (),
                never = reloads => match never {},
                never = finds => match never {},
            }
        }
        readiness.set(Stage::Stopping);
        systemd::stopping();
        found
    }

    /// Puts `next` in force. What can fail comes first and changes nothing.
    fn change(&mut self, next: Config) -> Result<(), ReloadError> {
        let snapshot = next.snapshot(Some(&self.current.load()))?;
        let mut held: Vec<SocketAddr> = self.doors.iter().map(|door| door.bind).collect();
        let opened: Vec<Option<Listener>> = next
            .listeners
            .iter()
            .map(|settings| match held.iter().position(|bind| *bind == settings.bind) {
                Some(index) => {
                    held.remove(index);
                    Ok(None)
                }
                None => Listener::bind(settings).map(Some),
            })
            .collect::<Result<_, _>>()?;

        self.current.replace(snapshot);
        self.follow_nodes();
        let mut former = std::mem::take(&mut self.doors);
        for (settings, opened) in next.listeners.iter().zip(opened) {
            self.doors.push(match opened {
                Some(listener) => {
                    Door { bind: settings.bind, accepting: self.control.accept(listener) }
                }
                None => keep(&mut former, settings),
            });
        }
        // What is left in `former` stops to accept, and its connections live on.
        self.control.places().set_max(max_connections(&next));
        logging::set_level(next.log.level);
        let former = self.config.load_full();
        let now = former.followed_by(next);
        let after_restart = now.after_restart;
        self.config.store(Arc::new(now));
        if after_restart != former.after_restart && !after_restart.is_empty() {
            warn!(keys = after_restart.keys(), "these keys change at the next start only");
        }
        Ok(())
    }

    /// Puts the nodes in force that were found.
    fn change_nodes(&self, found: &Found) {
        let former = self.current.load();
        found.accept();
        let next = match self.config.load().config.snapshot(Some(&former)) {
            Ok(next) => next,
            Err(clash) => {
                // No node of the file can be the reason: they have been in force together.
                return error!(upstream = %found.upstream(), %clash, "nodes stay as they are");
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

    /// Looks up the nodes of the upstreams that are in force.
    fn follow_nodes(&mut self) {
        let snapshot = self.current.load();
        self.lookups.follow(snapshot.upstreams().filter_map(|upstream| upstream.discovery()));
    }

    /// Ends: still accepts for a while, so that balancers see what [`Readiness`] says, and still
    /// follows what is `found` of nodes; then closes the addresses and begins the `shutdown`. A shutdown
    /// that was cut meanwhile ends it at once.
    pub(super) async fn close(
        self,
        mut found: mpsc::Receiver<Found>,
        mut seen_shutdown: ShutdownWatch,
        shutdown: &Shutdown,
    ) {
        let shutdown::Settings { delay, timeout } = self.config.load().config.shutdown;
        let connections: usize = self.control.connections().sum();
        let (delay_seconds, timeout_seconds) = (delay.as_secs_f64(), timeout.as_secs_f64());
        info!(connections, delay_seconds, timeout_seconds, "stopping");
        tokio::select! {
            () = sleep(delay) => (),
            _ = seen_shutdown.begun() => return,
            never = follow_dns(&mut found, |found| self.change_nodes(found)) => match never {},
        }
        for door in self.doors {
            door.accepting.stop().await;
        }
        shutdown.begin(timeout);
    }
}

/// Applies what the file says, whenever it is read anew; where there is none, never.
async fn follow_file(
    reloads: Option<Reloads>,
    apply: impl FnMut(Config) -> Result<(), ReloadError>,
) -> Infallible {
    match reloads {
        Some(reloads) => reloads.serve(apply).await,
        None => pending().await,
    }
}

/// Applies what DNS says, whenever that changes.
async fn follow_dns(found: &mut mpsc::Receiver<Found>, apply: impl Fn(&Found)) -> Infallible {
    while let Some(found) = found.recv().await {
        apply(&found);
    }
    pending().await
}

/// The door of `former` at that address, with its new settings.
fn keep(former: &mut Vec<Door>, settings: &listener::Settings) -> Door {
    let index = former.iter().position(|door| door.bind == settings.bind);
    let door = former.remove(index.expect("what was not opened was held, once for each"));
    door.accepting.change(settings.clone());
    door
}
