//! The setting to change, by fault and product.
//!
//! Pure. Runs at start, at reload, or on a timer.

use super::{Fault, Party, products};
use crate::doctor::product::Product;

/// What to change, for the one whose fault it is.
pub(super) fn change(fault: Fault, whose: Party, product: Option<Product>) -> String {
    let (proxy, node) = (at_proxy(fault, product), of_node(fault));
    match whose {
        Party::Node | Party::Client | Party::Network => node.to_owned(),
        Party::ProxyOrNode if !node.is_empty() && proxy != node => {
            format!("{proxy} Or, at the node: {node}")
        }
        Party::Proxy | Party::ProxyOrNode => proxy,
    }
}

fn at_proxy(fault: Fault, product: Option<Product>) -> String {
    let known = product.map(|product| (product, of_product(fault, product)));
    match known {
        Some((product, setting)) if !setting.is_empty() => format!("{}: {setting}", product.name()),
        _ => of_any(fault).to_owned(),
    }
}

/// The setting of a product, if it has one of its own.
fn of_product(fault: Fault, product: Product) -> &'static str {
    match fault {
        Fault::UpgradeLost | Fault::UpgradeRefused | Fault::WebsocketMute => {
            products::upgrade(product)
        }
        Fault::NotSticky => products::sticky(product),
        Fault::IdleCut => products::idle(product),
        Fault::PayloadLimit => products::payload(product),
        Fault::PollsHeldBack | Fault::ResponsesBuffered => products::buffering(product),
        Fault::NodesUnreachable => products::unreachable(product),
        Fault::ForwardedMissing => products::forwarded(product),
        Fault::HostChanged => products::host(product),
        Fault::WrongPath | Fault::NotEngineIo | Fault::PathChanged => products::path(product),
        Fault::CorsTwice => {
            "let the proxy add no Access-Control-* fields, or let it remove those of the \
                             node first: exactly one of both may write them"
        }
        Fault::Http2Broken => products::http2(product),
        Fault::NameUnknown
        | Fault::NoConnection
        | Fault::TlsFails
        | Fault::ClientRefused
        | Fault::Redirected
        | Fault::OldClientsRefused
        | Fault::OldServer
        | Fault::CorsMissing
        | Fault::PollingNotOffered
        | Fault::WebsocketNotOffered
        | Fault::SeveralProcesses
        | Fault::ClosedByServer
        | Fault::EventLoopBlocked
        | Fault::TimingsDiffer
        | Fault::PayloadsDiffer
        | Fault::ClocksDiffer
        | Fault::NodeUnreachable
        | Fault::ClusterEngineApart
        | Fault::AdapterMissing
        | Fault::AdapterSplit
        | Fault::AdapterSlow
        | Fault::RoomMessagesLost
        | Fault::MemoryGrows => "",
    }
}

/// What to look for in a proxy that did not show itself.
fn of_any(fault: Fault) -> &'static str {
    match fault {
        Fault::UpgradeLost | Fault::UpgradeRefused | Fault::WebsocketMute => {
            "Let the proxy speak HTTP/1.1 to nodes and pass Upgrade and Connection. Name it with --proxy to \
             read its settings."
        }
        Fault::NotSticky => {
            "Let the proxy send all requests of a session to one node, by cookie, client address or session \
             id; and list each process as a node of its own. Name it with --proxy to read its settings."
        }
        Fault::IdleCut => {
            "Let the timeouts of everything between client and node be longer than pingInterval + \
             pingTimeout. Name the proxy with --proxy to read its settings."
        }
        Fault::PayloadLimit => {
            "Raise the proxy's limit for request bodies and frames to maxHttpBufferSize."
        }
        Fault::PollsHeldBack | Fault::ResponsesBuffered => {
            "Switch off buffering of responses on this route."
        }
        Fault::NodesUnreachable => {
            "Look into the log of the proxy: it does not reach a node, or waits in vain."
        }
        Fault::ForwardedMissing => "Let the proxy add X-Forwarded-For and X-Forwarded-Proto.",
        Fault::HostChanged => "Let the proxy keep Host: applications compare it with Origin.",
        Fault::WrongPath | Fault::NotEngineIo | Fault::PathChanged => {
            "Let the proxy send /socket.io/ to the nodes as it is; the option path of the server names another."
        }
        Fault::CorsTwice => "Let only one of proxy and node write Access-Control-* fields.",
        Fault::Http2Broken => {
            "Switch off HTTP/2, or only extended CONNECT, until the proxy is updated."
        }
        Fault::TlsFails => "Look at the certificate: its names, its dates, and its intermediates.",
        Fault::MemoryGrows => {
            "Look at the clients that read slowly: tunnel.buffer of the route bounds what waits for each."
        }
        Fault::NodeUnreachable => {
            "Point a route of the proxy at this address for the time of the check."
        }
        other => of_node(other),
    }
}

