//! A balancer of TCP connections that knows nothing of sessions: each connection goes to the next
//! address.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// A round-robin balancer on a port of its own; ends when dropped.
pub struct Balancer {
    pub address: SocketAddr,
    targets: Arc<Mutex<VecDeque<SocketAddr>>>,
    task: JoinHandle<()>,
}

impl Balancer {
    /// A balancer over `addresses`.
    pub async fn over(addresses: Vec<SocketAddr>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let targets = Arc::new(Mutex::new(VecDeque::from(addresses)));
        let turns = targets.clone();
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let target = {
                    let mut turns = turns.lock().unwrap();
                    turns.rotate_left(1);
                    *turns.back().expect("there is an address left")
                };
                connections.spawn(join(client, target));
            }
        });
        Self { address, targets, task }
    }

    /// No new connection goes to `address` any more, as if it had said that it is not ready.
    pub fn take_out(&self, address: SocketAddr) {
        self.targets.lock().unwrap().retain(|target| *target != address);
    }

    /// New connections go to `by` where they went to `address`.
    pub fn replace(&self, address: SocketAddr, by: SocketAddr) {
        let mut targets = self.targets.lock().unwrap();
        targets.iter_mut().filter(|target| **target == address).for_each(|target| *target = by);
    }

    /// As a client writes it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn join(mut client: TcpStream, target: SocketAddr) {
    let Ok(mut proxy) = TcpStream::connect(target).await else { return };
    // An error of either side ends both: that is what a client sees of a real balancer.
    let _ = tokio::io::copy_bidirectional(&mut client, &mut proxy).await;
}
