//! The settings of affinity.
//!
//! Runs at start, at reload, or on a timer.

use std::fmt;
use std::sync::Arc;

pub(crate) use crate::upstream::RendezvousKey;

/// How sessions come back to their node; an upstream's `affinity`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settings {
    /// By the session id (the tag, the table, self-healing).
    Sid(SidSettings),
    /// By a cookie of ours.
    Cookie(CookieSettings),
    /// By highest random weight over a property of the request.
    Rendezvous(RendezvousKey),
    /// Not at all: for clients that use WebSockets only.
    None,
}

impl Settings {
    /// The name of the rule, as the configuration writes it.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Sid(_) => "sid",
            Self::Cookie(_) => "cookie",
            Self::Rendezvous(_) => "rendezvous",
            Self::None => "none",
        }
    }
}

impl Settings {
    /// What is needed of this rule to recognize the sessions that were opened by it; `None` if it
    /// recognizes none.
    pub fn for_reading(&self) -> Option<Self> {
        match self {
            Self::Sid(sid) => {
                Some(Self::Sid(SidSettings { keys: sid.keys.clone(), ..SidSettings::default() }))
            }
            Self::Rendezvous(_) => Some(Self::default()),
            Self::Cookie(_) => Some(self.clone()),
            Self::None => None,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self::Sid(SidSettings::default())
    }
}

/// `affinity: sid`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SidSettings {
    /// Secrets of the tag: the first makes tags, all are tried for reading. Empty means the
    /// constant that is compiled in, the same in every Sockeye.
    pub keys: Vec<Secret>,
    /// Also tag EIO=3 sessions, although their clients see the sid as `socket.id`.
    pub tag_eio3: bool,
    /// Which tags are made; all forms are read.
    pub tag: TagForm,
}

/// The content of a tag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TagForm {
    /// The session's node and its bounds.
    #[default]
    Long,
    /// Only the node, the form that older proxies know.
    Short,
}

impl TagForm {
    /// As the configuration writes it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Long => "long",
            Self::Short => "short",
        }
    }
}

/// `affinity: cookie`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookieSettings {
    /// The cookie's name, a token of RFC 6265.
    pub name: Arc<str>,
    /// Secrets that sign it, as for [`SidSettings::keys`].
    pub keys: Vec<Secret>,
}

impl CookieSettings {
    /// The cookie's name if none is configured.
    pub const NAME: &str = "sockeye";
}

/// A secret that never appears in logs or output.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub Arc<str>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(...)")
    }
}
