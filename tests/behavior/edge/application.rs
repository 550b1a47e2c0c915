//! A single-page application with its API and its Socket.IO server on one host, in Chromium.

use std::fs;

use crate::support::socketio::{NodeServer, held, run_application};
use crate::support::{FakeNode, Proxy, ok};

const PAGE: &str = r#"<!doctype html><title>app</title><link rel="stylesheet" href="/assets/style.css">
<script src="/socket.io/socket.io.js"></script><script src="/assets/app.js"></script><body>"#;

const SCRIPT: &str = r"
window.outcome = (async () => {
  const api = await (await fetch('/api/users/7')).json();
  const socket = io();
  const { engine } = socket.io;
  const transports = [engine.transport.name];
  const upgraded = new Promise((resolve) => engine.once('upgrade', resolve));
  await new Promise((resolve) => socket.on('connect', resolve));
  await upgraded;
  transports.push(engine.transport.name);
  const echo = await socket.timeout(10000).emitWithAck('echo', 'hello');
  const color = getComputedStyle(document.body).color;
  return { path: location.pathname, api, transports, echo, color };
})();
";

#[tokio::test]
#[ignore = "needs Chromium: cargo xtask edge"]
async fn an_application_has_its_files_its_api_and_its_sockets_on_one_host() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("assets")).unwrap();
    let write = |path: &str, text: &str| fs::write(directory.path().join(path), text).unwrap();
    write("index.html", PAGE);
    write("assets/app.js", SCRIPT);
    write(
        "assets/style.css",
        &format!("body {{ color: rgb(1, 2, 3) }}{}", "\n/* a word */".repeat(200)),
    );

    let chat = NodeServer::start(&[]).await;
    let api = FakeNode::start(|_| ok(r#"{"user":7}"#)).await;
    let proxy = Proxy::start(&format!(
        "listeners: [{{ bind: '127.0.0.1:0' }}]\n\
         upstreams: {{ chat: {{ nodes: ['{}'] }}, api: {{ nodes: ['{}'], health: off }} }}\n\
         routes:\n\
         - {{ path: /socket.io/, upstream: chat }}\n\
         - {{ path: /api/, upstream: api }}\n\
         - {{ files: {{ root: {}, fallback: index.html, cache_control: 'public, max-age=3600' }}, \
              compress: on }}\n",
        chat.address(),
        api.address,
        directory.path().display()
    ));
    held(run_application(&["--url", &format!("http://{}", proxy.address)]).await);
}
