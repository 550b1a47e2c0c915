//! Somebody who has nothing to do with what happens, and must not notice it.
//!
//! It has a node of its own and runs on a thread of its own, so that what keeps it waiting is the
//! proxy and not the test.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::support::{FakeNode, get, ok};

/// A client that opens a connection and asks for something, again and again.
pub struct Bystander {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Waits>,
}

/// Its node, which must be in the proxy's configuration before the bystander begins.
pub struct Prepared {
    /// Where its node listens.
    pub node: SocketAddr,
    proxy: oneshot::Sender<SocketAddr>,
    over: Arc<AtomicBool>,
    thread: JoinHandle<Waits>,
}

/// How long it waited for answers.
#[derive(Debug, Default)]
pub struct Waits {
    /// How many answers it had.
    pub answers: usize,
    /// The longest wait, connect included.
    pub longest: Duration,
}

impl Prepared {
    /// A node that waits for its client.
    pub async fn new() -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let (proxy, begin) = oneshot::channel();
        let (tell, node) = oneshot::channel();
        let until = over.clone();
        let thread = std::thread::spawn(move || {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            runtime.enable_all().build().unwrap().block_on(ask_until(&until, tell, begin))
        });
        Self { node: node.await.unwrap(), proxy, over, thread }
    }

    /// Begins to ask the proxy for `/bystander`, which its node answers.
    pub fn begin(self, proxy: SocketAddr) -> Bystander {
        self.proxy.send(proxy).unwrap();
        Bystander { over: self.over, thread: self.thread }
    }
}

impl Bystander {
    /// Ends it and tells what it saw.
    pub fn finish(self) -> Waits {
        self.over.store(true, Relaxed);
        self.thread.join().unwrap()
    }
}

async fn ask_until(
    over: &AtomicBool,
    tell: oneshot::Sender<SocketAddr>,
    begin: oneshot::Receiver<SocketAddr>,
) -> Waits {
    let node = FakeNode::start(|_| ok("undisturbed")).await;
    tell.send(node.address).unwrap();
    let Ok(proxy) = begin.await else { return Waits::default() };
    let (mut waits, mut pace) = (Waits::default(), interval(PACE));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !over.load(Relaxed) {
        pace.tick().await;
        let asked = Instant::now();
        assert_eq!(get(proxy, "/bystander").await.text(), "undisturbed");
        waits.answers += 1;
        waits.longest = waits.longest.max(asked.elapsed());
    }
    waits
}

const PACE: Duration = Duration::from_millis(50);
