//! Clients who only talk: each echoes on a WebSocket, through the proxy or directly to the node.
//!
//! They and their node run on a thread of their own, so that the strangers' work does not count as theirs.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::support::websocket::{open, text};
use crate::support::{Client, FakeNode, Reply, ok};

/// The longest waits for an echo.
#[derive(Clone, Copy, Debug, Default)]
pub struct Waits {
    /// Through the proxy.
    pub proxied: Duration,
    /// Directly to the node.
    pub direct: Duration,
}

/// A crowd whose node must be in the proxy's configuration before it begins.
pub struct Prepared {
    /// Where its node listens.
    pub node: SocketAddr,
    proxy: oneshot::Sender<SocketAddr>,
    crowd: Crowd,
}

/// The clients, until they are told to finish.
pub struct Crowd {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    over: AtomicBool,
    echoes: AtomicUsize,
    longest: Mutex<Waits>,
}

/// Starts the node of a crowd.
pub async fn prepare() -> Prepared {
    let shared = Arc::<Shared>::default();
    let (proxy, begin) = oneshot::channel();
    let (tell, node) = oneshot::channel();
    let own = shared.clone();
    let thread = std::thread::spawn(move || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_all().build().unwrap().block_on(talk(own, tell, begin))
    });
    Prepared { node: node.await.unwrap(), proxy, crowd: Crowd { shared, thread } }
}

impl Prepared {
    /// Lets the clients connect.
    pub fn begin(self, proxy: SocketAddr) -> Crowd {
        self.proxy.send(proxy).unwrap();
        self.crowd
    }
}

impl Crowd {
    /// The longest waits since the last call.
    pub fn take(&self) -> Waits {
        std::mem::take(&mut self.shared.longest.lock().unwrap())
    }

    /// The longest waits within `time`.
    pub async fn take_after(&self, time: Duration) -> Waits {
        self.take();
        sleep(time).await;
        self.take()
    }

    /// Ends the clients, and tells how many echoes they had.
    pub fn finish(self) -> usize {
        self.shared.over.store(true, Relaxed);
        self.thread.join().unwrap();
        self.shared.echoes.load(Relaxed)
    }
}

impl fmt::Display for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { proxied, direct } = self;
        write!(f, "longest echo {proxied:.1?}, direct {direct:.1?}")
    }
}

async fn talk(
    shared: Arc<Shared>,
    tell: oneshot::Sender<SocketAddr>,
    begin: oneshot::Receiver<SocketAddr>,
) {
    let node = FakeNode::start(|request| match request.head.is_upgrade() {
        true => Reply::Echo { behind: Vec::new() },
        false => ok("yes"),
    })
    .await;
    tell.send(node.address).unwrap();
    let Ok(proxy) = begin.await else { return };
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let through = open(proxy, "/honest").await;
        clients.spawn(echo(through, shared.clone(), |waits| &mut waits.proxied));
        let direct = open(node.address, "/honest").await;
        clients.spawn(echo(direct, shared.clone(), |waits| &mut waits.direct));
    }
    clients.join_all().await;
}

async fn echo(mut client: Client, shared: Arc<Shared>, longest: fn(&mut Waits) -> &mut Duration) {
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !shared.over.load(Relaxed) {
        pace.tick().await;
        let said = Instant::now();
        client.send(text("well?")).await;
        assert_eq!(client.frame().await, Some((1, b"well?".to_vec())));
        shared.echoes.fetch_add(1, Relaxed);
        let mut waits = shared.longest.lock().unwrap();
        let longest = longest(&mut waits);
        *longest = said.elapsed().max(*longest);
    }
}

const CLIENTS: usize = 20;
const PACE: Duration = Duration::from_millis(50);
