//! A run: all probes in their order, and what takes patience at the same time.
//!
//! Runs at start, at reload, or on a timer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::ask::{Ask, ask};
use super::observations::{Handshake, Observations, PathTried, Trace};
use super::own_node::OwnNode;
use super::packets::Open;
use super::past::{Past, foreign_sessions, past, watch as watch_past};
use super::product::{INVALID, Product, Signs};
use super::road::Road;
use super::target::Target;
use super::trace::trace;
use super::{abilities, http2, limits, rooms, stickiness, watch};
use crate::tasks::Tasks;

/// What is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Whom to ask. `None`: nodes alone.
    pub(crate) target: Option<Target>,
    /// Nodes past the proxy. At most [`NODES_MAX`] are looked at.
    pub(crate) nodes: Vec<NodeTarget>,
    /// The version of the protocol: 4 or 3.
    pub(crate) eio: u8,
    /// The origin of the pages.
    pub(crate) origin: Option<String>,
    /// How long idle sessions are watched, at most [`PATIENCE_MAX`].
    pub(crate) patience: Duration,
    /// The largest message to send, in bytes.
    pub(crate) payload_bytes_max: u64,
    /// The proxy, if the operator named it.
    pub(crate) product: Option<Product>,
    /// Fields of each request.
    pub(crate) fields: HeaderMap<HeaderValue>,
    /// Where to listen as a node.
    pub(crate) as_node: Option<SocketAddr>,
    /// The namespace in which the application answers. `None`: rooms are not looked at.
    pub(crate) rooms: Option<String>,
    /// Whom to trust.
    pub(crate) tls: Arc<rustls::ClientConfig>,
}

/// A node past the proxy.
#[derive(Clone, Debug)]
pub(crate) struct NodeTarget {
    /// For the report.
    pub(crate) name: String,
    /// Where it is.
    pub(crate) target: Target,
    /// Whom to trust there.
    pub(crate) tls: Arc<rustls::ClientConfig>,
}

/// Looks at everything, within a bound in time.
pub(crate) async fn observe(settings: &Settings) -> Observations {
    let mut seen = Observations {
        url: settings.target.as_ref().map(Target::url),
        eio: settings.eio,
        origin: settings.origin.clone(),
        ..Observations::default()
    };
    let bound = settings.patience.min(PATIENCE_MAX) + OTHERS_MAX;
    seen.cut_short = timeout(bound, Box::pin(gather(settings, &mut seen))).await.is_err();
    seen
}

async fn gather(settings: &Settings, seen: &mut Observations) {
    let (eio, patience) = (settings.eio, settings.patience.min(PATIENCE_MAX));
    let Some(target) = settings.target.clone() else {
        seen.nodes =
            nodes(settings, &Tasks::default()).await.into_iter().map(|past| past.facts).collect();
        return;
    };
    let found = Road::find(target, settings.fields.clone(), settings.tls.clone());
    let (road, took) = match found.await {
        Ok(found) => found,
        Err(failure) => {
            seen.trace.fail("DNS", &failure);
            seen.trace.handshake = Some(Handshake::Failed(failure));
            return;
        }
    };
    if settings.as_node.is_some() {
        return own_node(&road, settings, seen).await;
    }
    let mut begin = Trace::default();
    begin.done("DNS", took, road.target.host.clone());
    seen.trace = trace(&road, eio, begin).await;
    identify(&road, settings, seen).await;
    if seen.trace.is_too_old(eio) {
        return;
    }
    if seen.trace.open().is_none() {
        without_session(&road, settings, seen).await;
    }
    if seen.trace.any_open().is_none() {
        return;
    }
    let watching = async {
        tokio::join!(watch::idle(&road, eio, patience), watch::delays(&road, eio, patience))
    };
    let (watched, ()) = tokio::join!(watching, others(&road, settings, seen));
    seen.held_off = road.manners.held_off();
    (seen.idle, seen.delays) = (Some(watched.0), watched.1);
}

/// What needs no patience, and the nodes.
async fn others(road: &Road, settings: &Settings, seen: &mut Observations) {
    let eio = settings.eio;
    if seen.trace.open().is_some() {
        seen.stickiness = Some(stickiness::stickiness(road, eio).await);
        let origin = settings.origin.as_deref().unwrap_or(SOME_ORIGIN);
        seen.cors = abilities::cors(road, eio, origin).await;
        seen.other_version = abilities::other_version(road, if eio == 3 { 4 } else { 3 }).await;
        seen.compression = abilities::compression(road, eio).await;
        seen.http2 = http2::http2(road, eio).await;
    }
    let open = (seen.trace.open().is_some(), seen.trace.any_open());
    seen.payload = Some(limits::payload(road, eio, (settings.payload_bytes_max, open)).await);
    let past = nodes(settings, &road.tasks).await;
    if let Some(namespace) = &settings.rooms {
        let reachable =
            past.iter().filter_map(|past| Some((past.facts.name.clone(), past.road.clone()?)));
        let reachable: Vec<(String, Road)> = reachable.collect();
        let (rooms, arrival) = rooms::rooms(road, &reachable, (eio, namespace)).await;
        (seen.rooms, seen.arrival) = (Some(rooms), arrival);
    }
    seen.nodes = past.into_iter().map(|past| past.facts).collect();
}

