//! Set-ups that the doctor must not blame for what it does itself, and those of which it sees a part.

use super::{GOOD, doctor, nginx, node, url};
use crate::support::relay::Relay;

#[tokio::test]
async fn limits_of_requests_are_waited_for_and_not_blamed() {
    let node = node(&[]).await;
    let locations = format!("{GOOD} limit_req zone=all burst=10 nodelay;");
    let proxy = Relay::nginx(&format!(
        "http {{ limit_req_zone $binary_remote_addr zone=all:1m rate=20r/s;
         map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}
         server {{ listen LISTEN; location /socket.io/ {{ proxy_pass http://{}; {locations} }} }} }}",
        node.address()
    ))
    .await;
    let report = doctor(&[&url(&proxy)]).await;
    report.has(&[]);
    let observations = &report.json["observations"];
    assert!(observations["held_off"].as_u64().unwrap() > 0, "the limit was not met");
    assert_eq!(observations["stickiness"]["sessions"], 8, "{:#}", observations["stickiness"]);
    assert_eq!(report.verdict("stuck_in_polling"), "sound", "{:#}", report.json["verdicts"]);
}

#[tokio::test]
async fn a_server_of_the_old_line_does_not_understand_new_clients() {
    let node = node(&["--line", "2"]).await;
    let report = doctor(&[&node.url()]).await;
    report.has(&[("old-server", "node")]);
    assert_eq!(report.verdict("no_session"), "broken");
}

#[tokio::test]
async fn without_polling_a_websocket_is_watched() {
    let node = node(&["--transports", "websocket"]).await;
    let report = doctor(&[&node.url()]).await;
    assert_eq!(report.faults(), [("polling-not-offered", "node")]);
    assert_eq!(report.code, 0, "nothing is wrong with it: {:#}", report.json);
    for symptom in ["no_session", "stuck_in_polling", "drops"] {
        assert_eq!(report.verdict(symptom), "sound", "{:#}", report.json["verdicts"]);
    }

    let short = format!("{GOOD} proxy_read_timeout 2s;");
    let proxy = nginx(&[&node], "", &short).await;
    let report = doctor(&[&url(&proxy), "--node", &node.address()]).await;
    report.has(&[("idle-cut", "proxy"), ("polling-not-offered", "node")]);
}
