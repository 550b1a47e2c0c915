//! Responses that are compressed on their way.

use std::io::Read as _;

use http::Request;
use tokio::io::AsyncReadExt as _;

use crate::support::http::read_head;
use crate::support::http2;
use crate::support::node::Reply;
use crate::support::{Client, FakeNode, Proxy, request};

const TEXT: &str = "the same words again and again, ";

fn words() -> String {
    TEXT.repeat(1_000)
}

/// A node whose responses have the fields that the query says, and whose body has a length.
async fn node() -> FakeNode {
    FakeNode::start(|request| {
        let fields = request
            .query("fields")
            .unwrap_or_default()
            .replace('~', "\r\n")
            .replace('+', " ")
            .replace('\'', "\"");
        let body = words();
        let body = if request.head.method == "HEAD" { String::new() } else { body };
        let status = request.query("status").unwrap_or("200");
        let head =
            format!("HTTP/1.1 {status} X\r\n{fields}\r\nContent-Length: {}\r\n\r\n", words().len());
        Reply::Bytes([head.into_bytes(), body.into_bytes()].concat())
    })
    .await
}

fn proxy(node: &FakeNode, compress: &str) -> Proxy {
    Proxy::start(&format!(
        "listeners: [{{ bind: '127.0.0.1:0', http2: on }}]\n\
         upstreams: {{ chat: {{ nodes: ['{}'], health: off }} }}\n\
         routes: [{{ upstream: chat, compress: {compress} }}]\n",
        node.address
    ))
}

fn decoded(coding: &str, bytes: &[u8]) -> String {
    let mut text = String::new();
    match coding {
        "br" => brotli::Decompressor::new(bytes, 4096).read_to_string(&mut text),
        "gzip" => flate2::read::GzDecoder::new(bytes).read_to_string(&mut text),
        "zstd" => zstd::stream::read::Decoder::new(bytes).unwrap().read_to_string(&mut text),
        _ => panic!("{coding}"),
    }
    .unwrap();
    text
}