/// The nodes one after the other, and then all watched at the same time.
async fn nodes(settings: &Settings, tasks: &Tasks) -> Vec<Past> {
    let (eio, patience) = (settings.eio, settings.patience.min(PATIENCE_MAX));
    let mut found = Vec::new();
    for node in settings.nodes.iter().take(NODES_MAX) {
        found.push(past(node, eio, &settings.fields).await);
    }
    foreign_sessions(&mut found, eio).await;
    let mut watched = Vec::new();
    for mut past in found {
        let (tell, told) = oneshot::channel();
        tasks.spawn(async move {
            watch_past(&mut past, eio, patience).await;
            // A run that is cut short does not wait for it.
            let _ = tell.send(past);
        });
        watched.push(told);
    }
    let mut nodes = Vec::new();
    for told in watched {
        nodes.extend(told.await.ok());
    }
    nodes
}

/// Nothing but what arrives: the proxy sends this URL to the doctor.
async fn own_node(road: &Road, settings: &Settings, seen: &mut Observations) {
    let Some(address) = settings.as_node else { return };
    match OwnNode::listen(address, &road.tasks).await {
        Ok(node) => {
            identify(road, settings, seen).await;
            seen.arrival = Some(node.arrival(road, settings.eio).await);
        }
        Err(error) => {
            let (listened, failed) = (address.to_string(), Some(error.to_string()));
            seen.arrival =
                Some(super::measured::Arrival { listened, failed, ..Default::default() });
        }
    }
}

/// Where a session would open, and whether the nodes have one.
async fn without_session(road: &Road, settings: &Settings, seen: &mut Observations) {
    let is_answered = matches!(seen.trace.handshake, Some(Handshake::Answered(_)));
    let own = &road.target.path;
    let mut paths: Vec<String> = PATHS.iter().map(|path| (*path).to_owned()).collect();
    paths.push(format!("{}/", own.trim_end_matches('/')));
    paths.retain(|path| is_answered && path != own);
    for path in paths {
        let road = road.with_path(&path);
        let target = road.target.engineio(settings.eio, "polling", None);
        let answer = ask(&road, Ask::get(target).within(PATH_WITHIN)).await;
        let opens = answer.is_ok_and(|answer| Open::in_body(&answer.body).is_some());
        seen.paths.push(PathTried { path, opens });
    }
    seen.other_version =
        abilities::other_version(road, if settings.eio == 3 { 4 } else { 3 }).await;
    if seen.trace.any_open().is_some() {
        return;
    }
    for node in settings.nodes.iter().take(NODES_MAX) {
        seen.nodes.push(past(node, settings.eio, &settings.fields).await.facts);
    }
}

/// Which program answers.
async fn identify(road: &Road, settings: &Settings, seen: &mut Observations) {
    let mut signs = Signs::default();
    if let Ok(answer) =
        ask(road, Ask::get(road.target.engineio(settings.eio, "polling", None))).await
    {
        let fields = answer.fields.iter().take(FIELDS_MAX);
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        signs.fields =
            fields.map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
        signs.sid = Open::in_body(&answer.body).map(|open| open.sid);
    }
    signs.refusal = timeout(REFUSAL_WITHIN, refusal(road)).await.unwrap_or_default();
    seen.announced = signs.announced();
    seen.product = settings.product.or_else(|| signs.product());
    seen.product_named = settings.product.is_some();
}

/// The answer to a request that is not valid.
async fn refusal(road: &Road) -> String {
    let Ok(mut connected) = road.connect(&[b"http/1.1"]).await else { return String::new() };
    let mut answer = Vec::new();
    if connected.stream.write_all(INVALID.as_bytes()).await.is_ok() {
        let mut limited = connected.stream.take(REFUSAL_BYTES_MAX);
        // An end by reset leaves what came before.
        let _ = limited.read_to_end(&mut answer).await;
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// How long idle sessions are watched at most.
pub(crate) const PATIENCE_MAX: Duration = Duration::from_secs(3_600);

/// How many nodes are looked at.
pub(crate) const NODES_MAX: usize = 32;

/// What everything but patience may take: with nodes that do not answer, each step takes its deadline.
const OTHERS_MAX: Duration = Duration::from_secs(300);

/// Of nobody, since the domain cannot exist (RFC 6761).
const SOME_ORIGIN: &str = "https://sockeye-doctor.invalid";

/// Where applications have Engine.IO.
const PATHS: [&str; 3] = ["/socket.io/", "/engine.io/", "/ws/socket.io/"];

const PATH_WITHIN: Duration = Duration::from_secs(5);

const REFUSAL_WITHIN: Duration = Duration::from_secs(5);

const REFUSAL_BYTES_MAX: u64 = 4_096;

const FIELDS_MAX: usize = 64;
