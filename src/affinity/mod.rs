//! Which node had this session.
//!
//! Asked before a node is chosen ([`Affinity::locate`]) and told when one has answered
//! ([`Affinity::remember`]). It never opens a connection nor judges a node's health: it says
//! where a session lives, whatever state that node is in.
//!
//! Runs for every request.

mod by_sid;
mod cookie;
mod healing;
pub mod settings;
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
use crate::client::Scheme;
use crate::engineio::{Call, OpenPacket, SessionBounds, Sid, Transport, query};
use crate::metrics::AffinityOutcome;
use crate::upstream::rendezvous::Rendezvous;
use crate::upstream::{Node, Upstream};
use by_sid::{BySid, Memory};
use cookie::Cookies;
pub use healing::Search;
pub use settings::Settings;
use settings::{RendezvousKey, SidSettings};
pub use tag::TagClash;

/// The rule that brings an upstream's sessions back to their nodes.
#[derive(Debug)]
pub struct Affinity {
    settings: Settings,
    members: Arc<[Member]>,
    strategy: Strategy,
    /// What was learned of sessions by a rule that looks at sids: it is kept by others too, for the
    /// next reload may bring such a rule back.
    memory: Option<Arc<Memory>>,
}

/// A node that sessions may live on.
#[derive(Debug)]
struct Member {
    node: Arc<Node>,
    /// When the sessions of a node that has left are given up.
    until: Option<Instant>,
}

/// What a request shows of itself.
#[derive(Clone, Copy, Debug)]
pub struct RequestView<'a> {
    /// What it asks of Engine.IO, if anything.
    pub call: Option<&'a Call>,
    /// Its header fields, as the client sent them.
    pub headers: &'a HeaderMap,
    /// Its query, as the client sent it.
    pub query: Option<&'a str>,
    /// The client's address, after trusted proxies were believed.
    pub address: IpAddr,
}

/// Where a request belongs.
#[derive(Clone, Debug)]
pub enum Placement {
    /// Any node will do.
    Anywhere,
    /// These nodes, in this order; none is bound to refuse. Not empty.
    Preferred(Vec<Arc<Node>>),
    /// This node alone, whose answer is final.
    Bound {
        /// Where the session lives.
        node: Arc<Node>,
        /// The sid as the node knows it, to be put into the query
        /// ([`with_sid`](crate::engineio::with_sid)); `None` if it stands there already.
        sid: Option<Sid>,
        /// The session's own bounds, as far as a tag or the table knows them.
        bounds: Option<SessionBounds>,
    },
    /// The session was on a node that is no more: answer 400, code 1, at once.
    Gone {
        /// The sid without tag.
        sid: Sid,
    },
    /// No tag, and the table does not know it: ask nodes in turn, if
    /// [`search`](Affinity::search) allows it.
    Unknown {
        /// The sid as it came.
        sid: Sid,
        /// The nodes in the order in which they are to be asked; empty if none is likelier than
        /// the others to have it.
        order: Vec<Arc<Node>>,
    },
}

