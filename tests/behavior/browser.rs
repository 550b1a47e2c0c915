//! Pages in Chromium: `examples/cluster` as its visitors have it, and pages of other origins.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::support::node::{FakeNode, ok};
use crate::support::socketio::{NodeServer, held, run_browser, run_origins};
use crate::support::{Proxy, config};

#[tokio::test]
#[expect(clippy::print_stdout, reason = "who looks for a cause is told where the pictures are")]
async fn tabs_on_three_nodes_begin_by_polling_upgrade_and_hear_each_other() {
    let cluster = Cluster::start().await;
    let artifacts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/artifacts/browser");

    let result =
        run_browser(&["--url", &cluster.url, "--artifacts", artifacts.to_str().unwrap()]).await;

    // Of a visit that failed they are the most telling part.
    println!("screenshots: {:#}", result["screenshots"]);
    let result = held(result);
    let screenshots = result["screenshots"].as_array().unwrap();
    assert_eq!(screenshots.len(), 6, "three tabs, each on a desk and on a phone");
    for file in screenshots {
        let image = std::fs::read(file.as_str().unwrap()).unwrap();
        assert!(image.starts_with(b"\x89PNG"), "{file}");
    }
}

#[tokio::test]
async fn a_page_of_another_origin_is_refused_and_one_of_an_allowed_origin_works() {
    let pages = FakeNode::start(|_| ok("a page")).await;
    let node = NodeServer::start(&[]).await;
    let origins = format!("origins: ['http://allowed.test:{}']", pages.address.port());
    let proxy = Proxy::start(&config(&[node.address().parse().unwrap()], "", &origins));
    let (url, port) = (format!("http://{}", proxy.address), pages.address.port().to_string());
    held(run_origins(&["--url", &url, "--pages", &port]).await);
}

/// The example, on a port of its own; killed when dropped.
struct Cluster {
    /// Where the page is, as the example tells its user.
    url: String,
    _child: Child,
    /// Open, since the example must be able to tell more.
    _lines: Lines<BufReader<ChildStdout>>,
}

impl Cluster {
    async fn start() -> Self {
        let mut child = Command::new(program())
            .args(["--port", "0"])
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let url = timeout(READY_WITHIN, page_url(&mut lines)).await.expect("the example is slow");
        Self { url, _child: child, _lines: lines }
    }
}

async fn page_url(lines: &mut Lines<BufReader<ChildStdout>>) -> String {
    loop {
        let line = lines.next_line().await.unwrap().expect("the example says where the page is");
        if let Some(page) = line.strip_prefix("The page:") {
            return page.split_whitespace().next().unwrap().to_owned();
        }
    }
}

/// Where Cargo puts the example that it built together with this test.
fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.ancestors().nth(2).unwrap();
    let program = profile.join("examples").join(format!("cluster{}", std::env::consts::EXE_SUFFIX));
    assert!(
        program.exists(),
        "{} is missing; run `cargo build --example cluster`, or all tests",
        program.display()
    );
    program
}

const READY_WITHIN: Duration = Duration::from_secs(20);
