//! One import for a test.

pub mod balancer;
pub mod crowd;
pub mod dns;
pub mod exposition;
pub mod front;
pub mod http;
pub mod http2;
pub mod node;
pub mod proxy;
pub mod redis;
pub mod relay;
pub mod script;
pub mod site;
pub mod socketio;
pub mod tls;
pub mod websocket;

pub use exposition::Exposition;
pub use http::{Client, get, request};
pub use node::{FakeNode, Reply, ok, open_packet, response};
pub use proxy::{Proxy, ProxyProcess, config};
pub use site::Site;
