//! Looks up the socket addresses of a node. What was found is kept with the node, in its `Host`.
//!
//! Runs for every request.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout_at;

use crate::upstream::host::{Host, NamedHost, Resolution};

/// All addresses of `host`, at least one: the one first that a connect last succeeded at, then in
/// the resolver's order. If the name does not resolve, or not soon, the last known ones. The caller
/// sets the deadline; if the future is dropped, the lookup goes on for the next caller.
///
/// # Errors
///
/// The resolver's error, if no address was ever known. A Unix socket has none.
pub(super) async fn addresses(host: &Host) -> io::Result<Arc<[SocketAddr]>> {
    match host {
        Host::Literal(addresses) => Ok(addresses.clone()),
        Host::Name(named) => addresses_of(named).await,
        Host::Unix(_) => Err(io::ErrorKind::AddrNotAvailable.into()),
    }
}

/// Looks up a host name again, in the background, that does not resolve: new sessions avoid the
/// node, so that no connect would.
pub(crate) fn retry(host: &Host) {
    if let Host::Name(named) = host
        && host.is_unresolved()
    {
        begin(named);
    }
}

async fn addresses_of(named: &NamedHost) -> io::Result<Arc<[SocketAddr]>> {
    let resolution = &named.resolution;
    if let Some(addresses) = resolution.cached() {
        return Ok(resolution.in_order(addresses));
    }
    let mut progress = resolution.subscribe();
    begin(named);
    let since = progress.borrow().asking_since;
    let ended = progress.wait_for(|progress| progress.asking_since.is_none());
    // In no case is there an error: the sender is here.
    match (since, resolution.last()) {
        (Some(since), Some(_)) => _ = timeout_at(since + PATIENCE, ended).await,
        (Some(_), None) => _ = ended.await,
        (None, _) => (),
    }
    resolution.last().map(|addresses| resolution.in_order(addresses)).ok_or_else(|| {
        let failure = resolution.failure();
        io::Error::other(failure.as_deref().unwrap_or("the lookup was given up").to_owned())
    })
}

/// Begins a lookup, unless one is under way or one has just failed.
fn begin(named: &NamedHost) {
    if named.resolution.begin() {
        let lookup = Lookup(named.resolution.clone());
        named.lookups.spawn(async move {
            let address = lookup.0.address();
            let found = tokio::net::lookup_host((&*address.host, address.port)).await;
            lookup.0.answered(found.map(Iterator::collect));
        });
    }
}

/// A lookup under way; it is over when this is dropped.
struct Lookup(Arc<Resolution>);

impl Drop for Lookup {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// How long a lookup may take while an older address is known.
const PATIENCE: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::NodeAddress;
    use crate::upstream::host::CACHED;

    fn host(host: &str) -> Host {
        Host::new(&NodeAddress { host: host.into(), port: 3000 })
    }

    #[tokio::test]
    async fn an_ip_address_needs_no_resolver() {
        for (literal, expected) in [("127.0.0.1", "127.0.0.1:3000"), ("::1", "[::1]:3000")] {
            let host = host(literal);
            assert!(matches!(host, Host::Literal(_)));
            let addresses = addresses(&host).await.unwrap();
            assert_eq!(*addresses, [expected.parse().unwrap()]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_answer_for_a_name_is_used_for_five_seconds() {
        let host = host("localhost");
        let first = addresses(&host).await.unwrap();
        assert!(first.iter().all(|address| address.ip().is_loopback() && address.port() == 3000));

        let Host::Name(named) = &host else { panic!("a name") };
        tokio::time::advance(CACHED - Duration::from_millis(1)).await;
        assert!(Arc::ptr_eq(&named.resolution.cached().unwrap(), &first));
        assert!(Arc::ptr_eq(&addresses(&host).await.unwrap(), &first));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(named.resolution.cached().is_none());
        assert!(!Arc::ptr_eq(&addresses(&host).await.unwrap(), &first));
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_address_is_kept_when_the_name_does_not_resolve() {
        let host = host("chat-0.invalid");
        let Host::Name(named) = &host else { panic!("a name") };
        let address: SocketAddr = "10.0.0.1:3000".parse().unwrap();
        named.resolution.answered(Ok(Arc::new([address])));
        tokio::time::advance(CACHED + Duration::from_millis(1)).await;
        named.resolution.answered(Err(io::Error::other("No such name")));
        assert_eq!(*addresses(&host).await.unwrap(), [address]);
    }

    #[tokio::test]
    async fn a_caller_that_stops_waiting_begins_no_other_look_up() {
        let host = host("localhost");
        let Host::Name(named) = &host else { panic!("a name") };
        for _ in 0..100 {
            begin(named);
        }
        assert_eq!(named.lookups.len(), 1);
        assert!(addresses(&host).await.is_ok());
    }

    #[tokio::test]
    async fn the_address_of_the_last_successful_connect_comes_first() {
        let host = host("n1.invalid");
        let Host::Name(named) = &host else { panic!("a name") };
        let [a, b, c] =
            ["10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"].map(|text| text.parse().unwrap());
        named.resolution.answered(Ok(Arc::new([a, b, c])));
        host.connected(c);
        assert_eq!(*addresses(&host).await.unwrap(), [c, a, b]);
        host.connected(b);
        assert_eq!(*addresses(&host).await.unwrap(), [b, a, c]);
    }

    #[tokio::test]
    async fn concurrent_connects_share_one_look_up() {
        let host = host("localhost");
        let (first, second) = tokio::join!(addresses(&host), addresses(&host));
        assert!(Arc::ptr_eq(&first.unwrap(), &second.unwrap()));
    }
}
