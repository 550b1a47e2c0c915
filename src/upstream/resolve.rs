//! The socket addresses of a node.
//!
//! An address that the operator wrote as numbers never meets a resolver. What a name led to is kept
//! until it leads elsewhere: a session's requests go there when the name does not resolve, for that
//! says nothing of the process. New sessions do not.
//!
//! Runs for every request.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::watch;
use tokio::time::timeout_at;

use super::settings::NodeAddress;
use crate::Instant;
use crate::tasks::Tasks;

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
    name: Arc<Name>,
    /// The look-up that is under way. It is not the caller's, for to give up waiting does not end it: a
    /// thread hangs with it until the resolver is done.
    tasks: Tasks,
}

#[derive(Debug)]
struct Name {
    address: NodeAddress,
    answer: ArcSwapOption<Answer>,
    /// The address that the last connect succeeded at, if there were several.
    worked: ArcSwapOption<SocketAddr>,
    stage: watch::Sender<Stage>,
    /// The name has no address, as far as is known.
    is_unresolved: AtomicBool,
    told: AtomicBool,
}

#[derive(Debug)]
struct Answer {
    addresses: Arc<[SocketAddr]>,
    until: Instant,
    /// It was told besides, and the resolver may never have known the name.
    is_hint: bool,
}

/// How far the look-ups are.
#[derive(Debug, Default)]
struct Stage {
    /// Since when one is under way.
    asking_since: Option<Instant>,
    /// Why the last one failed, and when.
    failure: Option<(Arc<str>, Instant)>,
}

impl Host {
    /// Parses the host part, once.
    pub(super) fn new(address: &NodeAddress) -> Self {
        match address.host.parse::<IpAddr>() {
            Ok(ip) => Self::Literal(Arc::new([SocketAddr::new(ip, address.port)])),
            Err(_not_an_ip_address) => {
                let name = Name {
                    address: address.clone(),
                    answer: ArcSwapOption::empty(),
                    worked: ArcSwapOption::empty(),
                    stage: watch::Sender::default(),
                    is_unresolved: AtomicBool::new(false),
                    told: AtomicBool::new(false),
                };
                Self::Name(Lookup { name: Arc::new(name), tasks: Tasks::default() })
            }
        }
    }

    /// The host at `address` of the process that was at the `former` host: if its name does not
    /// resolve, it is where it was.
    pub(super) fn following(address: &NodeAddress, former: &Self) -> Self {
        let host = Self::new(address);
        if let (Self::Name(lookup), Self::Literal(addresses)) = (&host, former) {
            let until = Instant::now() + CACHED;
            let answer = Answer { addresses: addresses.clone(), until, is_hint: true };
            lookup.name.answer.store(Some(Arc::new(answer)));
        }
        host
    }

    /// All addresses, at least one: the one first that a connect last succeeded at, then in the
    /// resolver's order. If the name does not resolve, or not soon, those that it last had. The caller
    /// sets the deadline; if the future is dropped, the look-up goes on for who comes next.
    ///
    /// # Errors
    ///
    /// What the resolver says, if it never knew an address.
    pub(super) async fn addresses(&self) -> io::Result<Arc<[SocketAddr]>> {
        match self {
            Self::Literal(addresses) => Ok(addresses.clone()),
            Self::Name(lookup) => lookup.addresses().await,
        }
    }

    /// A connect to `address`, one of several, has succeeded.
    pub(super) fn connected(&self, address: SocketAddr) {
        let Self::Name(lookup) = self else { return };
        if lookup.name.worked.load().as_deref() != Some(&address) {
            lookup.name.worked.store(Some(Arc::new(address)));
        }
    }

    /// Whether the name has no address any more, or none was ever known.
    pub(super) fn is_unresolved(&self) -> bool {
        match self {
            Self::Literal(_) => false,
            Self::Name(lookup) => lookup.name.is_unresolved.load(Ordering::Relaxed),
        }
    }

    /// Why the last look-up failed, if it did.
    pub(super) fn failure(&self) -> Option<Arc<str>> {
        match self {
            Self::Literal(_) => None,
            Self::Name(lookup) => Some(lookup.name.stage.borrow().failure.as_ref()?.0.clone()),
        }
    }

    /// Looks up again, in the background, what is unresolved: nobody may be sent there who would.
    pub(super) fn retry(&self) {
        if let Self::Name(lookup) = self
            && self.is_unresolved()
        {
            lookup.begin();
        }
    }
}

impl Lookup {
    async fn addresses(&self) -> io::Result<Arc<[SocketAddr]>> {
        if let Some(addresses) = self.cached() {
            return Ok(self.name.in_order(addresses));
        }
        let mut stage = self.name.stage.subscribe();
        self.begin();
        let since = stage.borrow().asking_since;
        let ended = stage.wait_for(|stage| stage.asking_since.is_none());
        // In no case is there an error: the sender is here.
        match (since, self.name.last()) {
            (Some(since), Some(_)) => _ = timeout_at(since + PATIENCE, ended).await,
            (Some(_), None) => _ = ended.await,
            (None, _) => (),
        }
        self.name.last().map(|addresses| self.name.in_order(addresses)).ok_or_else(|| {
            let failure = self.name.stage.borrow().failure.clone();
            io::Error::other(
                failure
                    .map_or_else(|| "the look-up was given up".into(), |(why, _)| why)
                    .to_string(),
            )
        })
    }

