//! Strangers who mean harm, one kind after the other, while other clients only talk.

pub mod honest;
mod http1;
mod http2;
mod sids;
mod tls;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, timeout_at};

use self::honest::Waits;
use super::figures::{descriptors, resident_kib, settled_kib, until_descriptors};
use crate::support::tls::Authority;
use crate::support::{FakeNode, ProxyProcess, Reply, ok};

/// Each kind of attack for some seconds: nobody else's echo stalls, each attack is bounded, and memory and
/// descriptors come back.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
#[ignore = "takes two minutes: cargo xtask soak hostile"]
async fn strangers_cost_themselves_alone() {
    let target = target().await;
    let prepared = honest::prepare().await;
    let authority = Authority::new();
    authority.issue("site", "site", &["localhost"]);
    let yaml = configuration(target.address, prepared.node, &authority.pair("site"));
    let mut proxy = ProxyProcess::start(&yaml).await;
    let line = proxy.until_log("listening").await;
    let with_tls = line.rsplit_once("address=").unwrap().1.trim_matches('"').parse().unwrap();
    proxy.until_log(" ready").await;
    let log = proxy.pass_log();
    let (pid, address) = (proxy.pid(), proxy.address);
    let addresses = [address, with_tls];
    let before = descriptors(pid);
    let crowd = prepared.begin(address);
    crowd.take_after(Duration::from_secs(1)).await;
    let with_crowd = descriptors(pid);

    // The first round is for what a process allocates once.
    for attack in ATTACKS {
        run(&attack, addresses, pid, Duration::from_millis(500)).await;
    }
    until_descriptors(pid, with_crowd + POOLED).await;
    let warmed_kib = settled_kib(pid).await;
    crowd.take();
    let mut rows = Vec::new();
    for attack in ATTACKS {
        let (tally, peak_kib) = run(&attack, addresses, pid, seconds()).await;
        let waits = crowd.take();
        print_row(&attack, &tally, waits, peak_kib);
        rows.push((attack, tally, waits));
    }
    let calm = crowd.take_after(Duration::from_secs(2)).await;
    let between = until_descriptors(pid, with_crowd + POOLED).await;
    let settled_kib = settled_kib(pid).await;
    let served = crowd.finish();
    drop(target);
    let after = until_descriptors(pid, before).await;
    drop(proxy);
    let complaints = log.await.unwrap();

    println!("echoes of the crowd: {served}; with nobody else: {calm}");
    println!(
        "descriptors: {before}, {with_crowd} with the crowd, {between} after, {after} at the end"
    );
    println!("memory in KiB: {warmed_kib} after the first round, {settled_kib} after the second");
    println!(
        "{} warnings, the first: {:#?}",
        complaints.len(),
        complaints.get(..complaints.len().min(5))
    );
    for (attack, tally, waits) in &rows {
        let stall = waits.proxied.saturating_sub(waits.direct);
        assert!(stall < STALL_MAX, "{}: {waits}", attack.name);
        assert!(tally.opened > 0, "{}: no connection was opened", attack.name);
        assert!(!attack.is_cut || tally.ended > 0, "{}: nothing was ended", attack.name);
    }
    assert!(between <= with_crowd + POOLED, "{between} descriptors, {with_crowd} before");
    assert!(after <= before, "{after} descriptors, {before} at the start");
    let grown = settled_kib.saturating_sub(warmed_kib);
    assert!(grown <= warmed_kib / 10 + MEMORY_CHANCE_KIB, "{grown} KiB more");
    assert!(!complaints.iter().any(|line| line.contains("panicked")), "{complaints:#?}");
    assert!(complaints.len() < COMPLAINTS_MAX, "a stranger fills the log: {complaints:#?}");
}

/// One kind of attack.
pub struct Attack {
    name: &'static str,
    /// How many strangers do it at the same time.
    strangers: usize,
    /// The proxy has to end it while the stranger would go on.
    is_cut: bool,
    /// It is for the listener with TLS.
    is_tls: bool,
    /// One connection of a stranger, from its start to its end.
    one: fn(Stranger) -> BoxFuture<'static, ()>,
}

