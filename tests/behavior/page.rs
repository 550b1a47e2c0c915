//! The page of the admin listener, in Chromium, before real Socket.IO nodes under load.

use std::path::Path;

use crate::support::socketio::{NodeServer, held, run_seeing};
use crate::support::{Proxy, config};

#[tokio::test]
#[expect(clippy::print_stdout, reason = "who looks at the design is told where the pictures are")]
async fn an_operator_sees_and_orders_by_the_page_what_the_process_knows() {
    let nodes = [NodeServer::start(&[]).await, NodeServer::start(&[]).await];
    let addresses = nodes.each_ref().map(|node| node.address().parse().unwrap());
    let slow = "drain: { closes_per_second: 1 }";
    let proxy = Proxy::start(&(config(&addresses, slow, "") + "admin: { bind: '127.0.0.1:0' }\n"));
    let (url, admin) = (format!("http://{}", proxy.address), proxy.admin.unwrap());
    let artifacts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/artifacts/seeing");
    let artifacts = artifacts.to_str().unwrap();

    let result = run_seeing(&[
        "--url",
        &url,
        "--admin",
        &format!("http://{admin}"),
        "--artifacts",
        artifacts,
    ])
    .await;

    println!("screenshots: {:#}", result["screenshots"]);
    println!("first load: {} bytes, {} ms", result["bytes"], result["millis"]);
    held(result);
}

#[test]
fn the_libraries_of_the_page_are_as_npm_installs_them() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let modules = root.join("tests/node/node_modules");
    for (ours, theirs) in [
        ("htm.mjs", "htm/dist/htm.mjs"),
        ("htm.LICENSE", "htm/LICENSE"),
        ("preact.mjs", "preact/dist/preact.mjs"),
        ("preact.LICENSE", "preact/LICENSE"),
        ("uPlot.iife.min.js", "uplot/dist/uPlot.iife.min.js"),
        ("uPlot.min.css", "uplot/dist/uPlot.min.css"),
        ("uPlot.LICENSE", "uplot/LICENSE"),
    ] {
        let ours = root.join("src/admin/page/vendor").join(ours);
        let theirs = modules.join(theirs);
        let same = std::fs::read(&ours).unwrap() == std::fs::read(&theirs).unwrap();
        assert!(same, "{} is not {}", ours.display(), theirs.display());
    }
}
