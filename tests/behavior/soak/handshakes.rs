//! Twenty thousand clients connect by TLS at once, as after an outage.

use std::future::pending;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, interval, sleep, timeout};
use tokio_rustls::TlsConnector;

use super::figures::{print_descriptor_limit, resident_kib};
use super::hostile::honest;
use crate::support::tls::Authority;
use crate::support::{Exposition, FakeNode, ProxyProcess, ok};

const CLIENTS: usize = 20_000;

/// Each client makes a full handshake, gets one answer and leaves; one that fails comes again, as real ones
/// do. No more handshakes are under way than is configured, and those who are there do not notice.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
#[ignore = "takes a minute: cargo xtask soak handshakes"]
async fn all_clients_of_a_storm_come_in_and_nobody_elses_echo_waits() {
    let authority = Authority::new();
    authority.issue("one", "one", &["localhost"]);
    let node = node().await;
    let prepared = honest::prepare().await;
    let yaml = configuration(&authority, node, prepared.node);
    let mut proxy = ProxyProcess::start(&yaml).await;
    let plain = proxy.address;
    let tls = listening(&proxy.until_log("listening").await);
    let admin = listening(&proxy.until_log("admin listener").await);
    proxy.until_log(" ready").await;
    let pid = proxy.pid();
    let log = proxy.pass_log();
    print_descriptor_limit(pid);
    let crowd = prepared.begin(plain);
    let before = crowd.take_after(Duration::from_secs(2)).await;
    let gauge = Gauge::start(admin, pid);

    let storm = Arc::new(Storm::new(&authority, tls));
    let began = Instant::now();
    let mut entering = JoinSet::new();
    for number in 0..CLIENTS {
        entering.spawn(storm.clone().enter(number));
    }
    let all = timeout(Duration::from_secs(300), entering.join_all()).await;
    let mut waits = all.expect("all clients come in");
    let (took, during) = (began.elapsed(), crowd.take());
    let peak = gauge.finish().await;
    let page = Exposition::scrape(admin).await;
    crowd.finish();
    drop(proxy);
    let complaints = log.await.unwrap();

    waits.sort();
    println!(
        "{} clients, at most {} at the same time: all were in after {took:.1?}, half of them after {:.1?}",
        waits.len(),
        storm.sockets_max,
        waits[CLIENTS / 2]
    );
    println!("attempts that failed: {}", storm.failures.load(Relaxed));
    println!("{:?}", page.with("sockeye_tls_handshakes_total"));
    println!("{:?}", page.with("sockeye_tls_handshakes_failed_total"));
    println!(
        "handshakes under way: {} at most, with those that waited {}",
        peak.under_way, peak.open
    );
    println!("memory: {} KiB before, {} KiB at most", peak.first_kib, peak.kib);
    println!("before: {before}; during: {during}");
    println!("{} warnings, the first: {:?}", complaints.len(), complaints.first());
    assert!(peak.under_way > 0.0, "nobody looked");
    assert!(peak.under_way <= f64::from(HANDSHAKES_MAX) + LOOK_INEXACT, "{peak:?}");
    let stall = during.proxied.saturating_sub(during.direct);
    assert!(stall < Duration::from_secs(1), "{during}");
}

/// A node on a thread of its own, so that the work of the clients does not keep it waiting.
async fn node() -> SocketAddr {
    let (tell, address) = oneshot::channel();
    std::thread::spawn(move || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_all().build().unwrap().block_on(async {
            let node = FakeNode::start(|_| ok("in")).await;
            tell.send(node.address).unwrap();
            pending::<()>().await;
        });
    });
    address.await.unwrap()
}

/// The clients.
struct Storm {
    proxy: SocketAddr,
    connector: TlsConnector,
    /// A client that has no socket waits for that of another.
    sockets: Semaphore,
    sockets_max: usize,
    failures: AtomicUsize,
}

impl Storm {
    fn new(authority: &Authority, proxy: SocketAddr) -> Self {
        let mut config = (**authority.connector(None).config()).clone();
        // All are strangers.
        config.resumption = Resumption::disabled();
        let sockets_max = CLIENTS.min(open_files_max() - OTHER_FILES);
        Self {
            proxy,
            connector: TlsConnector::from(Arc::new(config)),
            sockets: Semaphore::new(sockets_max),
            sockets_max,
            failures: AtomicUsize::new(0),
        }
    }