const ATTACKS: [Attack; 24] = [
    attack("slow heads", 300, true, |stranger| Box::pin(http1::slow_head(stranger))),
    attack("slow bodies", 300, false, |stranger| Box::pin(http1::slow_body(stranger))),
    attack("slow readers", 100, false, |stranger| Box::pin(http1::slow_reader(stranger))),
    attack("idle connections", 500, true, |stranger| Box::pin(http1::idle(stranger))),
    attack("connect and leave", 20, false, |stranger| Box::pin(http1::leave(stranger))),
    attack("garbage", 20, true, |stranger| Box::pin(http1::garbage(stranger))),
    attack("half TLS hellos", 20, true, |stranger| Box::pin(http1::half_hello(stranger))),
    on_tls("TLS noise", 20, true, |stranger| Box::pin(tls::noise(stranger))),
    on_tls("TLS half hellos", 100, true, |stranger| Box::pin(tls::half_hello(stranger))),
    on_tls("TLS slow hellos", 100, true, |stranger| Box::pin(tls::slow_hello(stranger))),
    on_tls("TLS aborted", 20, false, |stranger| Box::pin(tls::aborted(stranger))),
    on_tls("TLS unfinished", 100, true, |stranger| Box::pin(tls::unfinished(stranger))),
    attack("aborted handshakes", 20, false, |stranger| Box::pin(http1::aborted(stranger))),
    attack("request floods", 20, false, |stranger| Box::pin(http1::requests(stranger))),
    attack("sid abuse", 20, false, |stranger| Box::pin(sids::abuse(stranger))),
    attack("h2 rapid resets", 4, true, |stranger| Box::pin(http2::rapid_resets(stranger))),
    attack("h2 SETTINGS", 4, true, |stranger| Box::pin(http2::settings(stranger))),
    attack("h2 PING", 4, true, |stranger| Box::pin(http2::pings(stranger))),
    attack("h2 CONTINUATION", 4, true, |stranger| Box::pin(http2::continuation(stranger))),
    attack("h2 empty DATA", 4, true, |stranger| Box::pin(http2::empty_data(stranger))),
    attack("h2 PRIORITY", 4, true, |stranger| Box::pin(http2::priority(stranger))),
    attack("h2 large heads", 4, true, |stranger| Box::pin(http2::large_heads(stranger))),
    attack("h2 small windows", 4, false, |stranger| Box::pin(http2::small_windows(stranger))),
    attack("h2 half preface", 100, true, |stranger| Box::pin(http2::half_preface(stranger))),
];

const fn attack(
    name: &'static str,
    strangers: usize,
    is_cut: bool,
    one: fn(Stranger) -> BoxFuture<'static, ()>,
) -> Attack {
    Attack { name, strangers, is_cut, is_tls: false, one }
}

/// An attack on the listener with TLS.
const fn on_tls(
    name: &'static str,
    strangers: usize,
    is_cut: bool,
    one: fn(Stranger) -> BoxFuture<'static, ()>,
) -> Attack {
    Attack { is_tls: true, ..attack(name, strangers, is_cut, one) }
}

/// What the strangers of one attack did.
#[derive(Debug, Default)]
pub struct Tally {
    opened: usize,
    refused: usize,
    sent: usize,
    ended: usize,
    answers: usize,
}

/// One connection of an attack, and where it counts.
pub struct Stranger {
    stream: TcpStream,
    counts: &'static Counts,
}

/// See [`Tally`].
#[derive(Default)]
struct Counts {
    opened: AtomicUsize,
    refused: AtomicUsize,
    sent: AtomicUsize,
    ended: AtomicUsize,
    answers: AtomicUsize,
}

impl Stranger {
    /// It sent so many of what its attack is made of.
    fn sent(&self, count: usize) {
        self.counts.sent.fetch_add(count, Relaxed);
    }

    /// The proxy ended the connection.
    fn ended(&self) {
        self.counts.ended.fetch_add(1, Relaxed);
    }

    /// The proxy answered so many requests.
    fn answered(&self, count: usize) {
        self.counts.answers.fetch_add(count, Relaxed);
    }
}

