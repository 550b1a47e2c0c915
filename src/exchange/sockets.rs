//! The options of a tunnel's two sockets, by the route's settings.
//!
//! The kernel detects a host that is gone although no bytes are sent. A process that does not read is detected
//! by the tunnel, whose timers fire first, so that an end has the right cause. On a system without an
//! option, setting it has no effect.
//!
//! Runs for every request.

use socket2::SockRef;
use tokio::net::TcpStream;

use crate::client::{PROBES, SocketOptions};
use crate::tunnel::{Limits, Side, Stream};

/// Sets the options of the socket to `side`, except those that `are_set` already.
pub(super) fn set_options(
    stream: &TcpStream,
    side: Side,
    limits: &Limits,
    are_set: Option<SocketOptions>,
) {
    let socket = SockRef::from(stream);
    let options = options(limits);
    if are_set != Some(options) {
        options.set_on(&socket);
    }
    stream.set_unacknowledged_max(limits.unacknowledged_max(side));
}

/// The kernel probes a silent host when the tunnel pings a silent side, or would by default.
fn options(limits: &Limits) -> SocketOptions {
    let times = limits.keepalive_times();
    SocketOptions {
        keepalive_time: times.every,
        keepalive_interval: times.lost_after / PROBES,
        unsent_bytes_max: u32::try_from(limits.buffer_bytes).unwrap_or(u32::MAX),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::tunnel::{Keepalive, KeepaliveTimes, StalledClient};

    #[tokio::test]
    async fn both_sockets_follow_the_settings() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let second = Duration::from_secs(1);
        let times = KeepaliveTimes { every: 7 * second, lost_after: 40 * second };
        let limits = Limits {
            keepalive: Keepalive::On(times),
            stalled_client: StalledClient::After(150 * second),
            buffer_bytes: 5000,
            ..Limits::default()
        };
        for (side, limits, expected) in [
            (Side::Client, limits, (7, 10, 160)),
            (Side::Node, limits, (7, 10, 70)),
            (Side::Client, Limits::default(), (25, 5, 130)),
        ] {
            set_options(&stream, side, &limits, None);
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
    #[test]
    fn what_listeners_set_is_what_tunnels_need_by_default() {
        assert_eq!(options(&Limits::default()), SocketOptions::default());
    }
}
