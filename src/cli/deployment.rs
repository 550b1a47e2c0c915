//! The nodes of a configuration, as `sockeye doctor` asks them.
//!
//! Runs at start, at reload, or on a timer.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::{ClientConfig, RootCertStore};

use crate::config::Config;
use crate::doctor::{DEFAULT_PATH, NodeTarget, Target};
use crate::route::PathPattern;
use crate::upstream::{Endpoint, settings};

/// All nodes that listen on TCP. For others a line says why they are left out.
pub(super) fn nodes(config: &Config) -> Vec<NodeTarget> {
    let upstreams = config.upstreams.iter();
    upstreams.flat_map(|group| of_upstream(config, &group.upstream)).collect()
}

#[expect(clippy::print_stderr, reason = "it is not a part of the report")]
fn of_upstream(config: &Config, upstream: &settings::Settings) -> Vec<NodeTarget> {
    let name = &upstream.name;
    if upstream.proxy_protocol.is_some() {
        eprintln!("sockeye: {name} is left out: its nodes expect a PROXY header");
        return Vec::new();
    }
    if upstream.discover.is_some() {
        eprintln!("sockeye: {name} is left out: its nodes are discovered; name them with --node");
    }
    let path = path(config, name);
    let tls = upstream.tls.as_ref().map(|tls| tls.client_config().clone());
    let nodes = upstream.nodes.iter().filter_map(|node| {
        let Endpoint::Tcp(address) = &node.address else {
            eprintln!("sockeye: {name}/{} is left out: it listens on a Unix socket", node.name);
            return None;
        };
        let target = Target {
            tls: tls.is_some(),
            host: address.host.to_string(),
            port: address.port,
            authority: server_name(upstream).unwrap_or_else(|| address.to_string()),
            path: path.clone(),
            query: String::new(),
        };
        let tls = tls.clone().unwrap_or_else(|| Arc::new(trusting_nobody()));
        Some(NodeTarget { name: format!("{name}/{}", node.name), target, tls })
    });
    nodes.collect()
}

/// The path of Engine.IO at the nodes: that of the first route to them which names it.
fn path(config: &Config, upstream: &str) -> String {
    let leads = |route: &&crate::route::Settings| {
        route.target.upstream().is_some_and(|found| &*found.name == upstream)
    };
    let named = config.routes.iter().filter(leads).find_map(|route| {
        let path = match &route.path {
            PathPattern::Prefix(path) | PathPattern::Exact(path) => path,
            PathPattern::Regex(_) => return None,
        };
        let is_named = ["socket.io", "engine.io"].iter().any(|name| path.contains(name));
        is_named.then(|| match &route.rewrite {
            None => path.to_string(),
            Some(rewrite) => {
                let mut written = String::new();
                rewrite.write_for_node(path, &mut written);
                written
            }
        })
    });
    let path = named.unwrap_or_else(|| DEFAULT_PATH.to_owned());
    // Servers test for a prefix that ends in a slash.
    if path.ends_with('/') { path } else { path + "/" }
}

fn server_name(upstream: &settings::Settings) -> Option<String> {
    let name = upstream.tls.as_ref()?.settings().server_name.as_ref()?;
    Some(name.to_str().into_owned())
}

/// For nodes without TLS.
pub(super) fn trusting_nobody() -> ClientConfig {
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider has ciphers for both versions");
    config.with_root_certificates(RootCertStore::empty()).with_no_client_auth()
}
