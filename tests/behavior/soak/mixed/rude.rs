//! Clients that break rules, know nothing or do not listen. Each is refused or ended as the manual
//! says, and costs nothing afterwards.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, timeout};

use super::stage::Stage;
use crate::support::websocket::{UPGRADE, ask, frame, open};
use crate::support::{Client, get, request};

/// Breaks a rule of WebSocket at each turn.
pub async fn break_rules(stage: Arc<Stage>) {
    let mut turns = stage.turns(PACE);
    while turns.next().await.is_some() {
        let long = frame(2, &[7; 100_000], Some([1, 2, 3, 4]));
        expect_close(&stage, "too long messages", &long, 1009).await;
        let unmasked = frame(2, b"unmasked", None);
        expect_close(&stage, "unmasked frames", &unmasked, 1002).await;
        let reserved = frame(3, b"reserved", Some([1, 2, 3, 4]));
        expect_close(&stage, "reserved opcodes", &reserved, 1002).await;
    }
}

/// Sends and reads nothing, until the proxy has enough of it.
pub async fn stall(stage: Arc<Stage>) {
    let mut turns = stage.turns(PACE);
    let message = frame(2, &[9; 65_536], Some([4, 3, 2, 1]));
    while turns.next().await.is_some() {
        let mut client = open(stage.proxy, "/stall").await;
        let began = Instant::now();
        let send = async { while client.stream.write_all(&message).await.is_ok() {} };
        let ended = timeout(ENDED_WITHIN, send).await.is_ok();
        stage.expect("stalled clients", ended, || format!("on after {:?}", began.elapsed()));
    }
}

/// Sends a head byte by byte, until the proxy has enough of it.
pub async fn dawdle(stage: Arc<Stage>) {
    let mut turns = stage.turns(PACE);
    while turns.next().await.is_some() {
        let mut client = Client::connect(stage.proxy).await;
        let began = Instant::now();
        let (mut from_proxy, mut to_proxy) = client.stream.split();
        let dawdle = async {
            let mut pace = tokio::time::interval(PACE);
            for byte in
                b"GET /raw HTTP/1.1\r\nHost: test\r\nX: ".iter().chain(std::iter::repeat(&b'x'))
            {
                pace.tick().await;
                if to_proxy.write_all(&[*byte]).await.is_err() {
                    return;
                }
            }
        };
        // The proxy says no more, and reads on for a while, so that its answer arrives.
        let mut heard = Vec::new();
        let either = async {
            tokio::select! {
                () = dawdle => (),
                _ = from_proxy.read_to_end(&mut heard) => (),
            }
        };
        let ended = timeout(ENDED_WITHIN, either).await.is_ok();
        stage.expect("slow heads", ended, || format!("on after {:?}", began.elapsed()));
    }
}

/// Sends what is no request, at least not one that all readers understand alike.
pub async fn babble(stage: Arc<Stage>) {
    let mut turns = stage.turns(PACE);
    while let Some(turn) = turns.next().await {
        let bytes = BABBLE[turn % BABBLE.len()];
        let mut client = Client::connect(stage.proxy).await;
        client.send(bytes).await;
        let status = client.next_response().await.map(|answer| answer.status());
        stage.expect("bad requests", status == Some(400), || format!("{bytes:?} got {status:?}"));
    }
}

/// Asks for sessions that nobody has, and for upgrades that nobody grants.
pub async fn ask_in_vain(stage: Arc<Stage>) {
    let mut turns = stage.turns(PACE);
    while let Some(turn) = turns.next().await {
        let poll = format!("/socket.io/?EIO=4&transport=polling&sid=unknown{turn:013}");
        let answer = get(stage.proxy, &poll).await;
        let is_unknown = answer.status() == 400 && answer.text().contains("Session ID unknown");
        stage.expect("unknown sessions", is_unknown, || format!("{answer:?}"));
        let upgrade = format!("/socket.io/?EIO=4&transport=websocket&sid=unknown{turn:013}");
        for (what, target, status) in [
            ("unknown sessions, by WebSocket", upgrade.as_str(), 400),
            ("refused upgrades", "/refused", 403),
            ("handshakes without a node", "/absent/?EIO=4&transport=websocket", 503),
            ("requests without a route", "/nowhere", 404),
        ] {
            let (_, answer) = ask(stage.proxy, target, &[]).await;
            stage.expect(what, answer.status() == status, || format!("{answer:?}"));
        }
    }
}

/// Breaks off in the midst of things.
pub async fn vanish(stage: Arc<Stage>) {
    let mut turns = stage.turns(PACE);
    let upgrade = request("GET", "/raw", &UPGRADE, "");
    let post = request("POST", "/raw", &[], &"x".repeat(20_000));
    let poll = request("GET", "/socket.io/?EIO=4&transport=polling", &[], "");
    let held = request("GET", "/absent/?EIO=4&transport=polling", &[], "");
    while let Some(turn) = turns.next().await {
        for part in ["", &upgrade[..40], &upgrade, &post[..post.len() / 2], &post, &poll, &held] {
            let mut client = Client::connect(stage.proxy).await;
            client.send(part).await;
            if turn % 2 == 0 {
                client.stream.set_zero_linger().unwrap();
            }
            stage.count("connections that vanish", 1);
        }
    }
}

/// Sends `bytes` through a tunnel, which is then closed with `code`.
async fn expect_close(stage: &Stage, what: &'static str, bytes: &[u8], code: u16) {
    let mut client = open(stage.proxy, "/small").await;
    // It may be closed before it has taken them all.
    let _ = client.stream.write_all(bytes).await;
    let heard = client.frame().await;
    let closed = matches!(&heard, Some((8, payload)) if payload.starts_with(&code.to_be_bytes()));
    stage.expect(what, closed, || format!("{heard:?}"));
}

const BABBLE: [&str; 6] = [
    "GET /raw HTTP/1.1\r\nHost: test\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "POST /raw HTTP/1.1\r\nHost: test\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "GET /raw HTTP/1.1\nHost: test\n\n",
    "GET /raw HTTP/1.1\r\nHost : test\r\n\r\n",
    "GET /raw HTTP/1.1\r\nHost: test\r\nHost: other\r\n\r\n",
    "GET /raw HTTP/1.1\r\n\r\n",
];

/// Longer than the configuration gives them.
const ENDED_WITHIN: Duration = Duration::from_secs(20);

const PACE: Duration = Duration::from_millis(500);
