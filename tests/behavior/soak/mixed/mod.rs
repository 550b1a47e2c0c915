//! Everything at once, for long: memory and descriptors stay as they are.

mod memory;
mod operator;
mod rude;
mod speakers;
mod stage;
mod verdict;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpSocket;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval};

use self::memory::{Looks, Plan};
use self::stage::Stage;
use self::verdict::{Figures, still_open};
use super::cluster::{Cluster, named};
use super::figures::{
    descriptors, quiet_descriptors, resident_kib, settled_kib, until_descriptors,
};
use crate::support::crowd::Crowd;
use crate::support::node::Request;
use crate::support::{Exposition, FakeNode, Reply, ok, response};

const CLIENTS: &str = "150";
const ECHO_TUNNELS: usize = 40;
const CHURNING: usize = 4;
const CLOSES_PER_SECOND: usize = 50;
/// Sessions of clients that are gone are forgotten within a minute, and so are the clients that vanished
/// while a node had them.
const NODES: [&str; 5] = ["--allow-eio3", "--ping-interval", "10000", "--ping-timeout", "20000"];

/// Clients that behave, clients that come and go, clients that break rules, reloads and drains, all
/// the time: who behaves notices nothing but drains, memory stays flat, and nothing is left behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
#[ignore = "takes twelve minutes: cargo xtask soak mixed"]
async fn a_mixed_load_leaves_nothing_behind() {
    let plan = Plan::from_environment();
    let raw = [FakeNode::start(answer).await, FakeNode::start(answer).await];
    let absent = refusing_socket();
    let fixed = Fixed {
        raw: [raw[0].address, raw[1].address],
        absent: absent.local_addr().unwrap(),
        drain: plan.period() / 4,
    };
    let mut cluster = Cluster::start_by(&NODES, |nodes| fixed.variant(0, &named(nodes))).await;
    let pid = cluster.proxy.pid();
    let (descriptors_before, memory_before_kib) = (quiet_descriptors(pid).await, resident_kib(pid));

    let stage = Arc::new(Stage::new(cluster.proxy.address, cluster.admin));
    let crowd = enter(&cluster, plan).await;
    let mut load = load(&stage);
    let (file, named) = (cluster.proxy.file.clone(), named(&cluster.nodes));
    let variant = move |number| fixed.variant(number, &named);
    load.spawn(operator::reload(stage.clone(), file, plan.period() / 20, variant));
    load.spawn(operator::drain(stage.clone(), plan.period(), fixed.drain));
    let (looks, descriptors_most, mut crowd) = watch(plan, pid, crowd).await;
    stage.finish();
    load.join_all().await;
    crowd.watch(BACK_WITHIN).await;
    let outcome = crowd.finish().await;

    let metrics = quiet_metrics(&cluster).await;
    let memory_after_kib = settled_kib(pid).await;
    let cpu_seconds = cluster.proxy.cpu_ticks() as f64 / 100.0;
    // Idle connections are the node's to close, which some of ours would never do.
    cluster.nodes.clear();
    drop(raw);
    let descriptors_after = until_descriptors(pid, descriptors_before).await;
    let warnings = cluster.finish().await;
    let figures = Figures {
        outcome,
        metrics,
        warnings,
        cpu_seconds,
        memory_kib: [memory_before_kib, memory_after_kib],
        windows_kib: looks.windows(),
        descriptors: [descriptors_before, descriptors_most, descriptors_after],
    };
    figures.print(&stage);
    figures.judge(&stage);
}

/// The crowd, all of it connected.
async fn enter(cluster: &Cluster, plan: Plan) -> Crowd {
    // Entering and ending take time too.
    let deadline = (plan.total + Duration::from_secs(300)).as_secs().to_string();
    let url = cluster.url();
    let arguments =
        ["--url", &url, "--clients", CLIENTS, "--pace", "1000", "--deadline", &deadline];
    Crowd::start(&arguments).await
}

