//! One look-up: what is asked, whom, and what its answer means.
//!
//! A resolver lives for one look-up, so that a changed `resolv.conf` counts from the next one on, and
//! it remembers nothing: what is known and for how long is the caller's business.
//!
//! Runs at start, at reload, or on a timer.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use tokio::time::timeout;

use super::super::settings::{Discover, NodeAddress, NodeSettings, Source};
use super::answer::{Answer, Service, nodes_at, nodes_of};

/// Why a look-up told nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum LookupError {
    /// `/etc/resolv.conf` does not say whom to ask.
    #[error("the system's DNS settings cannot be used: {0}")]
    System(#[source] NetError),
    /// No server could be asked, or it refused.
    #[error("{0}")]
    Failed(#[source] NetError),
    /// There are no such records.
    #[error("{0} has no such records in DNS")]
    Nothing(Box<str>),
    /// None came in time.
    #[error("no answer from DNS within {0:?}")]
    TimedOut(Duration),
}

/// Asks for what `discover` says. `known` are the nodes so far.
///
/// If the future is dropped, nothing is lost but the answer.
///
/// # Errors
///
/// [`LookupError`]; an answer without a single node is one.
pub(super) async fn look_up(
    discover: &Discover,
    known: &[NodeSettings],
) -> Result<Answer, LookupError> {
    let resolver = resolver(discover.server)?;
    let asked = async {
        match &discover.source {
            Source::Addresses(address) => {
                let name = name(&address.host, discover.server)?;
                addresses(&resolver, name, address, known).await
            }
            Source::Services(service) => {
                let name = name(service, discover.server)?;
                services(&resolver, name, discover.server).await
            }
        }
    };
    let (nodes, ttl) =
        timeout(LOOKUP_MAX, asked).await.map_err(|_| LookupError::TimedOut(LOOKUP_MAX))??;
    if nodes.is_empty() {
        return Err(LookupError::Nothing(discover.source.name().into()));
    }
    Ok(Answer { nodes, ttl })
}

/// The addresses of both families. One family alone is an answer too, for some servers never answer
/// for the other; but then it must not be one that nodes were found in.
async fn addresses(
    resolver: &TokioResolver,
    name: Name,
    address: &NodeAddress,
    known: &[NodeSettings],
) -> Result<(Vec<NodeSettings>, Duration), LookupError> {
    let v4 = records(resolver, name.clone(), RecordType::A).await;
    // Where the system's search list has led to: both families are of one name.
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

/// The targets of SRV records. A server of our own knows their addresses better than the system,
/// which may not know that server.
async fn services(
    resolver: &TokioResolver,
    name: Name,
    server: Option<SocketAddr>,
) -> Result<(Vec<NodeSettings>, Duration), LookupError> {
    let Some(found) = records(resolver, name, RecordType::SRV).await? else {
        return Ok((Vec::new(), Duration::ZERO));
    };
    let service = |record: &Record| match &record.data {
        RData::SRV(srv) => Some(Service {
            priority: srv.priority,
            weight: srv.weight,
            target: srv.target.to_ascii(),
            port: srv.port,
        }),
        _ => None,
    };
    let mut addresses: HashMap<String, IpAddr> = HashMap::new();
    for record in found.additionals().iter().filter(|_| server.is_some()) {
        let Some(address) = address_in(record) else { continue };
        let host = record.name.to_ascii().to_ascii_lowercase();
        // The least, so that the order of records does not matter.
        let entry = addresses.entry(host.trim_end_matches('.').to_owned()).or_insert(address);
        *entry = address.min(*entry);
    }
    let services: Vec<Service> = found.answers().iter().filter_map(service).collect();
    Ok((nodes_of(&services, |host| addresses.get(host).copied()), ttl(found.answers())))
}

/// The records of this type; `None` if there are none.
async fn records(
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

fn address_in(record: &Record) -> Option<IpAddr> {
    match &record.data {
        RData::A(address) => Some(IpAddr::V4(address.0)),
        RData::AAAA(address) => Some(IpAddr::V6(address.0)),
        _ => None,
    }
}

/// How long all of them are good.
fn ttl(records: &[Record]) -> Duration {
    let least = records.iter().map(|record| record.ttl).min();
    Duration::from_secs(least.unwrap_or_default().into())
}

fn is_at(node: &NodeSettings, family: impl Fn(&IpAddr) -> bool) -> bool {
    node.address.host.parse().is_ok_and(|address| family(&address))
}

/// The name to ask for. The system's search list is for the system's servers.
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

fn resolver(server: Option<SocketAddr>) -> Result<TokioResolver, LookupError> {
    let mut builder = match server {
        None => TokioResolver::builder_tokio().map_err(LookupError::System)?,
        Some(server) => {
            let connections =
                [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
                    connection.port = server.port();
                    connection
                });
            let server = NameServerConfig::new(server.ip(), true, connections.into());
            let config = ResolverConfig::from_name_servers(vec![server]);
            let mut builder =
                TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
            builder.options_mut().use_hosts_file = ResolveHosts::Never;
            builder
        }
    };
    let options = builder.options_mut();
    options.cache_size = 0;
    options.timeout = TRY_MAX;
    builder.build().map_err(LookupError::System)
}

/// How long a server may take before it is asked again, or the next.
const TRY_MAX: Duration = Duration::from_secs(2);

/// How long a look-up may take in all.
const LOOKUP_MAX: Duration = Duration::from_secs(10);
