//! noVNC below a path that its server does not know: its page, its modules and its WebSocket.

use std::time::Duration;

use serde_json::Value;

use crate::support::script::Script;
use crate::support::socketio::held;
use crate::support::{Proxy, config, get};

#[tokio::test]
async fn novnc_works_below_a_path_that_is_stripped() {
    let mut server = Script::node("novnc_server.js", &[]);
    let ready = server.event("ready", WITHIN).await;
    let node = format!("127.0.0.1:{}", ready["port"]).parse().unwrap();
    let yaml =
        config(&[node], "", "strip_prefix: /desk/vnc").replace("path: /", "path: /desk/vnc/");
    let proxy = Proxy::start(&yaml);

    let url = format!("http://{}/desk/vnc/", proxy.address);
    let result: Value =
        Script::node("novnc.js", &["--url", &url]).event("result", WITHIN * 4).await;
    held(result);
    let key = server.event("key", WITHIN).await;
    assert_eq!(key["key"], 0x61, "{key}");
    assert_eq!(get(proxy.address, "/websockify").await.status(), 404, "other paths have no route");
}

const WITHIN: Duration = Duration::from_secs(30);