/// Attacks for so long. Returns what was done, and the most memory that the proxy used meanwhile.
async fn run(
    attack: &Attack,
    [plain, with_tls]: [SocketAddr; 2],
    pid: u32,
    time: Duration,
) -> (Tally, usize) {
    let proxy = if attack.is_tls { with_tls } else { plain };
    // Once for each attack of a test.
    let counts: &'static Counts = Box::leak(Box::default());
    let until = Instant::now() + time;
    let mut strangers = JoinSet::new();
    for number in 0..attack.strangers {
        let one = attack.one;
        strangers.spawn(async move {
            let again = async {
                loop {
                    let Some(stream) = connect(proxy, number).await else {
                        counts.refused.fetch_add(1, Relaxed);
                        tokio::task::yield_now().await;
                        continue;
                    };
                    counts.opened.fetch_add(1, Relaxed);
                    one(Stranger { stream, counts }).await;
                }
            };
            // Whatever is open then is reset.
            let _ = timeout_at(until, again).await;
        });
    }
    let (mut look, mut peak_kib) = (interval(Duration::from_millis(100)), 0);
    while Instant::now() < until {
        look.tick().await;
        peak_kib = peak_kib.max(resident_kib(pid));
    }
    strangers.join_all().await;
    let get = |count: &AtomicUsize| count.load(Relaxed);
    let tally = Tally {
        opened: get(&counts.opened),
        refused: get(&counts.refused),
        sent: get(&counts.sent),
        ended: get(&counts.ended),
        answers: get(&counts.answers),
    };
    (tally, peak_kib)
}

/// A connection that is reset when it is dropped: a stranger must not run out of ports.
async fn connect(proxy: SocketAddr, number: usize) -> Option<TcpStream> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_zero_linger().unwrap();
    let address = Ipv4Addr::new(127, 0, 2, (number % 16) as u8 + 1);
    socket.bind(SocketAddr::from((address, 0))).ok()?;
    socket.connect(proxy).await.ok()
}

fn print_row(attack: &Attack, tally: &Tally, waits: Waits, peak_kib: usize) {
    let Tally { opened, refused, sent, ended, answers } = tally;
    println!(
        "{:18} {opened:7} opened {refused:3} refused {sent:8} sent {ended:6} ended {answers:6} answered, \
         peak {peak_kib:6} KiB; {waits}",
        attack.name
    );
}

/// A node for what the strangers ask: small answers, one that is large, and sessions that it denies.
async fn target() -> FakeNode {
    let large = "x".repeat(LARGE_BYTES);
    FakeNode::start(move |request| match request.head.target.as_str() {
        "/large" => ok(&large),
        _ if request.head.is_upgrade() => Reply::Echo { behind: Vec::new() },
        _ if request.query("sid").is_some() => {
            let body = r#"{"code":1,"message":"Session ID unknown"}"#;
            Reply::Bytes(crate::support::response("400 Bad Request", body))
        }
        _ => ok("yes"),
    })
    .await
}

fn configuration(target: SocketAddr, honest: SocketAddr, certificate: &str) -> String {
    let timeouts = "header_timeout: 1s, keep_alive_timeout: 2s";
    format!(
        "listeners:\n  - {{ bind: '127.0.0.1:0', http2: on, {timeouts} }}\n  \
         - {{ bind: '127.0.0.1:0', http2: on, {timeouts}, \
         tls: {{ certificates: [{{ {certificate} }}], handshake_timeout: 1s }} }}\n\
         upstreams:\n  target: {{ nodes: ['{target}'], pool_idle_timeout: 1s }}\n  \
         honest: {{ nodes: ['{honest}'], pool_idle_timeout: 1s }}\n\
         routes:\n  - {{ path: /, upstream: target }}\n  - {{ path: /honest, upstream: honest }}\n"
    )
}

/// How long each attack goes on: four seconds, or as the environment says; less than three end no slow head.
fn seconds() -> Duration {
    let seconds = std::env::var(SECONDS).map_or(4, |seconds| seconds.parse().expect(SECONDS));
    Duration::from_secs(seconds)
}

const SECONDS: &str = "SOAK_SECONDS";

/// How much longer than a direct connection an honest client may wait for its echo.
const STALL_MAX: Duration = Duration::from_secs(1);

/// Connections to nodes that are about to close, and health checks.
const POOLED: usize = 8;

/// What an allocator keeps or not by chance.
const MEMORY_CHANCE_KIB: usize = 8 * 1024;

/// A stranger may not decide how long the log becomes.
const COMPLAINTS_MAX: usize = 100;

const LARGE_BYTES: usize = 4 * 1024 * 1024;
