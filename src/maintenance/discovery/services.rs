//! The nodes that SRV records name.
//!
//! Runs at start, at reload, or on a timer.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::proto::rr::rdata::SRV;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use tokio::time::timeout;

use super::answer::{Service, nodes_of};
use super::dns::{LookupError, Servers, address_in, records, ttl};
use crate::upstream::settings::NodeSettings;

/// Records of one answer.
#[derive(Debug, Default)]
struct Records {
    answers: Vec<Record>,
    additionals: Vec<Record>,
}

/// The targets of SRV records. A configured server knows their addresses better than the system, which
/// may not know that server.
pub(super) async fn services(
    servers: &Servers,
    resolver: &TokioResolver,
    name: Name,
) -> Result<(Vec<NodeSettings>, Duration), LookupError> {
    let found = match records(resolver, name.clone(), RecordType::SRV).await {
        Ok(Some(found)) => {
            let (answers, additionals) = (found.answers().to_vec(), found.additionals().to_vec());
            Records { answers, additionals }
        }
        // The resolver follows an alias to addresses and not to services.
        Ok(None) => behind_alias(servers, &name).await?.unwrap_or_default(),
        Err(error) => match behind_alias(servers, &name).await {
            Ok(Some(found)) => found,
            Ok(None) | Err(_) => return Err(error),
        },
    };
    let services: Vec<Service> = found.answers.iter().filter_map(service_in).collect();
    let mut addresses = HashMap::new();
    if servers.named.is_some() {
        for record in &found.additionals {
            add_address(&mut addresses, record);
        }
        // The answer has them if there is room in it.
        let _ = timeout(TARGETS_MAX, add_targets(&mut addresses, resolver, &services)).await;
    }
    let nodes = nodes_of(&services, |host| addresses.get(host).copied());
    Ok((nodes, ttl(&found.answers)))
}

fn service_in(record: &Record) -> Option<Service> {
    let srv = srv_in(record)?;
    Some(Service {
        priority: srv.priority,
        weight: srv.weight,
        target: srv.target.to_ascii(),
        port: srv.port,
    })
}

fn srv_in(record: &Record) -> Option<&SRV> {
    match &record.data {
        RData::SRV(srv) => Some(srv),
        _ => None,
    }
}

/// Addresses by host, in lower case and without the last dot.
type Addresses = HashMap<String, IpAddr>;

fn add_address(addresses: &mut Addresses, record: &Record) {
    let Some(address) = address_in(record) else { return };
    // The least, so that the order of records does not matter.
    let entry = addresses.entry(host_of(&record.name.to_ascii())).or_insert(address);
    *entry = address.min(*entry);
}

fn host_of(name: &str) -> String {
    name.to_ascii_lowercase().trim_end_matches('.').to_owned()
}

/// Asks for the addresses of the targets that have none yet.
async fn add_targets(addresses: &mut Addresses, resolver: &TokioResolver, services: &[Service]) {
    for service in services {
        let host = host_of(&service.target);
        let Ok(mut name) = Name::from_ascii(&host) else { continue };
        name.set_fqdn(true);
        for kind in [RecordType::A, RecordType::AAAA] {
            if addresses.contains_key(&host) {
                break;
            }
            let Ok(Some(found)) = records(resolver, name.clone(), kind).await else { continue };
            // The answer may be the address of what the target is an alias of.
            if let Some(address) = found.answers().iter().filter_map(address_in).min() {
                addresses.insert(host.clone(), address);
            }
        }
    }
}

/// The SRV records that a CNAME record of `name` leads to (RFC 1034, section 3.6.2).
async fn behind_alias(servers: &Servers, name: &Name) -> Result<Option<Records>, LookupError> {
    for name in servers.names(name) {
        let (mut alias, mut passed) = (name.clone(), Vec::new());
        for _ in 0..ALIASES_MAX {
            let message = servers.ask(&alias, RecordType::SRV).await?.into_message();
            let (end, on_the_way) = follow(&alias, &message.answers);
            let is_alias = !on_the_way.is_empty();
            passed.extend(on_the_way);
            let at_end = |record: &&Record| record.name == end && srv_in(record).is_some();
            let services: Vec<Record> = message.answers.iter().filter(at_end).cloned().collect();
            if !services.is_empty() {
                // All of them are good only for as long as the aliases are.
                let answers = services.into_iter().chain(passed).collect();
                return Ok(Some(Records { answers, additionals: message.additionals }));
            }
            if !is_alias {
                break;
            }
            alias = end;
        }
    }
    Ok(None)
}

/// The name at the end of the aliases from `name` on, and the records that lead there.
fn follow(name: &Name, answers: &[Record]) -> (Name, Vec<Record>) {
    let (mut end, mut passed) = (name.clone(), Vec::new());
    while passed.len() < ALIASES_MAX {
        let alias = answers.iter().find_map(|record| match &record.data {
            RData::CNAME(cname) if record.name == end => Some((record, &cname.0)),
            _ => None,
        });
        let Some((record, next)) = alias else { break };
        passed.push(record.clone());
        end = next.clone();
    }
    (end, passed)
}

/// How many aliases are followed: more are a circle or a mistake.
const ALIASES_MAX: usize = 8;

/// How long all lookups of the targets' addresses may take. A target without an answer is resolved by
/// the system when a connection is made.
const TARGETS_MAX: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use hickory_resolver::proto::rr::rdata::CNAME;

    use super::*;

    fn alias(from: &str, to: &str) -> Record {
        let [from, to] = [from, to].map(|name| Name::from_ascii(name).unwrap());
        Record::from_rdata(from, 60, RData::CNAME(CNAME(to)))
    }

    #[test]
    fn aliases_are_followed_in_any_order_and_not_in_circles() {
        // check(aliases, the end from `a.`, how many lead there)
        fn check(aliases: &[(&str, &str)], expected: &str, count: usize) {
            let records: Vec<Record> = aliases.iter().map(|(from, to)| alias(from, to)).collect();
            let (end, passed) = follow(&Name::from_ascii("a.").unwrap(), &records);
            assert_eq!((end.to_ascii().as_str(), passed.len()), (expected, count), "{aliases:?}");
        }
        check(&[], "a.", 0);
        check(&[("x.", "y.")], "a.", 0);
        check(&[("a.", "b.")], "b.", 1);
        check(&[("A.", "b.")], "b.", 1);
        check(&[("b.", "c."), ("a.", "b.")], "c.", 2);
        check(&[("a.", "a.")], "a.", ALIASES_MAX);
        check(&[("a.", "b."), ("b.", "a.")], "a.", ALIASES_MAX);
    }
}