/// All clients but the crowd.
fn load(stage: &Arc<Stage>) -> JoinSet<()> {
    let mut load = JoinSet::new();
    for number in 0..ECHO_TUNNELS {
        load.spawn(speakers::echo(stage.clone(), number));
    }
    for number in 0..CHURNING {
        load.spawn(speakers::churn(stage.clone(), number));
        load.spawn(speakers::churn_sessions(stage.clone(), number));
    }
    for version in [3, 4, 4] {
        load.spawn(speakers::poll(stage.clone(), version));
    }
    load.spawn(rude::break_rules(stage.clone()));
    load.spawn(rude::stall(stage.clone()));
    load.spawn(rude::dawdle(stage.clone()));
    load.spawn(rude::babble(stage.clone()));
    load.spawn(rude::ask_in_vain(stage.clone()));
    load.spawn(rude::vanish(stage.clone()));
    load
}

/// Looks at the process until the time is over: its memory, and the most descriptors that it had.
async fn watch(plan: Plan, pid: u32, mut crowd: Crowd) -> (Looks, usize, Crowd) {
    let (began, mut looks, mut most) = (Instant::now(), Looks::default(), 0);
    while began.elapsed() < plan.total {
        crowd.watch(plan.look()).await;
        let part = began.elapsed().as_secs_f64() / plan.total.as_secs_f64();
        looks.note(part, resident_kib(pid));
        most = most.max(descriptors(pid));
    }
    (looks, most, crowd)
}

/// The metrics once all that is open has ended, or after as long as that may take.
async fn quiet_metrics(cluster: &Cluster) -> Exposition {
    let mut look = interval(Duration::from_secs(1));
    for _ in 0..FORGOTTEN_WITHIN_SECONDS {
        look.tick().await;
        if still_open(&cluster.metrics().await).is_empty() {
            break;
        }
    }
    cluster.metrics().await
}

/// What does not change from variant to variant.
#[derive(Clone, Copy)]
struct Fixed {
    raw: [SocketAddr; 2],
    absent: SocketAddr,
    drain: Duration,
}

impl Fixed {
    /// The configuration of that number: limits of a listener and a route change, and one route is
    /// another one.
    fn variant(self, number: usize, chat: &str) -> String {
        let Self { raw, absent, drain } = self;
        format!(
            "listeners: [{{ bind: '127.0.0.1:0', header_timeout: {}s }}]\n\
             admin: {{ bind: '127.0.0.1:0' }}\n\
             upstreams:\n  \
             chat: {{ nodes: [{chat}], drain: {{ timeout: {}ms, closes_per_second: {CLOSES_PER_SECOND} }} }}\n  \
             raw: {{ nodes: ['{}', '{}'] }}\n  \
             absent: {{ nodes: ['{absent}'], admission: {{ hold: 1s }} }}\n\
             routes:\n  \
             - {{ path: /socket.io/, upstream: chat }}\n  \
             - {{ path: /raw, upstream: raw, request_body_timeout: {}s }}\n  \
             - {{ path: /refused, upstream: raw }}\n  \
             - {{ path: /small, upstream: raw, tunnel: {{ message_max: 64KiB }} }}\n  \
             - {{ path: /stall, upstream: raw, tunnel: {{ stalled_client: 3s }} }}\n  \
             - {{ path: /absent/, upstream: absent }}\n  \
             - {{ path: {{ exact: /extra{number} }}, upstream: raw }}\n",
            3 + number % 2,
            drain.as_millis(),
            raw[0],
            raw[1],
            20 + number % 10,
        )
    }
}

/// A node that echoes, and refuses the upgrades of one path.
fn answer(request: &Request) -> Reply {
    match request.head.is_upgrade() {
        true if request.head.target == "/refused" => Reply::Last(response("403 Forbidden", "no")),
        true => Reply::Echo { behind: Vec::new() },
        false => ok("heard"),
    }
}

/// A socket that nobody else can have and that accepts nothing.
fn refusing_socket() -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    socket
}

/// For whom the last drain has cut off: a client waits 5 s at most between two tries.
const BACK_WITHIN: Duration = Duration::from_secs(8);

/// Longer than a node's ping and timeout, and what the proxy allows in addition.
const FORGOTTEN_WITHIN_SECONDS: usize = 90;
