//! Which node has a session.
//!
//! [`Affinity::locate`] is called before a node is chosen, [`Affinity::remember`] when one has
//! answered. It never opens a connection and never judges a node's health: it says where a session
//! is, whatever state that node is in.
//!
//! Runs for every request.

mod by_sid;
mod cookie;
mod healing;
pub(crate) mod settings;
mod table;
mod tag;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue};

use crate::Instant;
use crate::engineio::{Call, OpenPacket, SessionBounds, Sid, Transport, query};
use crate::http1::cookie_values;
use crate::metrics::AffinityOutcome;
use crate::net::Scheme;
use crate::upstream::rendezvous::Rendezvous;
use crate::upstream::{Node, Upstream};
use by_sid::{BySid, Memory};
use cookie::Cookies;
pub(crate) use healing::SearchScope;
pub use settings::Settings;
use settings::{RendezvousKey, SidSettings};
pub(crate) use tag::TagClash;

/// The rule that brings an upstream's sessions back to their nodes.
#[derive(Debug)]
pub struct Affinity {
    settings: Settings,
    members: Arc<[Member]>,
    strategy: Strategy,
    /// What a rule that uses sids has learned of sessions. Other rules keep it, too, because the
    /// next reload may restore such a rule.
    memory: Option<Arc<Memory>>,
}

/// A node that may have sessions.
#[derive(Debug)]
struct Member {
    node: Arc<Node>,
    /// When the sessions of a node that has left are given up.
    until: Option<Instant>,
}

/// The parts of a request that affinity uses.
#[derive(Clone, Copy, Debug)]
pub struct RequestView<'a> {
    /// Its Engine.IO parameters, if any.
    pub call: Option<&'a Call>,
    /// Its header fields, as the client sent them.
    pub headers: &'a HeaderMap,
    /// Its path, as the client sent it.
    pub path: &'a str,
    /// Its query, as the client sent it.
    pub query: Option<&'a str>,
    /// The client's address, as far as trusted proxies tell it.
    pub address: IpAddr,
}

/// Where a request belongs.
#[derive(Clone, Debug)]
pub enum Placement {
    /// To any node.
    Anywhere,
    /// To these nodes, in this order; none has to refuse it. Not empty.
    Preferred(Vec<Arc<Node>>),
    /// To this node only, whose response is final.
    Bound {
        /// The node that has the session.
        node: Arc<Node>,
        /// The sid that the node knows, for the query ([`with_sid`](crate::engineio::with_sid));
        /// `None` if it is there already.
        sid: Option<Sid>,
        /// The session's own bounds, if a tag or the table knows them.
        bounds: Option<SessionBounds>,
    },
    /// The session was on a node that is gone: respond with 400, code 1.
    Gone {
        /// The sid without its tag.
        sid: Sid,
    },
    /// Neither a tag nor the table knows it: ask nodes in turn, if [`search`](Affinity::search)
    /// allows it.
    Unknown {
        /// The sid as the client sent it.
        sid: Sid,
        /// The nodes in the order in which to ask them; empty if none is more likely than the
        /// others to have it.
        order: Vec<Arc<Node>>,
    },
}

/// What to do with a response that opens a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remembered {
    /// Append this to the sid ([`OpenPacket::with_tag`]); if the response cannot be rewritten,
    /// [`Affinity::learn`] the session instead.
    Tag(String),
    /// Nothing: the session is in the table.
    Learned,
    /// Nothing: the session is recognized by other means, or sends no more requests.
    Nothing,
}

impl Placement {
    /// The session's own bounds, if they are known.
    pub fn bounds(&self) -> Option<SessionBounds> {
        match self {
            Self::Bound { bounds, .. } => *bounds,
            Self::Anywhere | Self::Preferred(_) | Self::Gone { .. } | Self::Unknown { .. } => None,
        }
    }
}

impl Affinity {
    /// The affinity of `upstream`. `carried` is the same upstream's before a reload: what it has
    /// learned is kept.
    ///
    /// # Errors
    /// [`TagClash`] if two nodes have the same tag.
    pub fn new(
        settings: &Settings,
        upstream: &Upstream,
        carried: Option<&Self>,
    ) -> Result<Self, TagClash> {
        let current = || upstream.nodes().iter().map(|node| (node, None));
        // A name that belongs to another process now is that one's.
        let mut names: HashSet<&str> = current().map(|(node, _)| &**node.name()).collect();
        let retired = upstream.retired().iter().filter(|left| names.insert(left.node.name()));
        let retired = retired.map(|left| (&left.node, Some(left.until)));
        match Self::with_members(settings, members(current().chain(retired)), carried) {
            // A node that has left is no reason to refuse a new one.
            Err(_) if !upstream.retired().is_empty() => {
                Self::with_members(settings, members(current()), carried)
            }
            built => built,
        }
    }

