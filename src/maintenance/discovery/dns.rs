//! One lookup: the question, the servers that are asked, and the nodes in the answer.
//!
//! A resolver lives for one lookup, so that a changed `resolv.conf` takes effect at the next one. It
//! has no cache: the caller keeps answers for as long as they are valid.
//!
//! Runs at start, at reload, or on a timer.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::xfer::{DnsHandle as _, FirstAnswer as _};
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::{DnsRequestOptions, DnsResponse, Query};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use hickory_resolver::system_conf::read_system_conf;
use hickory_resolver::{NameServerPool, PoolContext, TlsConfig, TokioResolver};
use tokio::time::timeout;

use super::answer::{DnsAnswer, nodes_at};
use super::services::services;
use crate::upstream::settings::{Discover, Endpoint, NodeAddress, NodeSettings, Source};

/// Why a lookup found nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum LookupError {
    /// `/etc/resolv.conf` names no server.
    #[error("the system's DNS settings cannot be used: {0}")]
    System(#[source] NetError),
    /// No server could be asked, or it refused.
    #[error("{0}")]
    Failed(#[source] NetError),
    /// There are no such records.
    #[error("{0} has no such records in DNS")]
    Nothing(Box<str>),
    /// None came in time.
    #[error("no response from DNS within {0:?}")]
    TimedOut(Duration),
}

/// Looks up what `discover` says. `known` are the nodes so far.
///
/// If the future is dropped, nothing is lost but the answer.
///
/// # Errors
///
/// [`LookupError`]; an answer without a single node is one.
pub(super) async fn look_up(
    discover: &Discover,
    known: &[NodeSettings],
) -> Result<DnsAnswer, LookupError> {
    let servers = Servers::new(discover.server)?;
    let resolver = servers.resolver()?;
    let asked = async {
        match &discover.source {
            Source::Addresses(address) => {
                let name = name(&address.host, discover.server)?;
                addresses(&resolver, name, address, known).await
            }
            Source::Services(service) => {
                let name = name(service, discover.server)?;
                services(&servers, &resolver, name).await
            }
        }
    };
    let (nodes, ttl) =
        timeout(LOOKUP_MAX, asked).await.map_err(|_| LookupError::TimedOut(LOOKUP_MAX))??;
    if nodes.is_empty() {
        return Err(LookupError::Nothing(discover.source.name().into()));
    }
    Ok(DnsAnswer { nodes, ttl })
}

/// The addresses of both families. One family alone is an answer too, because some servers never answer
/// for the other; but not if nodes are known that have an address of the missing one.
async fn addresses(
    resolver: &TokioResolver,
    name: Name,
    address: &NodeAddress,
    known: &[NodeSettings],
) -> Result<(Vec<NodeSettings>, Duration), LookupError> {
    let v4 = records(resolver, name.clone(), RecordType::A).await;
    // The name that the system's search list gave: both families must be of one name.
    let name = match &v4 {
        Ok(Some(found)) => found.query().name().clone(),
        Ok(None) | Err(_) => name,
    };
    let v6 = records(resolver, name, RecordType::AAAA).await;
    let (v4, v6) = match (v4, v6) {
        (Ok(v4), Ok(v6)) => (v4, v6),
        (Ok(Some(v4)), Err(_)) if !known.iter().any(|node| is_at(node, IpAddr::is_ipv6)) => {
            (Some(v4), None)
        }
        (Err(_), Ok(Some(v6))) if !known.iter().any(|node| is_at(node, IpAddr::is_ipv4)) => {
            (None, Some(v6))
        }
        (Err(error), _) | (_, Err(error)) => return Err(error),
    };
    let answers: Vec<Record> =
        [v4, v6].iter().flatten().flat_map(Lookup::answers).cloned().collect();
    let found = answers.iter().filter_map(address_in);
    Ok((nodes_at(found, address.port), ttl(&answers)))
}

/// The records of this type; `None` if there are none.
pub(super) async fn records(
    resolver: &TokioResolver,
    name: Name,
    kind: RecordType,
) -> Result<Option<Lookup>, LookupError> {
    match resolver.lookup(name, kind).await {
        Ok(found) => Ok(Some(found)),
        Err(NetError::Dns(DnsError::NoRecordsFound(_))) => Ok(None),
        Err(error) => Err(LookupError::Failed(error)),
    }
}

pub(super) fn address_in(record: &Record) -> Option<IpAddr> {
    match &record.data {
        RData::A(address) => Some(IpAddr::V4(address.0)),
        RData::AAAA(address) => Some(IpAddr::V6(address.0)),
        _ => None,
    }
}

/// How long all of them are valid.
pub(super) fn ttl(records: &[Record]) -> Duration {
    let least = records.iter().map(|record| record.ttl).min();
    Duration::from_secs(least.unwrap_or_default().into())
}

fn is_at(node: &NodeSettings, family: impl Fn(&IpAddr) -> bool) -> bool {
    let Endpoint::Tcp(address) = &node.address else { return false };
    address.host.parse().is_ok_and(|address| family(&address))
}

/// The name to look up. The system's search list applies to the system's servers only.
fn name(written: &str, server: Option<SocketAddr>) -> Result<Name, LookupError> {
    let name = Name::from_ascii(written).map_err(|error| LookupError::Failed(error.into()))?;
    Ok(match server {
        Some(_) => fully_qualified(name),
        None => name,
    })
}

fn fully_qualified(mut name: Name) -> Name {
    name.set_fqdn(true);
    name
}

/// The DNS servers, and how they are asked.
#[derive(Debug)]
pub(super) struct Servers {
    /// The one that the operator configured, instead of the system's.
    pub(super) named: Option<SocketAddr>,
    config: ResolverConfig,
    options: ResolverOpts,
}

impl Servers {
    fn new(named: Option<SocketAddr>) -> Result<Self, LookupError> {
        let (config, mut options) = match named {
            None => read_system_conf().map_err(LookupError::System)?,
            Some(server) => {
                let connections =
                    [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
                        connection.port = server.port();
                        connection
                    });
                let server = NameServerConfig::new(server.ip(), true, connections.into());
                let mut options = ResolverOpts::default();
                options.use_hosts_file = ResolveHosts::Never;
                (ResolverConfig::from_name_servers(vec![server]), options)
            }
        };
        options.cache_size = 0;
        options.timeout = TRY_MAX;
        Ok(Self { named, config, options })
    }

    fn resolver(&self) -> Result<TokioResolver, LookupError> {
        let provider = TokioRuntimeProvider::default();
        let mut builder = TokioResolver::builder_with_config(self.config.clone(), provider);
        *builder.options_mut() = self.options.clone();
        builder.build().map_err(LookupError::System)
    }

    /// All records of a server's answer to this question, unchanged.
    ///
    /// # Errors
    ///
    /// No server answered.
    pub(super) async fn ask(
        &self,
        name: &Name,
        kind: RecordType,
    ) -> Result<DnsResponse, LookupError> {
        let tls = TlsConfig::new().map_err(LookupError::System)?;
        let context = Arc::new(PoolContext::new(self.options.clone(), tls));
        let servers = self.config.name_servers().iter().cloned();
        let pool = NameServerPool::from_config(servers, context, TokioRuntimeProvider::default());
        let question = Query::query(name.clone(), kind);
        let answer = pool.lookup(question, DnsRequestOptions::default()).first_answer();
        answer.await.map_err(LookupError::Failed)
    }

    /// The names that may be meant by `written`: itself, and below the domains of the system's search
    /// list.
    pub(super) fn names(&self, written: &Name) -> Vec<Name> {
        let below = |domain: &Name| written.clone().append_domain(domain).ok();
        let search = self.config.search().iter().filter_map(below);
        let is_relative = self.named.is_none() && !written.is_fqdn();
        let itself = fully_qualified(written.clone());
        std::iter::once(itself).chain(search.filter(|_| is_relative)).collect()
    }
}

/// How long a server may take before it or the next one is asked.
const TRY_MAX: Duration = Duration::from_secs(2);

/// How long a lookup may take in all.
const LOOKUP_MAX: Duration = Duration::from_secs(10);