    /// Begins a look-up, if none is under way and none has just failed.
    fn begin(&self) {
        let now = Instant::now();
        let begins = self.name.stage.send_if_modified(|stage| {
            let has_failed = stage.failure.as_ref().is_some_and(|(_, at)| now < *at + RETRY_AFTER);
            let begins = stage.asking_since.is_none() && !has_failed;
            if begins {
                stage.asking_since = Some(now);
            }
            begins
        });
        if begins {
            let asking = Asking(self.name.clone());
            self.tasks.spawn(async move {
                let name = (&*asking.0.address.host, asking.0.address.port);
                let found = tokio::net::lookup_host(name).await;
                asking.0.answered(found.map(Iterator::collect));
            });
        }
    }

    fn cached(&self) -> Option<Arc<[SocketAddr]>> {
        let answer = self.name.answer.load();
        let answer = answer.as_ref()?;
        (Instant::now() < answer.until).then(|| answer.addresses.clone())
    }
}

/// A look-up under way; dropped, it is over.
struct Asking(Arc<Name>);

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.stage.send_if_modified(|stage| stage.asking_since.take().is_some());
    }
}

impl Name {
    /// The addresses that it had last, however long ago.
    fn last(&self) -> Option<Arc<[SocketAddr]>> {
        Some(self.answer.load().as_ref()?.addresses.clone())
    }

    fn in_order(&self, addresses: Arc<[SocketAddr]>) -> Arc<[SocketAddr]> {
        let worked = self.worked.load();
        let place = worked
            .as_deref()
            .and_then(|worked| addresses.iter().position(|address| address == worked));
        match place {
            None | Some(0) => addresses,
            Some(place) => {
                let mut ordered = addresses.to_vec();
                ordered[..=place].rotate_right(1);
                ordered.into()
            }
        }
    }

    fn answered(&self, found: io::Result<Arc<[SocketAddr]>>) {
        let now = Instant::now();
        let no_address = || io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        let found = found.and_then(|found| match found.is_empty() {
            true => Err(no_address()),
            false => Ok(found),
        });
        let failure = match found {
            Ok(addresses) => {
                self.tell_if_several(&addresses);
                let answer = Answer { addresses, until: now + CACHED, is_hint: false };
                self.answer.store(Some(Arc::new(answer)));
                self.is_unresolved.store(false, Ordering::Relaxed);
                None
            }
            Err(error) => {
                let has_address = match &*self.answer.load() {
                    None => false,
                    // The name is not the resolver's, or it could not ask: that is no news of it.
                    Some(answer) => answer.is_hint || is_temporary(&error),
                };
                self.is_unresolved.store(!has_address, Ordering::Relaxed);
                Some((Arc::from(error.to_string()), now))
            }
        };
        self.stage.send_modify(|stage| *stage = Stage { asking_since: None, failure });
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

/// Whether the resolver could not ask (`EAI_AGAIN`), so that it says nothing of the name. The standard
/// library has the code only as the text of glibc or musl.
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

/// How long a look-up may take where there is an address to go on with.
const PATIENCE: Duration = Duration::from_millis(250);

/// How soon a look-up that failed is repeated.
const RETRY_AFTER: Duration = Duration::from_secs(1);

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

    #[tokio::test(start_paused = true)]
    async fn the_last_address_is_kept_when_the_name_does_not_resolve() {
        let refused = || io::Error::other("failed to lookup address information: No such name");
        let late = || io::Error::other("Temporary failure in name resolution");
        let found = |text: &str| Ok(Arc::new([text.parse().unwrap()]) as Arc<[SocketAddr]>);
        let host = host("chat-0.invalid");
        let Host::Name(lookup) = &host else { panic!("a name") };
        lookup.name.answered(Err(late()));
        assert!(host.is_unresolved(), "no address was ever known");
        lookup.name.answered(found("10.0.0.1:3000"));
        assert!(!host.is_unresolved());
        lookup.name.answered(Err(late()));
        assert!(!host.is_unresolved(), "that says nothing of the name");
        lookup.name.answered(Err(refused()));
        assert!(host.is_unresolved() && host.failure().is_some());
        tokio::time::advance(CACHED + Duration::from_millis(1)).await;
        lookup.name.answered(Err(refused()));
        assert_eq!(*host.addresses().await.unwrap(), ["10.0.0.1:3000".parse().unwrap()]);
        lookup.name.answered(found("10.0.0.2:3000"));
        assert!(!host.is_unresolved() && host.failure().is_none());
    }

    #[test]
    fn an_address_that_was_told_stays_though_the_resolver_does_not_know_the_name() {
        let named = NodeAddress { host: "n1.invalid".into(), port: 3000 };
        let host = Host::following(&named, &host("10.0.0.9"));
        let Host::Name(lookup) = &host else { panic!("a name") };
        lookup.name.answered(Err(io::Error::other("No such name")));
        assert!(!host.is_unresolved());
    }

    #[tokio::test]
    async fn who_gives_up_waiting_begins_no_other_look_up() {
        let host = host("localhost");
        let Host::Name(lookup) = &host else { panic!("a name") };
        for _ in 0..100 {
            lookup.begin();
        }
        assert_eq!(lookup.tasks.len(), 1);
        assert!(host.addresses().await.is_ok());
    }

    #[tokio::test]
    async fn the_address_that_worked_comes_first() {
        let host = host("n1.invalid");
        let Host::Name(lookup) = &host else { panic!("a name") };
        let [a, b, c] =
            ["10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"].map(|text| text.parse().unwrap());
        lookup.name.answered(Ok(Arc::new([a, b, c])));
        host.connected(c);
        assert_eq!(*host.addresses().await.unwrap(), [c, a, b]);
        host.connected(b);
        assert_eq!(*host.addresses().await.unwrap(), [b, a, c]);
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