#[tokio::test]
async fn a_response_is_compressed_as_the_client_likes_it() {
    let node = node().await;
    let proxy = proxy(&node, "on");
    let target = "/?fields=Content-Type:text/html~ETag:'a'";
    for (accepted, coding) in [
        ("gzip", "gzip"),
        ("gzip, br", "br"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("br;q=0.1, gzip", "gzip"),
    ] {
        let mut client = Client::connect(proxy.address).await;
        let accept = format!("Accept-Encoding: {accepted}");
        client.send(request("GET", target, &[&accept], "")).await;
        let response = client.response().await;
        assert_eq!(response.head.field("content-encoding"), Some(coding), "{accepted}");
        assert_eq!(response.head.field("vary"), Some("Accept-Encoding"));
        assert_eq!(response.head.field("etag"), Some("W/\"a\""));
        assert!(response.body.len() < 1_000, "{accepted}: {}", response.body.len());
        assert_eq!(decoded(coding, &response.body), words());
        // The connection goes on.
        client.send(request("HEAD", target, &[&accept, "Connection: close"], "")).await;
        let head = String::from_utf8(client.until_end().await).unwrap().to_lowercase();
        assert!(head.contains("content-encoding") && head.ends_with("\r\n\r\n"), "{head}");
    }
    let mut http2 = http2::connect(proxy.address).await;
    let get = Request::get(format!("http://test{}", target));
    let get = get.header("accept-encoding", "br").body(()).unwrap();
    let (head, body) = http2::ask(&mut http2, get).await.into_parts();
    assert_eq!(head.headers["content-encoding"], "br");
    assert_eq!(decoded("br", &http2::received(body).await), words());
}

#[tokio::test]
async fn what_must_stay_as_it_is_stays() {
    let node = node().await;
    let proxy = proxy(&node, "on");
    let check = async |target: &str, method: &str, vary: Option<&str>| {
        let mut client = Client::connect(proxy.address).await;
        client.send(request(method, target, &["Accept-Encoding: gzip"], "")).await;
        let response = client.response().await;
        assert_eq!(response.text(), words(), "{target}");
        assert_eq!(response.head.field("vary"), vary, "{target}");
    };
    check("/?fields=Content-Type:text/html~Cache-Control:no-transform", "GET", None).await;
    check("/?fields=Content-Type:image/png", "GET", None).await;
    check("/?fields=Content-Type:text/html~Content-Range:bytes+0-1/2&status=206", "GET", None)
        .await;
    check("/?fields=Content-Type:text/html~Content-Encoding:x", "GET", None).await;
    // Engine.IO compresses by itself.
    check("/?EIO=4&transport=polling&fields=Content-Type:text/plain", "GET", None).await;
    check("/?EIO=4&transport=polling&sid=x&fields=Content-Type:text/plain", "POST", None).await;
    let mut client = Client::connect(proxy.address).await;
    client.send(request("GET", "/?fields=Content-Type:text/html", &[], "")).await;
    let response = client.response().await;
    assert_eq!(response.text(), words());
    assert_eq!(response.head.field("vary"), Some("Accept-Encoding"));
}

#[tokio::test]
async fn what_did_not_change_has_the_tag_that_the_client_knows() {
    let node = node().await;
    let proxy = proxy(&node, "on");
    let check = async |known: &str, tag: &str| {
        let mut client = Client::connect(proxy.address).await;
        let fields =
            ["Accept-Encoding: gzip", &format!("If-None-Match: {known}"), "Connection: close"];
        client.send(request("HEAD", "/?fields=ETag:'a'&status=304", &fields, "")).await;
        let all = String::from_utf8(client.until_end().await).unwrap().to_lowercase();
        assert!(all.starts_with("http/1.1 304 "), "{all}");
        assert!(all.contains(&format!("etag: {tag}\r\n")), "{known}: {all}");
        assert!(all.contains("vary: accept-encoding\r\n"), "{known}: {all}");
    };
    check("\"b\", W/\"a\"", "w/\"a\"").await;
    check("\"a\"", "\"a\"").await;
    check("*", "w/\"a\"").await;
}

#[tokio::test]
async fn only_what_is_written_is_compressed() {
    let node = node().await;
    let check = async |compress: &str, expected: Option<&str>| {
        let proxy = proxy(&node, compress);
        let mut client = Client::connect(proxy.address).await;
        let fields = ["Accept-Encoding: zstd, br, gzip"];
        client.send(request("GET", "/?fields=Content-Type:text/css", &fields, "")).await;
        assert_eq!(client.response().await.head.field("content-encoding"), expected, "{compress}");
    };
    check("off", None).await;
    check("{}", Some("zstd")).await;
    check("{ codings: [gzip, br] }", Some("gzip")).await;
    check("{ min_size: 32001B }", None).await;
    check("{ min_size: 32000B }", Some("zstd")).await;
    check("{ types: [application/json] }", None).await;
    check("{ types: [text/css] }", Some("zstd")).await;
}

#[tokio::test]
async fn an_event_goes_on_at_once() {
    let head =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    let node = FakeNode::start(move |_| {
        // More may come.
        Reply::Bytes(format!("{head}a\r\ndata: one\n\r\n").into_bytes())
    })
    .await;
    let proxy = proxy(&node, "{ types: [text/event-stream] }");
    let mut client = Client::connect(proxy.address).await;
    client.send(request("GET", "/", &["Accept-Encoding: gzip"], "")).await;
    let Client { stream, buffer } = &mut client;
    let head = read_head(stream, buffer).await.unwrap();
    assert_eq!(head.field("content-encoding"), Some("gzip"));
    loop {
        let first = buffer.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let mut text = Vec::new();
        // The end has not come.
        let _ = flate2::read::GzDecoder::new(&buffer[first..]).read_to_end(&mut text);
        if text == b"data: one\n" {
            break;
        }
        http2::soon(stream.read_buf(buffer)).await.unwrap();
    }
}
