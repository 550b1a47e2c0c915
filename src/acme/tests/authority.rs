//! An authority for tests: it issues at once, verifies no signatures, and looks for the proofs in the
//! store. A real one is asked by `cargo xtask edge`.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::{CertificateParams, CertificateSigningRequestParams, CertifiedIssuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::tasks::Tasks;
use crate::tls::Challenges;

/// A running authority. It ends with the runtime of its test.
pub(super) struct Authority {
    address: SocketAddr,
    directory: tempfile::TempDir,
    shared: Arc<Shared>,
}

struct Shared {
    address: SocketAddr,
    issuer: CertifiedIssuer<'static, KeyPair>,
    challenges: Challenges,
    behavior: Mutex<Behavior>,
    state: Mutex<State>,
}

/// What the authority does otherwise than a good one.
#[derive(Clone, Debug)]
pub(super) struct Behavior {
    /// How long its certificates are valid, from now.
    pub(super) life: Duration,
    /// When it suggests to renew, from now, and in how many seconds it is to be asked again.
    pub(super) window: Option<(i64, i64, u64)>,
    /// The answer to an order: status, kind of the problem, `Retry-After`.
    pub(super) refuses_orders: Option<(u16, &'static str, Option<u64>)>,
    /// Whether it takes every proof for wrong.
    pub(super) believes_nobody: bool,
    /// How many requests in a row it refuses for their nonce.
    pub(super) refuses_nonces: u32,
    /// Whether its certificates are for another name.
    pub(super) issues_for: Option<&'static str>,
}

impl Default for Behavior {
    fn default() -> Self {
        Self {
            life: Duration::from_hours(24 * 90),
            window: None,
            refuses_orders: None,
            believes_nobody: false,
            refuses_nonces: 0,
            issues_for: None,
        }
    }
}

#[derive(Default)]
struct State {
    nonces_refused: u32,
    accounts: Vec<Value>,
    orders: Vec<Value>,
    names: Vec<String>,
    is_proven: HashMap<usize, bool>,
    chains: HashMap<usize, String>,
    asked_windows: Vec<String>,
}

impl Authority {
    /// An authority that finds proofs in the store at `store`.
    pub(super) async fn start(store: &std::path::Path, behavior: Behavior) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let server = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let server = server.self_signed(&key).unwrap();
        std::fs::write(directory.path().join("ca.pem"), server.pem()).unwrap();
        let tls = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(
                vec![server.der().clone()],
                PrivateKeyDer::Pkcs8(key.serialize_der().into()),
            )
            .unwrap();
        let mut root = CertificateParams::new(Vec::new()).unwrap();
        root.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        root.distinguished_name.push(rcgen::DnType::CommonName, "authority");
        let issuer = CertifiedIssuer::self_signed(root, KeyPair::generate().unwrap()).unwrap();
        let shared = Arc::new(Shared {
            address,
            issuer,
            challenges: Challenges::new(store),
            behavior: Mutex::new(behavior),
            state: Mutex::default(),
        });
        let tasks = Tasks::default();
        tasks.clone().spawn(accept(listener, Arc::new(tls).into(), shared.clone(), tasks));
        Self { address, directory, shared }
    }

    pub(super) fn url(&self) -> String {
        format!("https://localhost:{}/directory", self.address.port())
    }

