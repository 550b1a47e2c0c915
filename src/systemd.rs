//! What systemd is told and what it passes: `Type=notify` or `notify-reload`, `WatchdogSec=`, and
//! socket units. Without systemd nothing happens.
//!
//! Runs at start, at reload, or on a timer.

use std::net::TcpListener;
use std::time::Duration;

use listenfd::ListenFd;
use sd_notify::NotifyState;
use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;

/// The process serves: what waits for it may start.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// A reload begins; [`ready`] ends it, whatever came of it.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => warn!(%error, "cannot tell systemd of the reload"),
    }
}

/// The process stops: its end is no failure.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Shows life twice in each `WatchdogSec=`, for as long as it is polled: on a runtime that is stuck
/// it shows none. Never ready where there is no watchdog.
pub async fn feed_watchdog() {
    let Some(patience) = sd_notify::watchdog_enabled() else {
        return std::future::pending().await;
    };
    let mut turns = interval((patience / 2).max(TURN_MIN));
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        turns.tick().await;
        tell(&[NotifyState::Watchdog]);
    }
}

/// The listening sockets that a socket unit opened for this process. Those that are no TCP sockets
/// are left alone, with a warning. To be called once: the sockets are taken.
pub fn passed_sockets() -> Vec<TcpListener> {
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

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!(%error, "cannot tell systemd");
    }
}

/// No sensible `WatchdogSec=` has a shorter half, and a timer of 0 is an error.
const TURN_MIN: Duration = Duration::from_millis(10);