/// What to change at the node, the application or the client.
fn of_node(fault: Fault) -> &'static str {
    match fault {
        Fault::NameUnknown => "Correct the name, or its DNS record.",
        Fault::NoConnection => {
            "Is the proxy running, on this address and port, and does a firewall let you in?"
        }
        Fault::TlsFails => {
            "Look at the certificate of the node: its names, its dates, and its intermediates."
        }
        Fault::WrongPath => {
            "Use the path that the server has: its option path, /socket.io/ by default."
        }
        Fault::NotEngineIo => "Attach Socket.IO to the HTTP server that listens here.",
        Fault::NodesUnreachable | Fault::NodeUnreachable => {
            "Is the process running, on this address and port, and does its event loop turn?"
        }
        Fault::ClientRefused => {
            "Give the doctor what the application asks for: --header 'Authorization: …', --header 'Cookie: …', \
             --origin, or a query in the URL. If clients do have it, look at allowRequest."
        }
        Fault::Redirected => {
            "Use the URL that it leads to: clients lose POST requests and WebSockets on the way."
        }
        Fault::OldServer => {
            "Socket.IO 3 or newer on the server (allowEIO3: true for clients that stay old); or clients of \
             version 2, which --eio 3 looks at."
        }
        Fault::OldClientsRefused => {
            "allowEIO3: true on the server (Socket.IO 3 and newer), or newer clients."
        }
        Fault::CorsMissing => {
            "cors: { origin: \"https://…\", credentials: true } on the server; or in Sockeye cors of the route."
        }
        Fault::CorsTwice => {
            "Remove the option cors, or the middleware that writes the fields once more."
        }
        Fault::UpgradeLost | Fault::UpgradeRefused => {
            "Look for another listener of `upgrade` on this HTTP server, and for allowRequest; Socket.IO must be \
             attached to the server that listens."
        }
        Fault::WebsocketMute => {
            "Look for a middleware or a listener of `upgrade` that takes the socket."
        }
        Fault::PollingNotOffered => {
            "transports: [\"polling\", \"websocket\"] on the server, or transports: [\"websocket\"] in all clients."
        }
        Fault::WebsocketNotOffered => "transports: [\"polling\", \"websocket\"] on the server.",
        Fault::PollsHeldBack | Fault::ResponsesBuffered => {
            "Look for a middleware that buffers or compresses responses, and for a blocked event loop."
        }
        Fault::NotSticky | Fault::SeveralProcesses => {
            "node:cluster: @socket.io/sticky in the primary process; PM2: @socket.io/pm2; or a port for each \
             process, each of them a node of the proxy."
        }
        other => of_running_node(other),
    }
}

/// What to change at nodes whose sessions open.
fn of_running_node(fault: Fault) -> &'static str {
    match fault {
        Fault::IdleCut => {
            "server.timeout, server.requestTimeout and server.keepAliveTimeout of node:http; and pingInterval."
        }
        Fault::ClosedByServer => {
            "Look for disconnect(true) and for middleware that closes; by EIO=4 the server closes if no pong \
             comes within pingTimeout."
        }
        Fault::EventLoopBlocked => {
            "Something computes in the event loop: node --cpu-prof, perf_hooks.monitorEventLoopDelay; move it \
             into a worker thread."
        }
        Fault::PayloadLimit => "maxHttpBufferSize.",
        Fault::TimingsDiffer => "Give all nodes the same pingInterval and pingTimeout.",
        Fault::PayloadsDiffer => "Give all nodes the same maxHttpBufferSize.",
        Fault::ClocksDiffer => "Synchronize the clocks: tokens and cookies expire by them.",
        Fault::ClusterEngineApart => {
            "Connect cluster-engine of all nodes by the same Redis, or leave it out: behind a sticky proxy it is \
             not needed."
        }
        Fault::AdapterMissing => {
            "io.adapter(createAdapter(pubClient, subClient)) of @socket.io/redis-adapter on each node: without \
             an adapter, rooms end at the process."
        }
        Fault::AdapterSplit => {
            "The nodes do not all use the same Redis (address, database, key prefix) or the same adapter."
        }
        Fault::AdapterSlow => {
            "Look at the Redis: its latency, its load, and its distance from the nodes."
        }
        Fault::RoomMessagesLost => {
            "Look at the Redis of the adapter: reconnects lose messages; two adapters on one node double them."
        }
        // What is left is not the node's.
        _ => "",
    }
}