    /// How long the client waited for its answer, since all began.
    async fn enter(self: Arc<Self>, number: usize) -> Duration {
        let began = Instant::now();
        let mut pause = Duration::from_millis(500 + (number % 1_000) as u64);
        loop {
            let socket = self.sockets.acquire().await.unwrap();
            let attempt = timeout(ATTEMPT_WITHIN, self.attempt(number)).await;
            drop(socket);
            if let Ok(Ok(())) = attempt {
                return began.elapsed();
            }
            self.failures.fetch_add(1, Relaxed);
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(5));
        }
    }

    async fn attempt(&self, number: usize) -> std::io::Result<()> {
        let socket = TcpSocket::new_v4()?;
        // One address would run out of ports: each connection holds one for a while after its end.
        let address = Ipv4Addr::new(127, 0, 1, (number % ADDRESSES) as u8 + 1);
        socket.bind(SocketAddr::from((address, 0)))?;
        let socket = socket.connect(self.proxy).await?;
        let name = ServerName::try_from("localhost").unwrap();
        let mut stream = self.connector.connect(name, socket).await?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        match answer.ends_with(b"in") {
            true => Ok(()),
            false => Err(std::io::Error::other("no answer")),
        }
    }
}

/// Looks at the proxy again and again.
struct Gauge {
    over: Arc<AtomicBool>,
    task: JoinHandle<Peak>,
}

/// The most that was seen.
#[derive(Debug, Default)]
struct Peak {
    open: f64,
    under_way: f64,
    first_kib: usize,
    kib: usize,
}

impl Gauge {
    fn start(admin: SocketAddr, pid: u32) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let until = over.clone();
        let task = tokio::spawn(async move {
            let first_kib = resident_kib(pid);
            let mut peak = Peak { first_kib, ..Peak::default() };
            let mut pace = interval(Duration::from_millis(100));
            while !until.load(Relaxed) {
                pace.tick().await;
                let page = Exposition::scrape(admin).await;
                let open = page.value("sockeye_tls_handshakes_open");
                let waiting = page.value("sockeye_tls_handshakes_waiting");
                peak.open = peak.open.max(open);
                peak.under_way = peak.under_way.max(open - waiting);
                peak.kib = peak.kib.max(resident_kib(pid));
            }
            peak
        });
        Self { over, task }
    }

    async fn finish(self) -> Peak {
        self.over.store(true, Relaxed);
        self.task.await.unwrap()
    }
}

fn configuration(authority: &Authority, node: SocketAddr, honest: SocketAddr) -> String {
    format!(
        "listeners:\n  - {{ bind: '127.0.0.1:0' }}\n  - bind: '127.0.0.1:0'\n    \
         tls: {{ {}, handshakes_max: {HANDSHAKES_MAX} }}\nadmin: {{ bind: '127.0.0.1:0' }}\n\
         upstreams:\n  chat: {{ nodes: ['{node}'] }}\n  honest: {{ nodes: ['{honest}'] }}\n\
         routes:\n  - {{ path: /, upstream: chat }}\n  - {{ path: /honest, upstream: honest }}\n",
        authority.pair("one")
    )
}

/// The address in a log line.
fn listening(line: &str) -> SocketAddr {
    let address = line.split("address=").nth(1).and_then(|rest| rest.split(' ').next());
    address.unwrap().trim_matches('"').parse().unwrap()
}

/// How many files this process may have open.
fn open_files_max() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

const HANDSHAKES_MAX: u32 = 1_000;

/// Two gauges are read one after the other while handshakes go on.
const LOOK_INEXACT: f64 = 50.0;

/// For connections to the node, the honest crowd and the rest of the test.
const OTHER_FILES: usize = 5_000;

/// A client of Socket.IO gives up after 20 s.
const ATTEMPT_WITHIN: Duration = Duration::from_secs(20);

/// How many addresses the clients have together.
const ADDRESSES: usize = 16;
