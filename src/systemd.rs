//! Notifications to systemd and sockets from it: `Type=notify` or `notify-reload`, `WatchdogSec=`, and
//! socket units. Does nothing without systemd.
//!
//! Runs at start, at reload, or on a timer.

use std::net::TcpListener;
use std::time::Duration;

use listenfd::ListenFd;
use sd_notify::NotifyState;
use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;

/// The process serves: units that wait for it may start.
pub(crate) fn ready() {
    notify(&[NotifyState::Ready]);
}

/// A reload begins. [`ready`] ends it, whatever its outcome is.
pub(crate) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(error) => warn!(%error, "cannot notify systemd about the reload"),
    }
}

/// The process shuts down: its end is not a failure.
pub(crate) fn stopping() {
    notify(&[NotifyState::Stopping]);
}

/// Notifies the watchdog twice in each `WatchdogSec=` as long as it is polled, so that a stuck runtime is
/// noticed. Never ready without a watchdog.
pub(crate) async fn feed_watchdog() {
    let Some(timeout) = sd_notify::watchdog_enabled() else {
        return std::future::pending().await;
    };
    let mut ticks = interval((timeout / 2).max(TICK_MIN));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        notify(&[NotifyState::Watchdog]);
    }
}

/// The listening sockets that a socket unit opened for this process. Sockets that are not TCP are ignored
/// with a warning. The sockets are taken, so only the first call returns them.
pub(crate) fn passed_sockets() -> Vec<TcpListener> {
    let mut passed = ListenFd::from_env();
    let count = passed.len();
    let take = |index| match passed.take_tcp_listener(index) {
        Ok(socket) => socket,
        Err(error) => {
            warn!(index, %error, "a socket that systemd passed cannot be accepted on");
            None
        }
    };
    (0..count).filter_map(take).collect()
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!(%error, "cannot notify systemd");
    }
}

/// No sensible `WatchdogSec=` has a shorter half, and a timer of 0 is an error.
const TICK_MIN: Duration = Duration::from_millis(10);
