//! One Socket.IO or WebSocket server process.
//!
//! Runs for every request.

use std::sync::Arc;

use super::settings::{NodeAddress, NodeSettings};
use crate::engineio::Learned;

/// A node and what we know of it. Carried from snapshot to snapshot by its name.
#[derive(Debug)]
pub struct Node {
    name: Arc<str>,
    address: NodeAddress,
    weight: u32,
    learned: Arc<Learned>,
}

impl Node {
    /// A node of which nothing is known yet.
    pub fn new(settings: &NodeSettings) -> Self {
        Self {
            name: settings.name.clone(),
            address: settings.address.clone(),
            weight: settings.weight,
            learned: Arc::default(),
        }
    }

    /// What affinity, logs and metrics call it.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Where it listens.
    pub fn address(&self) -> &NodeAddress {
        &self.address
    }

    /// Its share of new sessions beside the others' weights.
    pub fn weight(&self) -> u32 {
        self.weight
    }

    /// The timings that its handshakes tell.
    pub fn learned(&self) -> &Arc<Learned> {
        &self.learned
    }
}
