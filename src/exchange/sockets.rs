//! What the kernel is told of a tunnel's two sockets, by the route's settings.
//!
//! The kernel finds a host that is gone and acknowledges nothing; if the tunnel would not notice that
//! nothing is said, the kernel asks. That a process does not read is the tunnel's to find, and its
//! timers fire first, so that an end has its right name. A system that lacks an option does without.
//!
//! Each option is a system call for each tunnel, so that a storm pays for it: none is set in vain.
//!
//! Runs for every request.

use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

use crate::tunnel::{Keepalive, KeepaliveTimes, Kind, Limits, Side};

/// Sets the options of the socket to `side` of a tunnel of this `kind`.
pub(super) fn tune(stream: &TcpStream, side: Side, limits: &Limits, kind: &Kind) {
    let socket = SockRef::from(stream);
    // Else megabytes hide in the kernel for each slow client, and a write tells of progress only
    // in steps of half a minute.
    let _ = socket.set_tcp_notsent_lowat(u32::try_from(limits.buffer_bytes).unwrap_or(u32::MAX));
    let _ = socket.set_tcp_user_timeout(Some(unanswered_max(side, limits)));
    if limits.notices_silence(kind) {
        return;
    }
    let times = keepalive_times(limits);
    let probes = TcpKeepalive::new()
        .with_time(times.every)
        .with_interval((times.lost_after / PROBES).max(Duration::from_secs(1)))
        .with_retries(PROBES);
    let _ = socket.set_tcp_keepalive(&probes);
}

/// When the kernel asks a silent host, and when it gives up: as the tunnel asks a silent side, or
/// would by default.
fn keepalive_times(limits: &Limits) -> KeepaliveTimes {
    match limits.keepalive {
        Keepalive::On(times) => times,
        Keepalive::Auto | Keepalive::Off => KeepaliveTimes::default(),
    }
}

/// How long bytes may go unacknowledged, or a window stay closed (RFC 5482; Linux counts both).
fn unanswered_max(side: Side, limits: &Limits) -> Duration {
    let patience = match side {
        Side::Client => limits.stalled_client.max(keepalive_times(limits).lost_after),
        Side::Node => Limits::STALLED_NODE,
    };
    patience.saturating_add(MARGIN)
}

const PROBES: u32 = 4;

/// So much later than the tunnel's own timers.
const MARGIN: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::tunnel::IdleTimeout;

    async fn stream() -> TcpStream {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        TcpStream::connect(listener.local_addr().unwrap()).await.unwrap()
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test]
    async fn both_sockets_follow_the_settings() {
        let stream = stream().await;
        let times = KeepaliveTimes { every: 107 * SECOND, lost_after: 40 * SECOND };
        let limits = Limits {
            keepalive: Keepalive::On(times),
            stalled_client: 30 * SECOND,
            buffer_bytes: 5000,
            ..Limits::default()
        };
        let off = Limits { keepalive: Keepalive::Off, ..Limits::default() };
        for (side, limits, expected) in [
            (Side::Client, limits, (107, 10, 50)),
            (Side::Node, limits, (107, 10, 70)),
            (Side::Client, off, (25, 5, 30)),
        ] {
            tune(&stream, side, &limits, &Kind::Plain);
            let socket = SockRef::from(&stream);
            let seconds = |duration: Duration| duration.as_secs();
            let set = (
                seconds(socket.tcp_keepalive_time().unwrap()),
                seconds(socket.tcp_keepalive_interval().unwrap()),
                seconds(socket.tcp_user_timeout().unwrap().unwrap()),
            );
            assert_eq!(set, expected, "{side:?}");
            assert!(socket.keepalive().unwrap());
            assert_eq!(socket.tcp_notsent_lowat().unwrap() as usize, limits.buffer_bytes);
        }
    }

    #[tokio::test]
    async fn the_kernel_asks_where_the_tunnel_would_not_notice() {
        // check(settings, of an Engine.IO session, of any other WebSocket)
        async fn check(limits: Limits, engine_io: bool, plain: bool) {
            let session = Kind::EngineIo { learned: Arc::default(), open: None };
            for (kind, asks) in [(session, engine_io), (Kind::Plain, plain)] {
                let stream = stream().await;
                tune(&stream, Side::Client, &limits, &kind);
                let found = SockRef::from(&stream).keepalive().unwrap();
                assert_eq!(found, asks, "{limits:?} {kind:?}");
            }
        }
        let default = Limits::default();
        let after = |seconds| IdleTimeout::After(seconds * SECOND);
        check(default, false, false).await;
        check(Limits { keepalive: Keepalive::Off, ..default }, false, true).await;
        check(Limits { idle_timeout: IdleTimeout::Off, ..default }, true, false).await;
        check(Limits { idle_timeout: after(121), ..default }, true, false).await;
        let off = Limits { keepalive: Keepalive::Off, ..default };
        check(Limits { idle_timeout: after(120), ..off }, false, false).await;
    }
}
