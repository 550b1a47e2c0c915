//! What else a set-up can do: pages of other origins, clients of the other version, compression.
//!
//! Runs at start, at reload, or on a timer.

use http::{HeaderMap, HeaderValue, Method};

use super::ask::{Answer, Ask, Switch, ask, joined, shown, switch};
use super::limits;
use super::measured::{Compression, Cors, VersionAnswer};
use super::packets::Open;
use super::road::Road;
use super::trace::answered;

/// Asks for a session as a page of `origin` does.
pub(super) async fn cors(road: &Road, eio: u8, origin: &str) -> Option<Cors> {
    let target = road.target.engineio(eio, "polling", None);
    let answer = ask(road, Ask::get(target.clone()).with("origin", origin)).await.ok()?;
    let preflight = Ask { method: Method::OPTIONS, ..Ask::get(target) }
        .with("origin", origin)
        .with("access-control-request-method", "POST")
        .with("access-control-request-headers", "content-type");
    Some(Cors {
        asked: origin.to_owned(),
        allow_origin: all(&answer, "access-control-allow-origin"),
        allow_credentials: all(&answer, "access-control-allow-credentials"),
        status: answer.status,
        preflight: ask(road, preflight).await.ok().map(|answer| answer.status),
    })
}

/// Asks for a session in another version of the protocol.
pub(super) async fn other_version(road: &Road, eio: u8) -> Option<VersionAnswer> {
    let target = road.target.engineio(eio, "polling", None);
    let answer = ask(road, Ask::get(target)).await.ok()?;
    let opens = answer.status == 200 && Open::in_body(&answer.body).is_some();
    Some(VersionAnswer { eio, opens, code: answered(&answer).code })
}

/// Offers compression in each way.
pub(super) async fn compression(road: &Road, eio: u8) -> Option<Compression> {
    let target = road.target.engineio(eio, "polling", None);
    let offered = Ask::get(target).with("accept-encoding", "gzip, br");
    let answer = ask(road, offered).await.ok()?;
    let offering = road.with_field("accept-encoding", "gzip");
    let long = limits::encoding(&offering, eio).await;
    let mut fields = HeaderMap::new();
    fields.insert("sec-websocket-extensions", HeaderValue::from_static("permessage-deflate"));
    let target = road.target.engineio(eio, "websocket", None);
    let permessage_deflate = match switch(road, target, fields).await {
        Switch::Open(socket, agreed) => {
            socket.close().await;
            joined(&agreed, "sec-websocket-extensions")
                .is_some_and(|agreed| agreed.contains("permessage-deflate"))
        }
        Switch::Answered(_) | Switch::Failed(_) => false,
    };
    Some(Compression {
        handshake: answer.field("content-encoding"),
        long_response: long,
        permessage_deflate,
    })
}

fn all(answer: &Answer, name: &str) -> Vec<String> {
    let values = answer.fields.get_all(name).iter();
    values.take(VALUES_MAX).map(shown).collect()
}

/// Two are one too many.
const VALUES_MAX: usize = 8;
