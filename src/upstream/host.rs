//! The socket address of a node, or all of them, as far as they are known; `pool::resolve` looks them up.
//!
//! An address that the operator wrote as numbers needs no resolver. The addresses of a name are kept
//! until the name resolves to others: if it does not resolve, a session's requests go to the last
//! known address, because the resolver says nothing about the process. New sessions do not.
//!
//! Runs for every request.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::watch;

use super::settings::{Endpoint, NodeAddress};
use crate::Instant;
use crate::tasks::Tasks;

/// The host part of a node's address.
#[derive(Debug)]
pub(crate) enum Host {
    /// An IP address.
    Literal(Arc<[SocketAddr]>),
    /// A host name.
    Name(NamedHost),
    /// The path of a Unix socket.
    Unix(Arc<Path>),
}

/// A host name and its lookups.
#[derive(Debug)]
pub(crate) struct NamedHost {
    /// What the lookups found.
    pub(crate) resolution: Arc<Resolution>,
    /// The lookup that is under way. It does not belong to the caller: a caller that stops waiting
    /// does not end it, because a thread is blocked until the resolver returns.
    pub(crate) lookups: Tasks,
}

/// What the resolver last said about a host name.
#[derive(Debug)]
pub(crate) struct Resolution {
    address: NodeAddress,
    answer: ArcSwapOption<Addresses>,
    /// The address that the last connect succeeded at, if there were several.
    connected: ArcSwapOption<SocketAddr>,
    progress: watch::Sender<Progress>,
    /// The name has no address, as far as is known.
    is_unresolved: AtomicBool,
    has_warned: AtomicBool,
}

#[derive(Debug)]
struct Addresses {
    addresses: Arc<[SocketAddr]>,
    until: Instant,
    /// It did not come from the resolver, which may never have known the name.
    is_hint: bool,
}

/// The state of the lookups of one name.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// When the lookup that is under way began.
    pub(crate) asking_since: Option<Instant>,
    /// Why the last one failed, and when.
    failure: Option<(Arc<str>, Instant)>,
}

impl Host {
    /// Where a node listens.
    pub(super) fn at(endpoint: &Endpoint) -> Self {
        match endpoint {
            Endpoint::Tcp(address) => Self::new(address),
            Endpoint::Unix(path) => Self::Unix(path.clone()),
        }
    }

    /// Parses the host part, once.
    pub(crate) fn new(address: &NodeAddress) -> Self {
        match address.host.parse::<IpAddr>() {
            Ok(ip) => Self::Literal(Arc::new([SocketAddr::new(ip, address.port)])),
            Err(_not_an_ip_address) => {
                let resolution = Resolution {
                    address: address.clone(),
                    answer: ArcSwapOption::empty(),
                    connected: ArcSwapOption::empty(),
                    progress: watch::Sender::default(),
                    is_unresolved: AtomicBool::new(false),
                    has_warned: AtomicBool::new(false),
                };
                let resolution = Arc::new(resolution);
                Self::Name(NamedHost { resolution, lookups: Tasks::default() })
            }
        }
    }

    /// The host at `endpoint` of the process that was at the `former` host: while the name does not
    /// resolve, the former addresses count.
    pub(super) fn following(endpoint: &Endpoint, former: &Self) -> Self {
        let host = Self::at(endpoint);
        if let (Self::Name(named), Self::Literal(addresses)) = (&host, former) {
            let until = Instant::now() + CACHED;
            let answer = Addresses { addresses: addresses.clone(), until, is_hint: true };
            named.resolution.answer.store(Some(Arc::new(answer)));
        }
        host
    }

    /// Notes that a connect to `address`, one of several, succeeded.
    pub(crate) fn connected(&self, address: SocketAddr) {
        let Self::Name(named) = self else { return };
        let connected = &named.resolution.connected;
        if connected.load().as_deref() != Some(&address) {
            connected.store(Some(Arc::new(address)));
        }
    }

    /// Whether the name lost its addresses, or none was ever known.
    pub(crate) fn is_unresolved(&self) -> bool {
        match self {
            Self::Literal(_) | Self::Unix(_) => false,
            Self::Name(named) => named.resolution.is_unresolved.load(Ordering::Relaxed),
        }
    }

    /// Why the last lookup failed, if it did.
    pub(super) fn failure(&self) -> Option<Arc<str>> {
        match self {
            Self::Literal(_) | Self::Unix(_) => None,
            Self::Name(named) => named.resolution.failure(),
        }
    }
}

impl Resolution {
    /// What is looked up.
    pub(crate) fn address(&self) -> &NodeAddress {
        &self.address
    }

    /// The state of the lookups, for a caller that waits for the next answer.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// Marks a lookup as begun, unless one is under way or one failed less than a second ago.
    /// Whether the caller is to make it.
    pub(crate) fn begin(&self) -> bool {
        let now = Instant::now();
        self.progress.send_if_modified(|progress| {
            let failed = progress.failure.as_ref();
            let has_just_failed = failed.is_some_and(|(_, at)| now < *at + RETRY_AFTER);
            let begins = progress.asking_since.is_none() && !has_just_failed;
            if begins {
                progress.asking_since = Some(now);
            }
            begins
        })
    }

