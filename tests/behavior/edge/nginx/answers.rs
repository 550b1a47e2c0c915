//! What a client gets and a node sees of a request.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use super::nodes::AUTHORIZATION;
use super::side::Side;
use super::table::{Case, Kind, Request};
use crate::support::http::{Client, Response};
use crate::support::tls::Authority;
use crate::support::websocket::{self, UPGRADE};

/// What there is to compare: `status`, `node`, `gets NAME`, `sees NAME` and so on.
pub(super) type Answer = BTreeMap<String, String>;

/// Sends `request` and gives what came of it.
pub(super) async fn answer(
    case: &Case,
    side: &Side,
    authority: &Authority,
    request: &Request,
) -> Answer {
    if TcpStream::connect(side.address(request.port)).await.is_err() {
        let refused = [("status", "refused"), ("node", "-")];
        return refused.map(|(what, value)| (what.to_owned(), value.to_owned())).into();
    }
    let address = side.address(request.port);
    let address = match case.ports.iter().find(|port| port.number == request.port) {
        Some(port) if port.is_tls => tls_relay(authority, address, &request.host).await,
        Some(port) if port.has_proxy_header => proxy_header_relay(address).await,
        _ => address,
    };
    let before: Vec<usize> = side.nodes.iter().map(|(_, node)| node.requests().len()).collect();
    let mut answer = Answer::new();
    match &request.kind {
        Kind::Plain(method) => {
            let response = send(address, method, request, &[]).await.1;
            of_response(side, &response, &mut answer);
            if method != "OPTIONS" {
                // Browsers read them in the answers to preflights alone.
                answer.remove("gets access-control-allow-methods");
                answer.remove("gets access-control-allow-headers");
            }
        }
        Kind::WebSocket => {
            let (mut client, response) = send(address, "GET", request, &UPGRADE).await;
            of_response(side, &response, &mut answer);
            if response.status() == 101 {
                client.send(websocket::text("hello")).await;
                let echo = client.frame().await;
                answer.insert("body".to_owned(), format!("{echo:?}"));
                client.send(websocket::close(1000)).await;
            }
        }
        Kind::Sessions => {
            let outcome = sessions(address, request).await;
            answer.insert("status".to_owned(), outcome);
        }
    }
    seen(side, &before, request, &mut answer);
    answer
}

/// What the nodes saw beyond the first requests of each, whose numbers are in `before`.
fn seen(side: &Side, before: &[usize], request: &Request, answer: &mut Answer) {
    let mut groups = BTreeSet::new();
    for ((name, node), before) in side.nodes.iter().zip(before) {
        for seen in node.requests().into_iter().skip(*before) {
            groups.insert(name.split('/').next().unwrap_or_default().to_owned());
            // A service that is asked first has a protocol of its own.
            if request.kind == Kind::Sessions || name == AUTHORIZATION {
                continue;
            }
            let target = format!("{} {}", seen.head.method, side.original(&seen.head.target));
            let body = String::from_utf8_lossy(&seen.body).chars().take(80).collect();
            answer.insert("target".to_owned(), target);
            answer.insert("version".to_owned(), seen.head.version.clone());
            answer.insert("sent".to_owned(), body);
            fields(side, "sees", &seen.head.fields, answer);
        }
    }
    let groups: Vec<String> = groups.into_iter().collect();
    let node = if groups.is_empty() { "-".to_owned() } else { groups.join(",") };
    answer.insert("node".to_owned(), node);
}

async fn send(
    address: SocketAddr,
    method: &str,
    request: &Request,
    more: &[&str],
) -> (Client, Response) {
    let mut client = Client::connect(address).await;
    client.send(text(request, (method, &request.target), more, &request.body)).await;
    let response = client.response().await;
    (client, response)
}

