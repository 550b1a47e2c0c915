//! Nodes on this machine: which ports of it answer a handshake of Engine.IO.
//!
//! Runs at start, at reload, or on a timer.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use rustls::ClientConfig;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

use super::ask::{Answer, Ask, Line};
use super::packets::Open;
use super::product::Signs;
use super::road::Road;
use super::target::Target;
use crate::tasks::Tasks;

/// A port of this machine that answers a handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LocalNode {
    /// Its address, as a configuration has it.
    pub(crate) address: String,
    /// The path at which it answers.
    pub(crate) path: String,
    /// Whether it says that it is a proxy, or tags its sessions as Sockeye does.
    pub(crate) is_proxy: bool,
}

/// All ports that listen here, in ascending order; `None` if the system does not tell them.
pub(crate) fn listening() -> Option<Vec<u16>> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).ok());
    let mut ports: Vec<u16> =
        tables.iter().flatten().flat_map(|table| listening_in(table)).collect();
    ports.sort_unstable();
    ports.dedup();
    tables.iter().any(Option::is_some).then_some(ports)
}

/// Asks ports of this machine for a session, at the paths that applications have.
pub(crate) async fn local_nodes(ports: &[u16], tls: &Arc<ClientConfig>) -> Vec<LocalNode> {
    let (tasks, turns) = (Tasks::default(), Arc::new(Semaphore::new(AT_ONCE)));
    let mut asked = Vec::new();
    for port in ports.iter().copied().take(PORTS_MAX) {
        let (tell, told) = oneshot::channel();
        let (tls, turns) = (tls.clone(), turns.clone());
        tasks.spawn(async move {
            let turn = turns.acquire().await;
            // Who waits for it waits for all.
            let found = timeout(PORT_WITHIN, at_port(port, &tls)).await;
            let _ = tell.send(found.ok().flatten());
            drop(turn);
        });
        asked.push(told);
    }
    let mut found = Vec::new();
    for told in asked {
        found.extend(told.await.ok().flatten());
    }
    found
}

/// What listens where usual applications do, if the system tells no ports.
pub(crate) const USUAL_PORTS: [u16; 12] =
    [3000, 3001, 3002, 3003, 4000, 5000, 5001, 8000, 8001, 8081, 8082, 9000];

/// A port may listen at one of the addresses alone: Node.js takes `localhost` for ::1.
async fn at_port(port: u16, tls: &Arc<ClientConfig>) -> Option<LocalNode> {
    for host in ["127.0.0.1", "[::1]"] {
        let address = format!("{host}:{port}");
        if let Some(node) = at_address(&address, tls).await {
            return Some(node);
        }
    }
    None
}

async fn at_address(address: &str, tls: &Arc<ClientConfig>) -> Option<LocalNode> {
    for path in PATHS {
        let target = Target::parse(&format!("http://{address}{path}")).ok()?;
        let (road, _) = Road::find(target, HeaderMap::new(), tls.clone()).await.ok()?;
        let asked = Ask::get(road.target.engineio(4, "polling", None)).within(WITHIN);
        // What speaks no HTTP here speaks none at another path.
        let answer = Line::open(&road).await.ok()?.ask(asked).await.ok()?;
        if let Some(open) = Open::in_body(&answer.body) {
            let is_tagged = open.sid.get(20..21) == Some(".");
            let (address, path) = (address.to_owned(), path.to_owned());
            return Some(LocalNode { address, path, is_proxy: is_tagged || is_proxy(&answer) });
        }
        // Socket.IO 3 and newer refuse old clients, and old servers answer new clients.
    }
    None
}

/// Whether a proxy shows itself, before a node that has a port too.
fn is_proxy(answer: &Answer) -> bool {
    let fields = ["server", "via"].into_iter();
    let fields = fields.filter_map(|name| Some((name.to_owned(), answer.field(name)?))).collect();
    Signs { fields, ..Signs::default() }.product().is_some()
}

/// The ports in a table of the kernel on which any or the loopback address listens (proc(5)).
fn listening_in(table: &str) -> Vec<u16> {
    let port = |line: &str| {
        let mut columns = line.split_ascii_whitespace();
        let (address, port) = columns.nth(1)?.rsplit_once(':')?;
        let is_reachable = ADDRESSES.contains(&address);
        let is_listening = columns.nth(1)? == "0A";
        (is_reachable && is_listening).then(|| u16::from_str_radix(port, 16).ok()).flatten()
    };
    table.lines().skip(1).filter_map(port).collect()
}

/// 127.0.0.1, 0.0.0.0, ::1, :: and ::ffff:127.0.0.1, as the kernel writes them.
const ADDRESSES: [&str; 5] = [
    "0100007F",
    "00000000",
    "00000000000000000000000001000000",
    "00000000000000000000000000000000",
    "0000000000000000FFFF00000100007F",
];

const PATHS: [&str; 2] = ["/socket.io/", "/engine.io/"];

const WITHIN: Duration = Duration::from_secs(2);

/// At all its addresses and paths: what does not even accept a connection is not waited for.
const PORT_WITHIN: Duration = Duration::from_secs(5);

const AT_ONCE: usize = 64;

/// More than a machine for applications has.
const PORTS_MAX: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_that_listen_on_this_machine_are_read() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt\n\
            0: 0100007F:0BB8 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 1 1\n\
            1: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 1 1\n\
            2: 0200A8C0:0BB9 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 1 1\n\
            3: 0100007F:0BBA 0100007F:D2B4 01 00000000:00000000 00:00000000 00000000 0 0 1 1\n\
            4: junk\n";
        assert_eq!(listening_in(table), [3000, 22]);
        assert_eq!(listening_in(""), [] as [u16; 0]);
    }
}