/// What is to be done about an answer that opens a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remembered {
    /// Append this to the sid ([`OpenPacket::with_tag`]); if the answer cannot be rewritten,
    /// [`Affinity::learn`] the session instead.
    Tag(String),
    /// Nothing: the session is in the table.
    Learned,
    /// Nothing: the session will be known by other means or will not ask again.
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
    /// The affinity of `upstream`. `carried` is the same upstream's before a reload: what it
    /// learned lives on.
    ///
    /// # Errors
    /// [`TagClash`] if two nodes cannot be told apart.
    pub fn new(
        settings: &Settings,
        upstream: &Upstream,
        carried: Option<&Self>,
    ) -> Result<Self, TagClash> {
        let current = || upstream.nodes().iter().map(|node| (node, None));
        // A name whose process is another one now is that one's.
        let mut names: HashSet<&str> = current().map(|(node, _)| &**node.name()).collect();
        let retired = upstream.retired().iter().filter(|left| names.insert(left.node.name()));
        let retired = retired.map(|left| (&left.node, Some(left.until)));
        match Self::with_members(settings, members(current().chain(retired)), carried) {
            // A node that has left is no reason to refuse one that comes.
            Err(_) if !upstream.retired().is_empty() => {
                Self::with_members(settings, members(current()), carried)
            }
            built => built,
        }
    }

    /// Of these nodes, those that have left behind the others.
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

    /// What the operator says of it.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Says where a request belongs. To be called once for each request of the upstream, for it
    /// counts them.
    pub fn locate(&self, view: &RequestView<'_>, now: Instant) -> Placement {
        match &self.strategy {
            Strategy::Sid(by_sid) => {
                by_sid.healing().count_request();
                let sid = view.call.and_then(|call| call.sid.as_ref());
                sid.map_or(Placement::Anywhere, |sid| by_sid.locate(sid, now))
            }
            Strategy::Cookie(cookies) => self.locate_by_cookie(cookies, view, now),
            Strategy::Rendezvous(key, rendezvous, by_sid) => {
                by_sid.healing().count_request();
                let placement = match view.call.and_then(|call| call.sid.as_ref()) {
                    Some(sid) => by_sid.locate(sid, now),
                    None => Placement::Anywhere,
                };
                self.by_order(placement, || Some(rendezvous.order(&key.value_in(view)?)))
            }
            Strategy::None => Placement::Anywhere,
        }
    }

    /// The node of a session that was opened by this rule, which is not in force for new ones any
    /// more; `None` if nothing proves that it was.
    pub fn locate_earlier(&self, view: &RequestView<'_>, now: Instant) -> Option<Placement> {
        let sid = view.call.and_then(|call| call.sid.as_ref())?;
        let placement = match &self.strategy {
            Strategy::Sid(by_sid) | Strategy::Rendezvous(_, _, by_sid) => by_sid.locate(sid, now),
            Strategy::Cookie(cookies) => self.locate_by_cookie(cookies, view, now),
            Strategy::None => Placement::Anywhere,
        };
        matches!(placement, Placement::Bound { .. }).then_some(placement)
    }

    /// Whether `locate` goes by what is known of the session itself. A cookie is the client's, who may
    /// have several sessions.
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

    /// Whether a node that refused `sid` after this time speaks for all nodes.
    pub fn refused_for_all(&self, sid: &Sid, after: std::time::Duration) -> bool {
        self.by_sid().is_some_and(|by_sid| by_sid.healing().refused_for_all(sid, after))
    }

    /// Says what is to be done about `open`, with which `node` answered `call`. What is learned
    /// is in the table when this returns: send the answer only then, for the session's next
    /// requests may overtake it on other connections.
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
            // Who begins with a WebSocket never sends its sid.
            Some(_) | None => Remembered::Nothing,
        }
    }

    /// Remembers that the untagged `sid` lives on `node`, and nothing of its bounds: an answer could
    /// not be rewritten, or a session was healed.
    pub fn learn(&self, sid: &Sid, node: &Arc<Node>, now: Instant) {
        if let Some(by_sid) = self.by_sid() {
            by_sid.learn(sid, node, now);
        }
    }

    /// Whom to ask for the session of a [`Placement::Unknown`]; to ask around is paid for.
    pub fn search(&self, sid: &Sid, now: Instant) -> Search {
        self.by_sid().map_or(Search::One, |by_sid| by_sid.healing().begin(sid, now))
    }

    /// Remembers for 30 to 60 s that no node knows `sid`.
    pub fn missed(&self, sid: &Sid, now: Instant) {
        if let Some(by_sid) = self.by_sid() {
            by_sid.healing().missed(sid, now);
        }
    }

    /// The `Set-Cookie` field for the answer of `node` to a client whose cookie does not name it;
    /// `None` where cookies are not the rule.
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

    /// A session is bound to its cookie's node; all else only prefers it, if it has not left.
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
            indexes.into_iter().filter_map(|index| self.node(index)).collect()
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
    /// Whether a session may live there.
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
    /// What is hashed, and the order of the nodes; the sid says where a session was opened.
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
            Self::Cookie(name) => cookie::values_of(view.headers, name).next().map(Cow::Borrowed),
        }
    }
}