    /// The affinity of these nodes; those that have left come last.
    fn with_members(
        settings: &Settings,
        members: Arc<[Member]>,
        carried: Option<&Self>,
    ) -> Result<Self, TagClash> {
        let names = members.iter().map(|member| &**member.node.name());
        let memory = || carried.and_then(|carried| carried.memory.clone()).unwrap_or_default();
        let strategy = match settings {
            Settings::Sid(settings) => Strategy::Sid(BySid::new(settings, &members, memory())?),
            Settings::Cookie(settings) => Strategy::Cookie(Cookies::new(settings, names)?),
            Settings::Rendezvous(key) => {
                let current = members.iter().filter(|member| member.until.is_none());
                let weights = current.map(|member| member.node.weight());
                let rendezvous = Rendezvous::new(names.zip(weights));
                let by_sid = BySid::new(&SidSettings::default(), &members, memory())?;
                Strategy::Rendezvous(key.clone(), rendezvous, by_sid)
            }
            Settings::None => Strategy::None,
        };
        let memory = match &strategy {
            Strategy::Sid(by_sid) | Strategy::Rendezvous(_, _, by_sid) => {
                Some(by_sid.memory().clone())
            }
            Strategy::Cookie(_) | Strategy::None => {
                carried.and_then(|carried| carried.memory.clone())
            }
        };
        Ok(Self { settings: settings.clone(), members, strategy, memory })
    }

    /// Its settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Where a request belongs. Call it once for each request of the upstream, because it counts
    /// them.
    pub fn locate(&self, view: &RequestView<'_>, now: Instant) -> Placement {
        if let Some(by_sid) = self.by_sid() {
            by_sid.healing().count_request();
        }
        self.find(view, now)
    }

    /// As [`Affinity::locate`], without counting.
    pub(crate) fn find(&self, view: &RequestView<'_>, now: Instant) -> Placement {
        match &self.strategy {
            Strategy::Sid(by_sid) => {
                let sid = view.call.and_then(|call| call.sid.as_ref());
                sid.map_or(Placement::Anywhere, |sid| by_sid.locate(sid, now))
            }
            Strategy::Cookie(cookies) => self.locate_by_cookie(cookies, view, now),
            Strategy::Rendezvous(key, rendezvous, by_sid) => {
                let placement = match view.call.and_then(|call| call.sid.as_ref()) {
                    Some(sid) => by_sid.locate(sid, now),
                    None => Placement::Anywhere,
                };
                self.by_order(placement, || Some(rendezvous.order(&key.value_in(view)?)))
            }
            Strategy::None => Placement::Anywhere,
        }
    }

    /// The node of a session that was opened by this rule, which no longer applies to new ones;
    /// `None` if nothing proves that it was.
    pub fn locate_earlier(&self, view: &RequestView<'_>, now: Instant) -> Option<Placement> {
        let sid = view.call.and_then(|call| call.sid.as_ref())?;
        let placement = match &self.strategy {
            Strategy::Sid(by_sid) | Strategy::Rendezvous(_, _, by_sid) => by_sid.locate(sid, now),
            Strategy::Cookie(cookies) => self.locate_by_cookie(cookies, view, now),
            Strategy::None => Placement::Anywhere,
        };
        matches!(placement, Placement::Bound { .. }).then_some(placement)
    }

    /// Whether `locate` goes by what is known of the session itself. A cookie is the client's, who
    /// may have several sessions.
    pub fn is_sure_of(&self, placement: &Placement) -> bool {
        matches!(placement, Placement::Bound { .. }) && self.by_sid().is_some()
    }

    /// What metrics count `locate` as; `None` for a session that has to be asked for, of which only
    /// the search can tell.
    pub fn outcome(&self, placement: &Placement) -> Option<AffinityOutcome> {
        match (placement, &self.strategy) {
            (Placement::Anywhere, _) => Some(AffinityOutcome::None),
            (Placement::Bound { .. } | Placement::Preferred(_), Strategy::Cookie(_)) => {
                Some(AffinityOutcome::Cookie)
            }
            (Placement::Bound { sid: Some(_), .. }, _) => Some(AffinityOutcome::Tag),
            (Placement::Bound { sid: None, .. }, _) => Some(AffinityOutcome::Table),
            (Placement::Preferred(_), _) => Some(AffinityOutcome::Rendezvous),
            (Placement::Gone { .. }, _) => Some(AffinityOutcome::Gone),
            (Placement::Unknown { .. }, _) => None,
        }
    }

    /// Whether the refusal of `sid` by a node after this time counts for all nodes.
    pub fn refused_for_all(&self, sid: &Sid, after: std::time::Duration) -> bool {
        self.by_sid().is_some_and(|by_sid| by_sid.healing().refused_for_all(sid, after))
    }

    /// What to do with `open`, with which `node` answered `call`. What is learned is in the table
    /// when this returns. Send the response only then, because the session's next requests may
    /// overtake it on other connections.
    pub fn remember(
        &self,
        call: &Call,
        open: &OpenPacket,
        node: &Arc<Node>,
        now: Instant,
    ) -> Remembered {
        let is_polling_handshake = call.is_handshake() && call.transport == Transport::Polling;
        match self.by_sid() {
            Some(by_sid) if is_polling_handshake => by_sid.remember(open, node, now),
            // A client that begins with a WebSocket never sends its sid.
            Some(_) | None => Remembered::Nothing,
        }
    }

