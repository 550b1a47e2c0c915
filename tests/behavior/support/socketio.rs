//! Real Socket.IO nodes and clients, in processes of their own: `tests/node/README.md` has the table
//! of servers, clients and scenarios.
//!
//! Runs at start, at reload, or on a timer.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::script::Script;

/// A Socket.IO node on a port of 127.0.0.1; killed when dropped.
pub(crate) struct NodeServer {
    /// Where it listens.
    pub(crate) port: u16,
    script: Script,
}

impl NodeServer {
    /// A node of socket.io, ready; arguments as in `tests/node/server.js --help`.
    pub(crate) async fn start(arguments: &[&str]) -> Self {
        Self::ready(Script::node("server.js", arguments)).await
    }

    /// A node of python-socketio, ready; arguments as in `tests/python/server.py --help`.
    pub(crate) async fn start_python(arguments: &[&str]) -> Self {
        Self::ready(Script::python("server.py", arguments)).await
    }

    /// A node for the client libraries of the scenario `comeback`, ready.
    pub(crate) async fn start_protocols() -> Self {
        Self::ready(Script::node("protocols.js", &[])).await
    }

    /// A node of SockJS that greets its clients with `name`, ready.
    pub(crate) async fn start_sockjs(name: &str) -> Self {
        Self::ready(Script::node("sockjs_server.js", &["--name", name])).await
    }

    /// A node that hijacks connections as Docker does, ready.
    pub(crate) async fn start_hijack() -> Self {
        Self::ready(Script::node("hijack_server.js", &[])).await
    }

    async fn ready(mut script: Script) -> Self {
        let ready = script.event("ready", READY_WITHIN).await;
        let port = ready["port"].as_u64().and_then(|port| u16::try_from(port).ok());
        Self { port: port.expect("a ready line has the port"), script }
    }

    /// As it is written in a proxy's configuration.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// For a client that goes past the proxy.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// The next event that the node reports by this name: `connection_error`, `disconnect`,
    /// `raw_closed`, `stopping`.
    pub(crate) async fn event(&mut self, name: &str) -> Value {
        self.script.event(name, EVENT_WITHIN).await
    }

    /// Ends the node as a crash does: its sockets are reset or closed by the system. A new node may
    /// be started on the same port afterwards.
    pub(crate) async fn kill(&mut self) {
        self.script.kill().await;
    }

    /// Ends the node in order, as a rolling restart does, and waits for it.
    pub(crate) async fn stop(&mut self) {
        self.script.signal("TERM").await;
        self.script.ended().await;
    }

    /// Stops the process without ending it: its sockets stay, and nothing answers.
    pub(crate) async fn freeze(&self) {
        self.script.signal("STOP").await;
    }

    /// Lets a frozen process go on.
    pub(crate) async fn thaw(&self) {
        self.script.signal("CONT").await;
    }

    /// Leaves the node alone, as a killed test would, and waits for its end.
    pub(crate) async fn abandon(mut self) {
        self.script.close_stdin();
        self.script.ended().await;
    }
}

/// Runs a scenario of `tests/node/client.js` to its end and gives the result, whether it held or not.
pub(crate) async fn run_client(arguments: &[&str]) -> Value {
    Script::node("client.js", arguments).event("result", RESULT_WITHIN).await
}

/// The same as [`run_client`], with a client that trusts the authority in the file `ca`.
pub(crate) async fn run_client_trusting(ca: &Path, arguments: &[&str]) -> Value {
    let mut client = Script::node_trusting(ca, "client.js", arguments);
    client.event("result", RESULT_WITHIN).await
}

/// Runs a scenario of `tests/python/client.py` to its end and gives the result.
pub(crate) async fn run_python_client(arguments: &[&str]) -> Value {
    Script::python("client.py", arguments).event("result", RESULT_WITHIN).await
}

/// The same as [`run_python_client`], with a client that trusts the authority in the file `ca`.
pub(crate) async fn run_python_client_trusting(ca: &Path, arguments: &[&str]) -> Value {
    let mut client = Script::python_trusting(ca, "client.py", arguments);
    client.event("result", RESULT_WITHIN).await
}

/// A client of HTTP/2 by TLS in `tests/python/http2.py`, on a library that the proxy does not use.
pub(crate) struct Http2Client(Script);

impl Http2Client {
    /// Begins a scenario at a port of 127.0.0.1, with a client that trusts the authority in the file `ca`.
    pub(crate) fn start(port: u16, ca: &Path, scenario: &str, arguments: &[&str]) -> Self {
        let (port, ca) = (port.to_string(), ca.display().to_string());
        let own = ["--port", &port, "--ca", &ca, "--scenario", scenario];
        Self(Script::python("http2.py", &[&own[..], arguments].concat()))
    }

