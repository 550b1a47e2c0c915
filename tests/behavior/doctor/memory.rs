//! What the admin listener of a Sockeye says of its memory.

use super::{doctor, node};
use crate::support::{ProxyProcess, config};

#[tokio::test]
async fn the_memory_of_a_sockeye_is_compared() {
    let node = node(&[]).await;
    let nodes = [node.address().parse().unwrap()];
    let yaml = format!("{}admin: {{ bind: '127.0.0.1:0' }}\n", config(&nodes, "", ""));
    let mut proxy = ProxyProcess::start(&yaml).await;
    let line = proxy.until_log("admin listener").await;
    let admin = line.split("address=").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
    let url = format!("http://{}", proxy.address);
    let report = doctor(&[&url, "--admin", admin.trim_matches('"')]).await;
    report.has(&[]);
    assert_eq!(report.verdict("memory_grows"), "sound", "{:#}", report.json["verdicts"]);

    // Without it, or at a port where nobody listens, it is not guessed.
    assert_eq!(doctor(&[&url]).await.verdict("memory_grows"), "not_looked");
    let nobody = nodes[0].to_string();
    let report = doctor(&[&url, "--admin", &nobody]).await;
    assert_eq!(report.verdict("memory_grows"), "undecided", "{:#}", report.json["verdicts"]);
}
