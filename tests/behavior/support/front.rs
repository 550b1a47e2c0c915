//! The ways in which clients reach a proxy: plainly, and by TLS. A test that loops over both shows that they
//! make no difference.
//!
//! Runs at start, at reload, or on a timer.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::Value;

use super::proxy::{Proxy, config};
use super::socketio::{
    NodeServer, run_client, run_client_trusting, run_python_client, run_python_client_trusting,
};
use super::tls::Authority;

/// One proxy in front of the same nodes for each way.
pub(crate) struct Fronts {
    /// Plain HTTP.
    pub(crate) plain: Proxy,
    tls: Proxy,
    authority: Authority,
}

/// One way, as a client needs it.
#[derive(Debug)]
pub(crate) struct Front {
    url: String,
    /// The authority that clients have to trust.
    ca: Option<PathBuf>,
}

impl Fronts {
    /// Before these nodes; `route` holds more keys, in YAML's flow style.
    pub(crate) fn before(nodes: &[&NodeServer], route: &str) -> Self {
        let addresses: Vec<SocketAddr> =
            nodes.iter().map(|node| node.address().parse().unwrap()).collect();
        let authority = Authority::new();
        authority.issue("front", "front", &["localhost"]);
        let plain = config(&addresses, "", route);
        let listener = format!("'127.0.0.1:0', tls: {{ {} }}", authority.pair("front"));
        let tls = Proxy::start(&plain.replace("'127.0.0.1:0'", &listener));
        Self { plain: Proxy::start(&plain), tls, authority }
    }

    /// All ways.
    pub(crate) fn all(&self) -> [Front; 2] {
        let plain = Front { url: format!("http://{}", self.plain.address), ca: None };
        let url = format!("https://localhost:{}", self.tls.address.port());
        [plain, Front { url, ca: Some(self.authority.path("ca.pem")) }]
    }
}

impl Front {
    /// The result of a scenario of `tests/node/client.js`; the URL is added to `arguments`.
    pub(crate) async fn client(&self, arguments: &[&str]) -> Value {
        let arguments = [&["--url", &self.url], arguments].concat();
        match &self.ca {
            Some(ca) => run_client_trusting(ca, &arguments).await,
            None => run_client(&arguments).await,
        }
    }

    /// The result of a scenario of `tests/python/client.py`; the URL is added to `arguments`.
    pub(crate) async fn python_client(&self, arguments: &[&str]) -> Value {
        let arguments = [&["--url", &self.url], arguments].concat();
        match &self.ca {
            Some(ca) => run_python_client_trusting(ca, &arguments).await,
            None => run_python_client(&arguments).await,
        }
    }
}