    /// The file of its root.
    pub(super) fn ca(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    pub(super) fn behave(&self, behavior: Behavior) {
        *self.shared.behavior.lock().unwrap() = behavior;
    }

    /// The orders that came.
    pub(super) fn orders(&self) -> Vec<Value> {
        self.shared.state.lock().unwrap().orders.clone()
    }

    /// The accounts that were registered.
    pub(super) fn accounts(&self) -> Vec<Value> {
        self.shared.state.lock().unwrap().accounts.clone()
    }

    /// The certificates whose windows were asked for.
    pub(super) fn asked_windows(&self) -> Vec<String> {
        self.shared.state.lock().unwrap().asked_windows.clone()
    }

    /// Forgets all accounts, as one that was installed again.
    pub(super) fn forget_accounts(&self) {
        self.shared.state.lock().unwrap().accounts.clear();
    }
}

async fn accept(listener: TcpListener, tls: TlsAcceptor, shared: Arc<Shared>, tasks: Tasks) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (tls, shared) = (tls.clone(), shared.clone());
        tasks.spawn(async move {
            let Ok(stream) = tls.accept(stream).await else { return };
            let service = service_fn(move |request| {
                let shared = shared.clone();
                async move { Ok::<_, Infallible>(shared.answer(request).await) }
            });
            let http = hyper::server::conn::http1::Builder::new();
            let _ = http.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

type Answer = (StatusCode, Vec<(&'static str, String)>, Value);

impl Shared {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path().to_owned();
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let jws: Value = serde_json::from_slice(&body).unwrap_or_default();
        let decode = |part: &Value| {
            let decoded = BASE64URL.decode(part.as_str().unwrap_or_default()).unwrap();
            serde_json::from_slice::<Value>(&decoded).unwrap_or_default()
        };
        let (head, payload) = (decode(&jws["protected"]), decode(&jws["payload"]));
        let (status, fields, content) = self.route(&path, &head, payload).await;
        let mut response = Response::builder().status(status).header("Replay-Nonce", "nonce");
        for (name, value) in fields {
            response = response.header(name, value);
        }
        let content = match content {
            Value::String(text) => text,
            content => content.to_string(),
        };
        response.body(Full::from(content)).unwrap()
    }

    async fn route(&self, path: &str, head: &Value, payload: Value) -> Answer {
        let behavior = self.behavior.lock().unwrap().clone();
        let mut steps = path.trim_start_matches('/').split('/');
        let (kind, id) = (steps.next().unwrap_or_default(), steps.next().unwrap_or_default());
        let number = id.parse().unwrap_or_default();
        if !head.is_null() {
            let mut state = self.state.lock().unwrap();
            if state.nonces_refused < behavior.refuses_nonces {
                state.nonces_refused += 1;
                return problem(400, "badNonce", None);
            }
            let account = head["kid"].as_str().and_then(|kid| kid.rsplit('/').next());
            let account = account.map(|account| account.parse::<usize>().unwrap());
            if account.is_some_and(|account| account >= state.accounts.len()) {
                return problem(400, "accountDoesNotExist", None);
            }
        }
        match kind {
            "directory" => self.directory(&behavior),
            "nonce" => ok(json!({})),
            "account" if id.is_empty() => {
                let mut state = self.state.lock().unwrap();
                state.accounts.push(payload);
                let url = self.url(&format!("account/{}", state.accounts.len() - 1));
                (StatusCode::CREATED, vec![("Location", url)], json!({ "status": "valid" }))
            }
            "account" => {
                self.state.lock().unwrap().accounts[number] = payload;
                ok(json!({ "status": "valid" }))
            }
            "order" if id.is_empty() => match behavior.refuses_orders {
                Some((status, kind, wait)) => problem(status, kind, wait),
                None => self.place(payload),
            },
            "order" => ok(self.order(number, &behavior)),
            "authorization" => ok(self.authorization(number, &behavior)),
            "challenge" => {
                self.validate(number).await;
                ok(json!({ "type": "http-01", "url": "u", "status": "processing" }))
            }
            "finalize" => {
                self.issue(number, payload["csr"].as_str().unwrap(), &behavior);
                ok(self.order(number, &behavior))
            }
            "certificate" => ok(self.state.lock().unwrap().chains[&number].clone().into()),
            "window" => self.window(id, &behavior),
            _ => problem(404, "malformed", None),
        }
    }

    fn directory(&self, behavior: &Behavior) -> Answer {
        let mut directory = json!({
            "newNonce": self.url("nonce"),
            "newAccount": self.url("account"),
            "newOrder": self.url("order"),
        });
        if behavior.window.is_some() {
            directory["renewalInfo"] = self.url("window").into();
        }
        ok(directory)
    }

    fn place(&self, payload: Value) -> Answer {
        let mut state = self.state.lock().unwrap();
        let number = state.orders.len();
        state.names.push(payload["identifiers"][0]["value"].as_str().unwrap().to_owned());
        let replaces = payload["replaces"].clone();
        state.orders.push(payload);
        drop(state);
        let mut order = self.order(number, &Behavior::default());
        if !replaces.is_null() {
            order["replaces"] = replaces;
        }
        (StatusCode::CREATED, vec![("Location", self.url(&format!("order/{number}")))], order)
    }

    fn order(&self, number: usize, behavior: &Behavior) -> Value {
        let state = self.state.lock().unwrap();
        let is_issued = state.chains.contains_key(&number);
        let status = match state.is_proven.get(&number) {
            _ if is_issued => "valid",
            Some(true) if !behavior.believes_nobody => "ready",
            Some(_) => "invalid",
            None => "pending",
        };
        json!({
            "status": status,
            "authorizations": [self.url(&format!("authorization/{number}"))],
            "finalize": self.url(&format!("finalize/{number}")),
            "certificate": is_issued.then(|| self.url(&format!("certificate/{number}"))),
        })
    }

    fn authorization(&self, number: usize, behavior: &Behavior) -> Value {
        let state = self.state.lock().unwrap();
        let is_proven = state.is_proven.get(&number).copied();
        let is_wrong =
            is_proven == Some(false) || (is_proven.is_some() && behavior.believes_nobody);
        let error = is_wrong.then(
            || json!({ "type": "urn:ietf:params:acme:error:connection", "detail": "no answer" }),
        );
        json!({
            "identifier": { "type": "dns", "value": state.names[number] },
            "status": if is_wrong { "invalid" } else { "pending" },
            "challenges": [{
                "type": "http-01",
                "url": self.url(&format!("challenge/{number}")),
                "token": format!("token-{number}"),
                "status": if is_wrong { "invalid" } else { "pending" },
                "error": error,
            }],
        })
    }

    /// Looks for the proof as a request to any proxy of the store would.
    async fn validate(&self, number: usize) {
        let path = format!("{}token-{number}", Challenges::PATH);
        let proof = self.challenges.key_authorization(&path).await;
        let is_proven = proof.is_some_and(|proof| proof.starts_with(&format!("token-{number}.")));
        self.state.lock().unwrap().is_proven.insert(number, is_proven);
    }

    fn issue(&self, number: usize, request: &str, behavior: &Behavior) {
        let request = BASE64URL.decode(request).unwrap();
        let mut request = CertificateSigningRequestParams::from_der(&request.into()).unwrap();
        if let Some(name) = behavior.issues_for {
            let other = CertificateParams::new(vec![name.to_owned()]).unwrap();
            request.params.subject_alt_names = other.subject_alt_names;
        }
        request.params.not_before = SystemTime::now().into();
        request.params.not_after = (SystemTime::now() + behavior.life).into();
        request.params.use_authority_key_identifier_extension = true;
        let leaf = request.signed_by(&self.issuer).unwrap();
        let chain = format!("{}{}", leaf.pem(), self.issuer.pem());
        self.state.lock().unwrap().chains.insert(number, chain);
    }

    fn window(&self, id: &str, behavior: &Behavior) -> Answer {
        self.state.lock().unwrap().asked_windows.push(id.to_owned());
        let (start, end, again) = behavior.window.unwrap();
        let time = |offset| {
            let time = SystemTime::now();
            let step = Duration::from_secs(i64::unsigned_abs(offset));
            let time = if offset < 0 { time - step } else { time + step };
            rfc3339(time)
        };
        let window = json!({ "suggestedWindow": { "start": time(start), "end": time(end) } });
        (StatusCode::OK, vec![("Retry-After", again.to_string())], window)
    }

    fn url(&self, path: &str) -> String {
        format!("https://localhost:{}/{path}", self.address.port())
    }
}

fn ok(content: Value) -> Answer {
    (StatusCode::OK, Vec::new(), content)
}

fn problem(status: u16, kind: &str, retry_after: Option<u64>) -> Answer {
    let kind = format!("urn:ietf:params:acme:error:{kind}");
    let content = json!({ "type": kind, "detail": "as the test says", "status": status });
    let fields = retry_after.map(|seconds| ("Retry-After", seconds.to_string()));
    (StatusCode::from_u16(status).unwrap(), fields.into_iter().collect(), content)
}

/// From the date of HTTP, which a library of ours writes: `Sun, 06 Nov 1994 08:49:37 GMT`.
fn rfc3339(time: SystemTime) -> String {
    let date = httpdate::fmt_http_date(time);
    let parts: Vec<&str> = date.split(' ').collect();
    let months = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let month = months.find(parts[2]).unwrap() / 3 + 1;
    format!("{}-{month:02}-{}T{}Z", parts[3], parts[1], parts[4])
}
