//! Which node now, and a connection to it.
//!
//! Runs for every request.

pub mod settings;
mod node;

use std::sync::Arc;

pub use node::Node;
pub use settings::{NodeAddress, NodeSettings, Settings};

/// A named group of nodes.
#[derive(Debug)]
pub struct Upstream {
    name: Arc<str>,
    nodes: Box<[Arc<Node>]>,
}

impl Upstream {
    /// An upstream of nodes of which nothing is known yet.
    pub fn new(settings: &Settings) -> Self {
        Self {
            name: settings.name.clone(),
            nodes: settings.nodes.iter().map(|node| Arc::new(Node::new(node))).collect(),
        }
    }

    /// Its key in the configuration.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// All its nodes, in the order of the configuration.
    pub fn nodes(&self) -> &[Arc<Node>] {
        &self.nodes
    }
}