    /// Marks the lookup as over, with or without an answer.
    pub(crate) fn end(&self) {
        self.progress.send_if_modified(|progress| progress.asking_since.take().is_some());
    }

    /// The addresses of the last answer if it may still be used without another lookup.
    pub(crate) fn cached(&self) -> Option<Arc<[SocketAddr]>> {
        let answer = self.answer.load();
        let answer = answer.as_ref()?;
        (Instant::now() < answer.until).then(|| answer.addresses.clone())
    }

    /// The addresses of the last answer, however old.
    pub(crate) fn last(&self) -> Option<Arc<[SocketAddr]>> {
        Some(self.answer.load().as_ref()?.addresses.clone())
    }

    /// `addresses` in the resolver's order, but the one first that a connect last succeeded at.
    pub(crate) fn in_order(&self, addresses: Arc<[SocketAddr]>) -> Arc<[SocketAddr]> {
        let connected = self.connected.load();
        let index = connected
            .as_deref()
            .and_then(|connected| addresses.iter().position(|address| address == connected));
        match index {
            None | Some(0) => addresses,
            Some(index) => {
                let mut ordered = addresses.to_vec();
                ordered[..=index].rotate_right(1);
                ordered.into()
            }
        }
    }

    /// Why the last lookup failed, if it did.
    pub(crate) fn failure(&self) -> Option<Arc<str>> {
        Some(self.progress.borrow().failure.as_ref()?.0.clone())
    }

    /// Notes the outcome of a lookup.
    pub(crate) fn answered(&self, found: io::Result<Arc<[SocketAddr]>>) {
        let now = Instant::now();
        let no_address = || io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        let found = found.and_then(|found| match found.is_empty() {
            true => Err(no_address()),
            false => Ok(found),
        });
        let failure = match found {
            Ok(addresses) => {
                self.warn_if_several(&addresses);
                let answer = Addresses { addresses, until: now + CACHED, is_hint: false };
                self.answer.store(Some(Arc::new(answer)));
                self.is_unresolved.store(false, Ordering::Relaxed);
                None
            }
            Err(error) => {
                let has_address = match &*self.answer.load() {
                    None => false,
                    // The resolver does not serve the name, or could not ask: neither says anything
                    // about the name.
                    Some(answer) => answer.is_hint || is_temporary(&error),
                };
                self.is_unresolved.store(!has_address, Ordering::Relaxed);
                Some((Arc::from(error.to_string()), now))
            }
        };
        self.progress.send_modify(|progress| *progress = Progress { asking_since: None, failure });
    }

    /// Sessions would be spread over the processes behind the name and not find theirs again.
    fn warn_if_several(&self, addresses: &[SocketAddr]) {
        if is_several_processes(addresses) && !self.has_warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                node = %self.address,
                addresses = joined(addresses),
                "the host name has several addresses, which are used as one node: list each address as a node",
            );
        }
    }
}

/// Whether the resolver could not ask (`EAI_AGAIN`), so that it says nothing about the name. The
/// standard library has the code only as the text of glibc or musl.
fn is_temporary(error: &io::Error) -> bool {
    let text = error.to_string();
    ["Temporary failure", "Try again"].iter().any(|part| text.contains(part))
}

fn joined(addresses: &[SocketAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// One process may well have an address of each family, as `localhost` has.
fn is_several_processes(addresses: &[SocketAddr]) -> bool {
    let of_version_4 = addresses.iter().filter(|address| address.is_ipv4()).count();
    of_version_4 > 1 || addresses.len() - of_version_4 > 1
}

/// How soon a lookup that failed is repeated.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How long a resolver's answer is used: long enough for a storm of connects, short enough for a
/// node that comes back elsewhere.
pub(crate) const CACHED: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    fn host(host: &str) -> Host {
        Host::new(&NodeAddress { host: host.into(), port: 3000 })
    }

    #[test]
    fn a_name_whose_look_up_fails_is_unresolved_unless_the_resolver_could_not_ask() {
        let refused = || io::Error::other("failed to lookup address information: No such name");
        let late = || io::Error::other("Temporary failure in name resolution");
        let found = |text: &str| Ok(Arc::new([text.parse().unwrap()]) as Arc<[SocketAddr]>);
        let host = host("chat-0.invalid");
        let Host::Name(named) = &host else { panic!("a name") };
        named.resolution.answered(Err(late()));
        assert!(host.is_unresolved(), "no address was ever known");
        named.resolution.answered(found("10.0.0.1:3000"));
        assert!(!host.is_unresolved());
        named.resolution.answered(Err(late()));
        assert!(!host.is_unresolved(), "that says nothing about the name");
        named.resolution.answered(Err(refused()));
        assert!(host.is_unresolved() && host.failure().is_some());
        named.resolution.answered(found("10.0.0.2:3000"));
        assert!(!host.is_unresolved() && host.failure().is_none());
    }

    #[test]
    fn an_address_from_elsewhere_stays_though_the_resolver_does_not_know_the_name() {
        let named = NodeAddress { host: "n1.invalid".into(), port: 3000 };
        let host = Host::following(&named.into(), &host("10.0.0.9"));
        let Host::Name(named) = &host else { panic!("a name") };
        named.resolution.answered(Err(io::Error::other("No such name")));
        assert!(!host.is_unresolved());
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