/// `request` as text with another method, target and body, and more fields.
fn text(request: &Request, (method, target): (&str, &str), more: &[&str], body: &str) -> String {
    let mut text = format!("{method} {target} HTTP/1.1\r\nHost: {}\r\n", request.host);
    for field in request.fields.iter().map(String::as_str).chain(more.iter().copied()) {
        text.push_str(&format!("{field}\r\n"));
    }
    if !body.is_empty() || method == "POST" {
        text.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    text + "\r\n" + body
}

/// Whether eight sessions that begin by polling, each with a post, a poll and an upgrade on connections of
/// their own, are known wherever they come.
async fn sessions(address: SocketAddr, request: &Request) -> String {
    let ask = async |method: &str, target: &str, body: &str, more: &[&str]| {
        let mut client = Client::connect(address).await;
        client.send(text(request, (method, target), more, body)).await;
        client.response().await
    };
    for _ in 0..8 {
        let open = ask("GET", &request.target, "", &[]).await;
        let Some(sid) = open
            .text()
            .split_once(r#""sid":""#)
            .and_then(|(_, rest)| rest.split('"').next().map(str::to_owned))
        else {
            return format!("no-session-{}", open.status());
        };
        let of_session = format!("{}&sid={sid}", request.target);
        let upgrade = of_session.replace("polling", "websocket");
        let statuses = [
            ask("POST", &of_session, "40", &[]).await.status(),
            ask("GET", &of_session, "", &[]).await.status(),
            ask("GET", &upgrade, "", &UPGRADE).await.status(),
        ];
        if statuses != [200, 200, 101] {
            return if statuses[..2] == [200, 200] {
                "polling".to_owned()
            } else {
                "split".to_owned()
            };
        }
    }
    "whole".to_owned()
}

fn of_response(side: &Side, response: &Response, answer: &mut Answer) {
    answer.insert("status".to_owned(), response.status().to_string());
    fields(side, "gets", &response.head.fields, answer);
    let body = side.original(&response.text());
    // Each program has its own error pages.
    let is_own = body.contains("<center>nginx") || response.status() >= 300;
    if is_own || body.is_empty() {
        answer.remove("gets content-type");
    }
    if is_own && response.status() >= 400 {
        answer.remove("gets cache-control");
    }
    if !is_own {
        answer.insert("body".to_owned(), without_sid(body));
    }
}

/// An open packet without its sid, which Sockeye extends.
fn without_sid(body: String) -> String {
    let parts = body
        .split_once(r#""sid":""#)
        .and_then(|(before, rest)| Some((before, rest.split_once('"')?.1)));
    match parts {
        Some((before, behind)) => format!("{before}...{behind}"),
        None => body,
    }
}

fn fields(side: &Side, verb: &str, fields: &[(String, String)], answer: &mut Answer) {
    let is_upgrade = fields.iter().any(|(name, _)| name == "upgrade");
    for (name, value) in fields {
        if IGNORED.contains(&&**name) || name == "connection" && !is_upgrade {
            continue;
        }
        let value = written_alike(name, side.original(value));
        // nginx writes that of add_header behind its own.
        if name == "content-type" && answer.contains_key(&format!("{verb} {name}")) {
            continue;
        }
        let known = answer.entry(format!("{verb} {name}")).or_default();
        if !known.is_empty() {
            // Two of these are one list.
            known.push_str(if name == "cache-control" { ", " } else { " | " });
        }
        known.push_str(&value);
    }
}

/// The value of the field `name` in one of the spellings that mean the same.
fn written_alike(name: &str, value: String) -> String {
    let set = |value: &str| {
        let mut words: Vec<String> =
            value.split(',').map(|word| word.trim().to_ascii_lowercase()).collect();
        words.retain(|word| word != "options");
        words.sort();
        words.join(", ")
    };
    match name {
        "connection" => {
            if value.to_ascii_lowercase().contains("upgrade") {
                "upgrade".to_owned()
            } else {
                value
            }
        }
        "content-type" => value
            .split(';')
            .next()
            .unwrap_or_default()
            .replace("application/javascript", "text/javascript"),
        "location" => {
            let path = value.split_once("://").map_or("", |(_, rest)| rest);
            let (authority, path) = path.split_at(path.find('/').unwrap_or(path.len()));
            // An absolute path means the same.
            if authority.ends_with(":80") { path.to_owned() } else { value }
        }
        "www-authenticate" => value.replace(", charset=\"UTF-8\"", ""),
        "access-control-allow-methods" | "access-control-allow-headers" => set(&value),
        _ => value,
    }
}

/// Fields that each program writes in its own way, and that say nothing about the configuration.
const IGNORED: [&str; 17] = [
    "accept-ranges",
    // How long browsers remember what a page may send is theirs to bound.
    "access-control-max-age",
    "alt-svc",
    "content-length",
    "date",
    "etag",
    "expect",
    // Cache-Control comes with it, and counts.
    "expires",
    "forwarded",
    "keep-alive",
    "last-modified",
    "sec-websocket-accept",
    "server",
    "transfer-encoding",
    "vary",
    "x-node-says",
    "x-request-id",
];

/// An address that leads to `host` at `address` by TLS, for one connection after the other.
async fn tls_relay(authority: &Authority, address: SocketAddr, host: &str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let relay = listener.local_addr().unwrap();
    let connector = authority.connector(None);
    let name = ServerName::try_from(host.to_owned()).unwrap();
    tokio::spawn(async move {
        while let Ok((mut outside, _)) = listener.accept().await {
            let (connector, name) = (connector.clone(), name.clone());
            tokio::spawn(async move {
                let inside = TcpStream::connect(address).await.unwrap();
                if let Ok(mut inside) = connector.connect(name, inside).await {
                    let _ = copy_bidirectional(&mut outside, &mut inside).await;
                }
            });
        }
    });
    relay
}

/// An address that leads to `address`, with a PROXY header before all that is sent.
async fn proxy_header_relay(address: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let relay = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut outside, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut inside = TcpStream::connect(address).await.unwrap();
                inside.write_all(b"PROXY TCP4 203.0.113.9 127.0.0.1 50000 80\r\n").await.unwrap();
                let _ = copy_bidirectional(&mut outside, &mut inside).await;
            });
        }
    });
    relay
}
