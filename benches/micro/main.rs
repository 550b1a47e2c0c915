//! What the parts cost on every byte or every request: `cargo bench --bench micro`, and
//! `cargo bench --bench micro -- routes` for one of them.
//!
//! These tell whether a change made a part slower. What a proxy costs as a whole is the
//! comparison's to say: docs/performance.md.

mod answers;
mod heads;
mod insight;
mod routes;
mod sessions;
mod tunnels;

fn main() {
    divan::main();
}

/// A configuration with `extra` routes on hosts of their own and one for any host.
fn config(extra: usize) -> sockeye::Config {
    let mut text = "upstreams:\n  chat: { nodes: [127.0.0.1:1, 127.0.0.1:2, 127.0.0.1:3] }\nroutes:\n  - { path: /socket.io/, upstream: chat }\n".to_owned();
    for number in 0..extra {
        let route = format!("  - {{ host: h{number}.test, path: /app/, upstream: chat }}\n");
        text.push_str(&route);
    }
    sockeye::parse("micro.yaml", &text).expect("a configuration of the form in the manual")
}
