//! Clients of Socket.IO that poll, as browsers do: a connection for the poll that is held, and one next to it
//! for what they send.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::Work;
use crate::load::{Options, PollingClient};
use crate::scenario::Scenario;
use crate::wire::invalid;

/// What all clients share.
#[derive(Debug)]
pub(super) struct Clients {
    options: Options,
    every: Duration,
    requests: AtomicU64,
}

impl Clients {
    pub(super) fn new(proxy: SocketAddr, sessions: usize, every: Duration) -> Self {
        let options = Options {
            tls: false,
            http2_streams: None,
            scenario: Scenario::Held,
            targets: vec![proxy],
            connections: Some(sessions),
            rate: 1,
            seconds: Duration::ZERO,
            proxy: None,
            nodes: Vec::new(),
            ours: Vec::new(),
        };
        Self { options, every, requests: AtomicU64::new(0) }
    }

    /// How many requests were answered.
    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Relaxed)
    }
}

/// All sessions, open; each goes on until its task is dropped.
pub(super) async fn enter(
    clients: &Arc<Clients>,
    work: Work,
) -> io::Result<JoinSet<io::Result<()>>> {
    let (mut opening, mut crowd) = (JoinSet::new(), JoinSet::new());
    let count = clients.options.connections.unwrap_or_default();
    for index in 0..count {
        if opening.len() >= OPENING_MAX
            && let Some(opened) = opening.join_next().await
        {
            begin(&mut crowd, clients, work, opened??);
        }
        let clients = clients.clone();
        opening.spawn(async move {
            let mut client = PollingClient::open(&clients.options, index).await?;
            // Socket.IO ends a session that joins no namespace.
            client.request("POST", b"40").await?;
            io::Result::Ok((index, client))
        });
    }
    while let Some(opened) = opening.join_next().await {
        begin(&mut crowd, clients, work, opened??);
    }
    Ok(crowd)
}

fn begin(
    crowd: &mut JoinSet<io::Result<()>>,
    clients: &Arc<Clients>,
    work: Work,
    (index, client): (usize, PollingClient),
) {
    match work {
        Work::Held => crowd.spawn(poll(client, clients.clone())),
        Work::Active => {
            let clients = clients.clone();
            crowd.spawn(async move {
                let second = client.second_connection(&clients.options, index).await?;
                tokio::try_join!(poll(client, clients.clone()), speak(second, clients, index))?;
                Ok(())
            })
        }
    };
}

/// Polls, and answers the node's pings.
async fn poll(mut client: PollingClient, clients: Arc<Clients>) -> io::Result<()> {
    loop {
        let packets = client.request("GET", b"").await?;
        clients.requests.fetch_add(1, Relaxed);
        if packets[..].split(|byte| *byte == SEPARATOR).any(|packet| packet == b"2") {
            client.request("POST", b"3").await?;
            clients.requests.fetch_add(1, Relaxed);
        }
        if packets[..] == b"1"[..] {
            return Err(invalid("the node closed the session"));
        }
    }
}

/// Sends a message now and then, whose acknowledgement the next poll brings.
async fn speak(mut client: PollingClient, clients: Arc<Clients>, index: usize) -> io::Result<()> {
    let share =
        clients.every.mul_f64(index as f64 / clients.options.connections.unwrap_or(1) as f64);
    let mut turns = interval_at(Instant::now() + share, clients.every);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        turns.tick().await;
        client.request("POST", br#"420["echo","bench"]"#).await?;
        clients.requests.fetch_add(1, Relaxed);
    }
}

/// Above, a node's accept queue would be what is measured.
const OPENING_MAX: usize = 32;

/// Between packets (Engine.IO protocol 4).
const SEPARATOR: u8 = 0x1e;
