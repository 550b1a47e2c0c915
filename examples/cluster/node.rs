//! A Socket.IO node: it serves the page, knows its own tabs, and passes on notices of the bus.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use socketioxide::extract::{Data, SocketRef, TryData};
use socketioxide::{SocketIo, TransportType};
use tokio::net::TcpListener;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::bus::{Bus, Message, NodeTabs, Notice, Tab};
use crate::page;

/// Serves the page and Socket.IO on `listener`, until the future is dropped.
pub(crate) async fn serve(listener: TcpListener, name: &'static str, bus: Bus) -> io::Result<()> {
    let (layer, socket_io) = SocketIo::new_layer();
    let notices = bus.subscribe();
    let node = Arc::new(Node { name, bus, tabs: Mutex::default(), tabs_seen: AtomicU64::new(0) });

    let newcomers = Arc::clone(&node);
    socket_io.ns("/", async move |socket: SocketRef, hello: TryData<Hello>| {
        newcomers.connect(&socket, hello);
    });
    tokio::select! {
        () = node.pass_on(notices, &socket_io) => Ok(()),
        ended = axum::serve(listener, page::routes().layer(layer)).into_future() => ended,
    }
}

/// A node of the cluster.
#[derive(Debug)]
struct Node {
    name: &'static str,
    bus: Bus,
    /// By number, so oldest first.
    tabs: Mutex<BTreeMap<u64, Tab>>,
    tabs_seen: AtomicU64,
}

/// What a tab sends when it connects.
#[derive(Debug, Deserialize)]
struct Hello {
    name: String,
}

/// What a tab receives when it connects.
#[derive(Debug, Serialize)]
struct Welcome {
    node: &'static str,
    number: u64,
}

impl Node {
    /// Adds a new tab.
    fn connect(self: Arc<Self>, socket: &SocketRef, TryData(hello): TryData<Hello>) {
        let number = self.tabs_seen.fetch_add(1, Ordering::Relaxed) + 1;
        let name = hello.map_or_else(|_| String::new(), |hello| hello.name);
        let transport = name_of(socket.transport_type());
        self.listen(socket, number);
        self.tabs()
            .insert(number, Tab { number, name: shortened(&name, NAME_CHARS_MAX), transport });

        // The tab may already have left; then nobody needs the welcome.
        let _ = socket.emit("welcome", &Welcome { node: self.name, number });
        self.tell(Notice::RollCall);
    }

    /// Reacts to what the tab `number` does from now on.
    fn listen(self: &Arc<Self>, socket: &SocketRef, number: u64) {
        let node = Arc::clone(self);
        socket.on("rename", async move |Data(name): Data<String>| {
            node.change(number, |tab| tab.name = shortened(&name, NAME_CHARS_MAX));
        });

        // The upgrade happens below Socket.IO, which does not report it: the tab does.
        let node = Arc::clone(self);
        socket.on("upgraded", async move |transport: TransportType| {
            node.change(number, |tab| tab.transport = name_of(transport));
        });

        let node = Arc::clone(self);
        socket.on("say", async move |Data(text): Data<String>| node.say(number, &text));

        let node = Arc::clone(self);
        socket.on_disconnect(async move || {
            node.tabs().remove(&number);
            node.announce();
        });
    }

    /// Tells the tabs of all nodes what the tab `number` says.
    fn say(&self, number: u64, text: &str) {
        let text = shortened(text, TEXT_CHARS_MAX);
        let from = self.tabs().get(&number).cloned();
        if let Some(from) = from.filter(|_| !text.is_empty()) {
            self.tell(Notice::Said(Message { from, node: self.name, text }));
        }
    }

    /// Changes the tab `number` and announces it.
    fn change(&self, number: u64, change: impl FnOnce(&mut Tab)) {
        if let Some(tab) = self.tabs().get_mut(&number) {
            change(tab);
        }
        self.announce();
    }

    /// Tells all nodes which tabs are here.
    fn announce(&self) {
        let tabs = self.tabs().values().cloned().collect();
        self.tell(Notice::Tabs(NodeTabs { node: self.name, tabs }));
    }

    /// Tells all nodes, this one included.
    fn tell(&self, notice: Notice) {
        // It fails only when no node receives, at the end of the program.
        let _ = self.bus.send(notice);
    }

    /// Passes the notices of all nodes on to the tabs of this node.
    async fn pass_on(&self, mut notices: Receiver<Notice>, socket_io: &SocketIo) {
        loop {
            match notices.recv().await {
                Ok(Notice::Said(message)) => emit(socket_io, "message", &message).await,
                Ok(Notice::Tabs(node_tabs)) => emit(socket_io, "tabs", &node_tabs).await,
                Ok(Notice::RollCall) => self.announce(),
                Err(RecvError::Lagged(_)) => self.tell(Notice::RollCall),
                Err(RecvError::Closed) => return,
            }
        }
    }

    fn tabs(&self) -> MutexGuard<'_, BTreeMap<u64, Tab>> {
        self.tabs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends `event` to all tabs of this node.
async fn emit(socket_io: &SocketIo, event: &str, content: &impl Serialize) {
    // It fails for tabs that do not keep up: they miss messages that do not fit into their queue.
    let _ = socket_io.emit(event, content).await;
}

/// The transport as Engine.IO's `transport` parameter names it.
fn name_of(transport: TransportType) -> &'static str {
    match transport {
        TransportType::Polling => "polling",
        TransportType::Websocket => "websocket",
    }
}

/// The first `chars_max` characters of `text`, without space around them.
fn shortened(text: &str, chars_max: usize) -> String {
    text.trim().chars().take(chars_max).collect()
}

const NAME_CHARS_MAX: usize = 24;
const TEXT_CHARS_MAX: usize = 500;
