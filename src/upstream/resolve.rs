//! The socket addresses of a node.
//!
//! An address that the operator wrote as numbers never meets a resolver.
//!
//! Runs for every request.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::Semaphore;

use super::settings::NodeAddress;
use crate::Instant;

/// Where a node's host part leads.
#[derive(Debug)]
pub(super) enum Host {
    /// It was an IP address.
    Literal(Arc<[SocketAddr]>),
    /// It is a name.
    Name(Lookup),
}

/// A host name and what the resolver last said of it.
#[derive(Debug)]
pub(super) struct Lookup {
    address: NodeAddress,
    answer: ArcSwapOption<Answer>,
    /// One task asks, the others wait for what it hears: a storm of connects must not become a
    /// storm of look-ups, each of which takes a thread.
    turn: Semaphore,
    told: AtomicBool,
}

#[derive(Debug)]
struct Answer {
    addresses: Arc<[SocketAddr]>,
    until: Instant,
}

impl Host {
    /// Parses the host part, once.
    pub(super) fn new(address: &NodeAddress) -> Self {
        match address.host.parse::<IpAddr>() {
            Ok(ip) => Self::Literal(Arc::new([SocketAddr::new(ip, address.port)])),
            Err(_not_an_ip_address) => Self::Name(Lookup {
                address: address.clone(),
                answer: ArcSwapOption::empty(),
                turn: Semaphore::new(1),
                told: AtomicBool::new(false),
            }),
        }
    }

    /// The host at `address` of the process that was at the `former` host: if its name does not
    /// resolve, it is where it was.
    pub(super) fn following(address: &NodeAddress, former: &Self) -> Self {
        let host = Self::new(address);
        if let (Self::Name(lookup), Self::Literal(addresses)) = (&host, former) {
            let until = Instant::now() + CACHED;
            lookup.answer.store(Some(Arc::new(Answer { addresses: addresses.clone(), until })));
        }
        host
    }

    /// All addresses, at least one, in the resolver's order. The caller sets the deadline; if the
    /// future is dropped, the next caller asks again.
    ///
    /// # Errors
    ///
    /// What the resolver says; `NotFound` if it knows no address.
    pub(super) async fn addresses(&self) -> io::Result<Arc<[SocketAddr]>> {
        match self {
            Self::Literal(addresses) => Ok(addresses.clone()),
            Self::Name(lookup) => lookup.addresses().await,
        }
    }
}

impl Lookup {
    async fn addresses(&self) -> io::Result<Arc<[SocketAddr]>> {
        if let Some(addresses) = self.cached() {
            return Ok(addresses);
        }
        let _turn = self.turn.acquire().await.map_err(io::Error::other)?;
        if let Some(addresses) = self.cached() {
            return Ok(addresses);
        }

        let name = (&*self.address.host, self.address.port);
        let addresses: Arc<[SocketAddr]> = tokio::net::lookup_host(name).await?.collect();
        if addresses.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
        }
        self.tell_if_several(&addresses);
        let until = Instant::now() + CACHED;
        self.answer.store(Some(Arc::new(Answer { addresses: addresses.clone(), until })));
        Ok(addresses)
    }

    fn cached(&self) -> Option<Arc<[SocketAddr]>> {
        let answer = self.answer.load();
        let answer = answer.as_ref()?;
        (Instant::now() < answer.until).then(|| answer.addresses.clone())
    }

    /// Sessions would be spread over the processes behind the name and not find theirs again.
    fn tell_if_several(&self, addresses: &[SocketAddr]) {
        if is_several_processes(addresses) && !self.told.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                node = %self.address,
                addresses = joined(addresses),
                "several addresses behind one name are one node: list each as a node of its own",
            );
        }
    }
}

fn joined(addresses: &[SocketAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// One process may well have an address of each family, as `localhost` has.
fn is_several_processes(addresses: &[SocketAddr]) -> bool {
    let of_version_4 = addresses.iter().filter(|address| address.is_ipv4()).count();
    of_version_4 > 1 || addresses.len() - of_version_4 > 1
}

/// How long a resolver's answer is used: long enough for a storm, short enough for a node that
/// comes back elsewhere.
const CACHED: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    fn host(host: &str) -> Host {
        Host::new(&NodeAddress { host: host.into(), port: 3000 })
    }

    #[tokio::test]
    async fn an_ip_address_needs_no_resolver() {
        for (literal, expected) in [("127.0.0.1", "127.0.0.1:3000"), ("::1", "[::1]:3000")] {
            let host = host(literal);
            assert!(matches!(host, Host::Literal(_)));
            let addresses = host.addresses().await.unwrap();
            assert_eq!(*addresses, [expected.parse().unwrap()]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_answer_for_a_name_is_used_for_five_seconds() {
        let host = host("localhost");
        let first = host.addresses().await.unwrap();
        assert!(first.iter().all(|address| address.ip().is_loopback() && address.port() == 3000));

        let Host::Name(lookup) = &host else { panic!("a name") };
        tokio::time::advance(CACHED - Duration::from_millis(1)).await;
        assert!(Arc::ptr_eq(&lookup.cached().unwrap(), &first));
        assert!(Arc::ptr_eq(&host.addresses().await.unwrap(), &first));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(lookup.cached().is_none());
        assert!(!Arc::ptr_eq(&host.addresses().await.unwrap(), &first));
    }

    #[tokio::test]
    async fn connects_at_once_share_one_look_up() {
        let host = host("localhost");
        let (first, second) = tokio::join!(host.addresses(), host.addresses());
        assert!(Arc::ptr_eq(&first.unwrap(), &second.unwrap()));
    }

    #[test]
    fn an_address_of_each_family_is_one_process() {
        let check = |addresses: &[&str], expected| {
            let addresses: Vec<SocketAddr> =
                addresses.iter().map(|address| address.parse().unwrap()).collect();
            assert_eq!(is_several_processes(&addresses), expected);
        };
        check(&["10.0.0.1:80"], false);
        check(&["10.0.0.1:80", "[fd00::1]:80"], false);
        check(&["10.0.0.1:80", "10.0.0.2:80"], true);
        check(&["[fd00::1]:80", "10.0.0.1:80", "[fd00::2]:80"], true);
    }
}