    /// The next step of this name.
    pub(crate) async fn event(&mut self, name: &str) -> Value {
        self.0.event(name, EVENT_WITHIN).await
    }

    /// Lets a scenario go on that waits for its test.
    pub(crate) fn go_on(&mut self) {
        self.0.close_stdin();
    }

    /// Waits for the end of a scenario that must hold.
    pub(crate) async fn held(mut self) {
        held(self.0.event("result", RESULT_WITHIN).await);
    }
}

/// Visits the page of `examples/cluster` with Chromium, as `tests/node/browser.js --help` says, and
/// gives the result.
pub(crate) async fn run_browser(arguments: &[&str]) -> Value {
    Script::node("browser.js", arguments).event("result", RESULT_WITHIN).await
}

/// Visits the page of the admin listener with Chromium, as `tests/node/seeing.js --help` says, and gives the
/// result.
pub(crate) async fn run_seeing(arguments: &[&str]) -> Value {
    Script::node("seeing.js", arguments).event("result", VISITED_WITHIN).await
}

/// Visits a node by TLS and HTTP/2 with a browser, as `tests/node/http2.js --help` says, and gives the result.
pub(crate) async fn run_http2_visit(arguments: &[&str]) -> Value {
    Script::node("http2.js", arguments).event("result", VISITED_WITHIN).await
}

/// Visits an application whose files come from the proxy, as `tests/node/application.js --help` says, and gives
/// the result.
pub(crate) async fn run_application(arguments: &[&str]) -> Value {
    Script::node("application.js", arguments).event("result", RESULT_WITHIN).await
}

/// Pages of several origins, as `tests/node/origins.js --help` says, and gives the result.
pub(crate) async fn run_origins(arguments: &[&str]) -> Value {
    Script::node("origins.js", arguments).event("result", RESULT_WITHIN).await
}

/// Clients of SockJS, as `tests/node/sockjs.js --help` says, and gives the result.
pub(crate) async fn run_sockjs(arguments: &[&str]) -> Value {
    Script::node("sockjs.js", arguments).event("result", RESULT_WITHIN).await
}

/// Tokens and their keys, as `tests/node/tokens.js --help` says.
pub(crate) async fn run_tokens(arguments: &[&str]) -> Value {
    Script::node("tokens.js", arguments).event("tokens", READY_WITHIN).await
}

/// The result of a scenario that must hold; panics with its failures.
#[track_caller]
pub(crate) fn held(result: Value) -> Value {
    assert!(
        result["held"] == true,
        "{} did not hold: {:#}",
        result["scenario"],
        result["failures"]
    );
    result
}

/// Clients that are connected while the test does things to the proxy and the nodes, and that tell
/// of each loss and each return.
pub(crate) struct StayingClients {
    /// The `connect` of each client that came before all were connected.
    pub(crate) first: Vec<Value>,
    script: Script,
}

impl StayingClients {
    /// All clients, connected; arguments as in `tests/node/client.js --help` without the scenario.
    pub(crate) async fn start(arguments: &[&str]) -> Self {
        let mut all = vec!["--scenario", "survive", "--deadline", "600"];
        all.extend(arguments);
        let mut script = Script::node("client.js", &all);
        let first = script.events_until("ready", READY_WITHIN).await;
        Self { first, script }
    }

    /// The next `connect` (client, node) or `disconnect` (client, reason) of any client.
    pub(crate) async fn event(&mut self, name: &str) -> Value {
        self.script.event(name, EVENT_WITHIN).await
    }

    /// The result: it holds when all are connected now.
    pub(crate) async fn finish(mut self) -> Value {
        self.script.close_stdin();
        self.script.event("result", RESULT_WITHIN).await
    }
}

/// A client of each of several libraries at each URL, connected, whose connections are ended then.
pub(crate) struct ReturningClients(Script);

impl ReturningClients {
    /// All clients, connected for the first time; the last segment of a URL names the end.
    pub(crate) async fn start(urls: &[String]) -> Self {
        let urls = urls.join(",");
        let mut script = Script::node("client.js", &["--scenario", "comeback", "--url", &urls]);
        script.event("ready", READY_WITHIN).await;
        Self(script)
    }

    /// For each end the `codes` that clients saw, and the libraries that came `back`.
    pub(crate) async fn table(mut self) -> Value {
        held(self.0.event("result", RESULT_WITHIN).await)["table"].take()
    }
}

const READY_WITHIN: Duration = Duration::from_secs(20);

/// The slowest expected event is a client's return, 5 s apart at most.
const EVENT_WITHIN: Duration = Duration::from_secs(30);

/// Longer than a scenario's own deadline of a minute, which ends with words.
const RESULT_WITHIN: Duration = Duration::from_secs(90);

/// Longer than a visit's own deadline of two minutes; the browser is closed after it.
const VISITED_WITHIN: Duration = Duration::from_secs(180);
