//! An upstream as the file that says all of it.
//!
//! Pure. Runs at start, at reload, or on a timer.

use super::{duration, list, node_tls, word};
use crate::affinity::settings::{Secret, Settings as AffinitySettings};
use crate::config::UpstreamSettings;
use crate::config::file::affinity::{Affinity, Balance, Cookie, Rendezvous, RendezvousBy, Sid};
use crate::config::file::health::{Health, HttpCheck};
use crate::config::file::pacing::Rates;
use crate::config::file::upstream::{Discover, Node, Upstream};
use crate::config::resolve::{BALANCE_RULES, endpoint};
use crate::form::section;
use crate::upstream::health::settings::{self as health, Check};
use crate::upstream::settings::{self, Source};
use crate::upstream::{NodeSettings, RendezvousKey};
use crate::yaml::{Chosen, List, RawScalar, TextOr};

/// The upstream's name and what is below it.
pub(super) fn render(group: &UpstreamSettings) -> (String, Option<Upstream>) {
    let settings = &group.upstream;
    let is_discovered = settings.discover.is_some();
    let upstream = Upstream {
        nodes: list(&settings.nodes, |settings| TextOr::Map(node(settings)))
            .filter(|_| !is_discovered),
        discover: settings.discover.as_ref().map(discover),
        affinity: Some(affinity(&group.affinity)),
        tls: Some(Chosen::Is(match &settings.tls {
            None => TextOr::Text("off".to_owned()),
            Some(tls) => TextOr::Map(node_tls::render(tls.settings())),
        })),
        balance: Some(balance(&settings.balance)),
        health: Some(health(&settings.health)),
        admission: Some(section::write(&Rates::from(&settings.admission))),
        drain: Some(section::write(&settings.drain)),
        rebalance: Some(match &settings.rebalance {
            None => TextOr::Text("off".to_owned()),
            Some(rebalance) => TextOr::Map(section::write(rebalance)),
        }),
        ..section::write(settings)
    };
    (settings.name.to_string(), Some(upstream))
}

fn node(settings: &NodeSettings) -> Node {
    // The name of a node that has none is its address as written, which may be no name: it may
    // hold brackets.
    let is_named = endpoint(&settings.name).as_ref() != Ok(&settings.address);
    Node {
        address: Some(if is_named {
            RawScalar::new(&settings.address)
        } else {
            RawScalar::new(&settings.name)
        }),
        name: is_named.then(|| settings.name.to_string()),
        weight: Some(RawScalar::new(settings.weight)),
        drain: Some(settings.drain),
        backup: Some(settings.backup),
    }
}

fn discover(settings: &settings::Discover) -> Discover {
    let (dns, srv) = match &settings.source {
        Source::Addresses(address) => (Some(Chosen::Is(address.to_string())), None),
        Source::Services(name) => (None, Some(Chosen::Is(name.to_string()))),
    };
    Discover {
        dns,
        srv,
        every: Some(duration(settings.every)),
        server: settings.server.map(RawScalar::new),
    }
}

fn balance(settings: &settings::Balance) -> TextOr<Balance> {
    match settings {
        settings::Balance::Rendezvous(by) => {
            TextOr::Map(Balance { rendezvous: Some(Chosen::Is(Rendezvous { by: Some(key(by)) })) })
        }
        settings::Balance::LeastConnections
        | settings::Balance::RoundRobin
        | settings::Balance::RandomTwo
        | settings::Balance::LeastLag => {
            TextOr::Text(word(&BALANCE_RULES, settings.clone()).unwrap_or_default())
        }
    }
}

fn health(settings: &health::Health) -> TextOr<Health> {
    let (engineio, http) = match &settings.check {
        Check::Off => return TextOr::Text("off".to_owned()),
        Check::Tcp => (None, None),
        Check::EngineIo(path) => (Some(Chosen::Is(path.to_string())), None),
        Check::Http(check) => (None, Some(Chosen::Is(http_check(check)))),
    };
    TextOr::Map(Health { engineio, http, ..section::write(settings) })
}

fn http_check(check: &health::HttpCheck) -> HttpCheck {
    let (first, last) = (check.status.start(), check.status.end());
    HttpCheck {
        path: Some(check.path.to_string()),
        host: check.host.as_deref().map(str::to_owned),
        status: Some(RawScalar::new(format!("{first}-{last}"))),
        body: check.body.as_deref().map(str::to_owned),
        drain: check.drain.as_deref().map(str::to_owned),
    }
}

fn affinity(settings: &AffinitySettings) -> TextOr<Affinity> {
    let mut shown = Affinity::default();
    match settings {
        AffinitySettings::None => return TextOr::Text(settings.label().to_owned()),
        AffinitySettings::Sid(by) => {
            shown.sid = Some(Chosen::Is(Sid {
                keys: hidden(&by.keys),
                tag_eio3: Some(by.tag_eio3),
                tag: Some(by.tag.label().to_owned()),
            }));
        }
        AffinitySettings::Cookie(by) => {
            let cookie = Cookie { name: Some(by.name.to_string()), keys: hidden(&by.keys) };
            shown.cookie = Some(Chosen::Is(cookie));
        }
        AffinitySettings::Rendezvous(by) => {
            shown.rendezvous = Some(Chosen::Is(Rendezvous { by: Some(key(by)) }));
        }
    }
    TextOr::Map(shown)
}

fn key(key: &RendezvousKey) -> TextOr<RendezvousBy> {
    let by = RendezvousBy::default();
    TextOr::Map(match key {
        RendezvousKey::Address => return TextOr::Text("address".to_owned()),
        RendezvousKey::Header(name) => {
            RendezvousBy { header: Some(Chosen::Is(name.to_string())), ..by }
        }
        RendezvousKey::Query(name) => {
            RendezvousBy { query: Some(Chosen::Is(name.to_string())), ..by }
        }
        RendezvousKey::Cookie(name) => {
            RendezvousBy { cookie: Some(Chosen::Is(name.to_string())), ..by }
        }
        RendezvousKey::Path(key) => RendezvousBy { path: Some(Chosen::Is(key.to_string())), ..by },
    })
}

fn hidden(secrets: &[Secret]) -> List<String> {
    list(secrets, |_| HIDDEN.to_owned())
}

/// Too short for a secret, so that who copies the answer is told.
pub(super) const HIDDEN: &str = "(hidden)";
