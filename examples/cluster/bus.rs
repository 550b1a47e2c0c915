//! The notices that nodes send each other, so that a message reaches the tabs of all nodes.
//!
//! This is a minimal adapter: a channel inside one process. Nodes in separate processes use
//! Socket.IO's Redis adapter or a similar one; Sockeye is not involved.

use serde::Serialize;
use tokio::sync::broadcast;

/// Carries each notice to all nodes, the sender included.
pub(crate) type Bus = broadcast::Sender<Notice>;

/// A bus without nodes.
pub(crate) fn new() -> Bus {
    broadcast::Sender::new(NOTICES_MAX)
}

/// Something that all nodes should know.
#[derive(Clone, Debug)]
pub(crate) enum Notice {
    /// Somebody said something.
    Said(Message),
    /// The tabs of one node, all of them.
    Tabs(NodeTabs),
    /// Every node is asked for its tabs.
    RollCall,
}

/// A chat message, as the page gets it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Message {
    /// The sender.
    pub(crate) from: Tab,
    /// The node of the sender.
    pub(crate) node: &'static str,
    /// The text of the message.
    pub(crate) text: String,
}

/// The tabs of a node, as the page gets them.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct NodeTabs {
    /// The node.
    pub(crate) node: &'static str,
    /// Its tabs, oldest first.
    pub(crate) tabs: Vec<Tab>,
}

/// A browser tab with a session, as all other tabs see it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Tab {
    /// Its number on its node. Not the session id: anyone who knows it can take over the session.
    pub(crate) number: u64,
    /// The name of its user.
    pub(crate) name: String,
    /// `polling` or `websocket`.
    pub(crate) transport: &'static str,
}

/// A node that is further behind than this misses notices.
const NOTICES_MAX: usize = 1024;
