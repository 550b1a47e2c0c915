//! The keys of `affinity:` and `balance:`.
//!
//! Pure. Runs at start, at reload, or on a timer.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::schema::whole;
use crate::form::patterns;
use crate::yaml::{Chosen, List, TextOr, chosen};

/// Which node gets a new session.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["rendezvous"]))]
pub(crate) struct Balance {
    /// Prefer the node that a property of the request selects, unless that node has a quarter more
    /// sessions than its share, and at least eight more.
    ///
    /// A client that returns gets its previous node, and the in-memory connection state recovery of
    /// Socket.IO works.
    #[serde(deserialize_with = "chosen")]
    #[schemars(with = "Rendezvous")]
    pub(crate) rendezvous: Option<Chosen<Rendezvous>>,
}

/// How the requests of a session find their node; one of the keys.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
pub(crate) struct Affinity {
    /// By the session id: no cookie, no client address, any number of proxies.
    #[serde(deserialize_with = "chosen")]
    #[schemars(with = "Sid")]
    pub(crate) sid: Option<Chosen<Sid>>,
    /// By a cookie that Sockeye sets.
    #[serde(deserialize_with = "chosen")]
    #[schemars(with = "Cookie")]
    pub(crate) cookie: Option<Chosen<Cookie>>,
    /// By a property of the request: new sessions and plain requests with the same value go to the
    /// same node as long as the set of nodes does not change.
    ///
    /// A session stays on the node that opened it, as with `sid`. If another proxy opened the
    /// session, Sockeye asks the nodes in the order of the request's value; it asks the next node
    /// only if the previous one answered that it does not know the session.
    #[serde(deserialize_with = "chosen")]
    #[schemars(with = "Rendezvous")]
    pub(crate) rendezvous: Option<Chosen<Rendezvous>>,
}

/// By the session id.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Sid {
    /// Secrets of at least 16 characters: the first one makes tags, all are accepted. Without any,
    /// tags use a constant that is the same in every Sockeye.
    ///
    /// To change the secret, add the new one as the first.
    #[schemars(extend("x-items" = { "minLength": 16 }, "x-type" = "list of secrets"))]
    pub(crate) keys: List<String>,
    /// Tag the sessions of EIO=3 clients too, although these clients see the tag in `socket.id`.
    pub(crate) tag_eio3: Option<bool>,
    /// What a tag contains: `long`, the node and limits of the session, or `short`, only the node,
    /// which older proxies understand.
    ///
    /// Use `short` while older proxies serve the same clients. All proxies of this version read
    /// both.
    #[schemars(extend("enum" = ["long", "short", null]))]
    pub(crate) tag: Option<String>,
}

/// By a cookie that Sockeye sets.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Cookie {
    /// The cookie's name.
    #[schemars(extend("pattern" = whole(patterns::TOKEN)))]
    pub(crate) name: Option<String>,
    /// Secrets of at least 16 characters, as for `sid`.
    #[schemars(extend("x-items" = { "minLength": 16 }, "x-type" = "list of secrets"))]
    pub(crate) keys: List<String>,
}

/// By a property of the request.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Rendezvous {
    /// Which property: `address` for the client's address, or a map with one of the keys below.
    #[schemars(extend("x-needed" = true))]
    pub(crate) by: Option<TextOr<RendezvousBy>>,
}

/// Which property of the request; one of the keys.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
pub(crate) struct RendezvousBy {
    /// The name of a request header.
    #[serde(deserialize_with = "chosen")]
    #[schemars(with = "String", extend("pattern" = whole(patterns::TOKEN)))]
    pub(crate) header: Option<Chosen<String>>,
    /// The name of a query parameter.
    #[serde(deserialize_with = "chosen")]
    #[schemars(with = "String", extend("pattern" = whole(patterns::QUERY_NAME)))]
    pub(crate) query: Option<Chosen<String>>,
    /// The name of a cookie of the application.
    #[serde(deserialize_with = "chosen")]
    #[schemars(with = "String", extend("pattern" = whole(patterns::TOKEN)))]
    pub(crate) cookie: Option<Chosen<String>>,
    /// A segment of the path, as the client sends it: `/echo/*/:key`, where `*` is any one segment.
    ///
    /// For SockJS, whose paths have the session: see [operating](operating.md#sockjs).
    #[serde(deserialize_with = "chosen")]
    #[schemars(with = "String", extend(
        "pattern" = whole(patterns::PATH_KEY), "not" = { "pattern": patterns::DOT_SEGMENTS }
    ))]
    pub(crate) path: Option<Chosen<String>>,
}