    /// Stores that the untagged `sid` is on `node`, without bounds: a response could not be
    /// rewritten, or a session was healed.
    pub fn learn(&self, sid: &Sid, node: &Arc<Node>, now: Instant) {
        if let Some(by_sid) = self.by_sid() {
            by_sid.learn(sid, node, now);
        }
    }

    /// Which nodes to ask for the session of a [`Placement::Unknown`]; asking all of them takes
    /// credit.
    pub fn search(&self, sid: &Sid, now: Instant) -> SearchScope {
        self.by_sid().map_or(SearchScope::OneNode, |by_sid| by_sid.healing().search_scope(sid, now))
    }

    /// Stores for 30 to 60 s that no node knows `sid`.
    pub fn missed(&self, sid: &Sid, now: Instant) {
        if let Some(by_sid) = self.by_sid() {
            by_sid.healing().missed(sid, now);
        }
    }

    /// The `Set-Cookie` field for the response of `node` to a client whose cookie does not name it;
    /// `None` unless the rule is `cookie`.
    pub fn set_cookie(&self, node: &Arc<Node>, scheme: Scheme) -> Option<HeaderValue> {
        match &self.strategy {
            Strategy::Cookie(cookies) => {
                let index =
                    self.members.iter().position(|known| known.node.name() == node.name())?;
                cookies.set(index, scheme)
            }
            Strategy::Sid(_) | Strategy::Rendezvous(..) | Strategy::None => None,
        }
    }

    /// A session is bound to its cookie's node; other requests only prefer it, if it has not left.
    fn locate_by_cookie(
        &self,
        cookies: &Cookies,
        view: &RequestView<'_>,
        now: Instant,
    ) -> Placement {
        let named = cookies.node(view.headers).and_then(|index| self.members.get(index));
        let Some(member) = named.filter(|member| member.has_sessions(now)) else {
            return Placement::Anywhere;
        };
        let node = member.node.clone();
        if view.call.is_some_and(|call| call.sid.is_some()) {
            Placement::Bound { node, sid: None, bounds: None }
        } else if member.until.is_none() {
            Placement::Preferred(vec![node])
        } else {
            Placement::Anywhere
        }
    }

    /// `locate`, with the order of the nodes where more than one may be asked. The order serves
    /// requests of no session, and sessions whose node no tag and no table knows.
    fn by_order(
        &self,
        placement: Placement,
        order: impl FnOnce() -> Option<Vec<usize>>,
    ) -> Placement {
        let nodes = || -> Vec<Arc<Node>> {
            let indexes = order().unwrap_or_default();
            let nodes = indexes.into_iter().filter_map(|index| self.node(index));
            let (backups, others): (Vec<_>, Vec<_>) = nodes.partition(|node| node.is_backup());
            [others, backups].concat()
        };
        match placement {
            Placement::Anywhere => match nodes() {
                order if order.is_empty() => Placement::Anywhere,
                order => Placement::Preferred(order),
            },
            Placement::Unknown { sid, order: _ } => Placement::Unknown { sid, order: nodes() },
            known
            @ (Placement::Preferred(_) | Placement::Bound { .. } | Placement::Gone { .. }) => known,
        }
    }

    fn node(&self, index: usize) -> Option<Arc<Node>> {
        self.members.get(index).map(|member| member.node.clone())
    }

    fn by_sid(&self) -> Option<&BySid> {
        match &self.strategy {
            Strategy::Sid(by_sid) | Strategy::Rendezvous(_, _, by_sid) => Some(by_sid),
            Strategy::Cookie(_) | Strategy::None => None,
        }
    }
}

impl Member {
    /// Whether it may still have sessions.
    fn has_sessions(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

fn members<'a>(nodes: impl Iterator<Item = (&'a Arc<Node>, Option<Instant>)>) -> Arc<[Member]> {
    nodes.map(|(node, until)| Member { node: node.clone(), until }).collect()
}

/// The rules; one for each of [`Settings`].
#[derive(Debug)]
enum Strategy {
    Sid(BySid),
    Cookie(Cookies),
    /// The key that is hashed, and the order of the nodes; the sid says where a session was opened.
    Rendezvous(RendezvousKey, Rendezvous, BySid),
    None,
}

impl RendezvousKey {
    /// What is hashed; `None` if the request has no such property.
    pub fn value_in<'a>(&self, view: &RequestView<'a>) -> Option<Cow<'a, [u8]>> {
        match self {
            Self::Address => Some(match view.address.to_canonical() {
                IpAddr::V4(address) => address.octets().to_vec().into(),
                IpAddr::V6(address) => address.octets().to_vec().into(),
            }),
            Self::Header(name) => view.headers.get(name).map(|value| value.as_bytes().into()),
            Self::Query(name) => query::value_of(view.query?, name).map(Cow::Owned),
            Self::Cookie(name) => cookie_values(view.headers, name).next().map(Cow::Borrowed),
            Self::Path(key) => key.find(view.path).map(|key| key.as_bytes().into()),
        }
    }
}
